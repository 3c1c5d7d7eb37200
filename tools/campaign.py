"""Trains what has no result yet, the most valuable first, in some minutes of a GPU; continues where it stopped.

Run:      python tools/campaign.py --data fer2013.csv --work WORK --out OUT --minutes 9 [--earlier OUT ...]
Costs:    as many minutes as it is given, on one GPU.
Expected: WORK holds results and run folders, as `ferkit reproduce` writes them; OUT holds what to copy away, in few
          files of limited size: every result, then the weights of finished runs, those that others learn from first,
          one seed after the other. It is renewed whenever a run has finished.
Dry run:  python tools/campaign.py --data fer2013.csv --work /tmp/work --out /tmp/out --minutes 1 --device cpu

For machines that one has for minutes, that keep no files, and from which little can be copied. On the same machine the
next call continues from the checkpoints in WORK. On another one, ``--earlier`` names copies of what earlier calls left
in OUT: finished runs are not trained again, those whose weights were copied can teach, and they are not packed again.
Runs whose results are in the project's ``results`` (``--known``) are not trained again either. Copy the new results
there in the end, for ``ferkit results``.
"""

import argparse
import gzip
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ferkit.errors import FerkitError, RunError
from ferkit.experiments import REPORTED, TABLES
from ferkit.files import write_bytes, write_json
from ferkit.report.results import sound_results
from ferkit.sweeps.plan import run_name
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import make_recipe


@dataclass(frozen=True, slots=True)
class Step:
    """One call of `ferkit reproduce`."""

    targets: tuple[str, ...]
    seeds: int
    rows: tuple[str, ...] = ()
    """All where none is named."""


STEPS = (
    Step(("champion",), 1, ("champion", "compact-taught", "compact-taught-narrow")),  # small ones taught by a large one
    Step(("champion",), 1),
    Step(("champion",), 3),
    Step(tuple(REPORTED), 3),
    Step(("ablations", "ablations-residual"), 3),
)
"""In order."""

KNOWN = Path(__file__).parents[1] / "results"

INDEX, RESULTS = "index.json", "results.tar.gz"
PACKING = 0.2
"""Minutes kept for packing."""

LEAST = 0.5
"""Minutes in which something can still be trained, beside what starting takes."""

LOOK = 20.0
"""Seconds from one look at what has finished to the next."""

GRACE = 15.0
"""Seconds that `ferkit reproduce` may take longer than it was given, before it is ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much OUT may hold."""

    files: int
    bytes: int
    """Of one file."""
    total: int
    """Of all files, in bytes."""


def main() -> None:
    """Train until the time is up, then pack."""
    asked = _parser().parse_args()
    if asked.minutes > PACKING and not asked.data.exists():
        sys.exit(f"error: {asked.data}: no such file or folder")
    ends = time.monotonic() + 60 * asked.minutes
    limits = Limits(asked.files, int(asked.mib * 2**20), int(asked.total_mib * 2**20))
    at_home: set[str] = set()
    try:
        for folder in asked.earlier:
            names, problems = unpack(folder, asked.work)
            at_home |= names
            print(f"{folder}: {len(names)} runs with their weights", *problems, sep="\n  ", flush=True)
        print(f"{asked.known}: {learn(asked.known, asked.work / 'results')} results more that are known", flush=True)

        def renew() -> None:
            print(pack(asked.work, asked.out, limits, at_home), flush=True)

        for step in STEPS:
            left = (ends - time.monotonic()) / 60 - PACKING
            go_on = left > LEAST and _reproduce(step, left, asked, renew)
            renew()
            if not go_on:
                break
    except FerkitError as error:
        sys.exit(f"error: {error}")


def pack(work: Path, out: Path, limits: Limits, at_home: Collection[str] = ()) -> str:
    """Write to ``out`` what to copy away, and say what it is.

    Args:
        work: With ``results`` and ``runs``.
        out: What an earlier call left there is replaced, file by file, and what the index no longer names goes last:
            killed at any moment, it still holds all that an index names, where the limits are those of that call.
        limits: Weights that do not fit any more are left out; the index names them.
        at_home: Names of runs whose weights were copied before; they are left out without a word.

    Raises:
        RunError: The results alone do not fit into one file; nothing was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    results = _tar((path, path.relative_to(work)) for path in sorted((work / "results").rglob("*.json")))
    if len(results) > limits.bytes:
        raise RunError(f"{work / 'results'}: {len(results)} bytes of results, more than {limits.bytes} in one file")
    write_bytes(out / RESULTS, results)
    room, spent, packed, left, named = limits.files - 2, len(results), {}, [], set()
    for folder in _wanted(work):
        if folder.name in at_home:
            continue
        files = RunFolder(folder).network_files
        whole = _tar(((file, Path("runs", folder.name, file.name)) for file in files), packed=False)
        pieces = [whole[start : start + limits.bytes] for start in range(0, len(whole), limits.bytes)]
        if len(pieces) > room or spent + len(whole) > limits.total:
            left.append(folder.name)
            continue
        room -= len(pieces)
        spent += len(whole)
        for number, piece in enumerate(pieces):
            named.add(part := out / f"{folder.name}.tar.part-{number}")
            write_bytes(part, piece)
        packed[folder.name] = {"pieces": len(pieces), "sha256": hashlib.sha256(whole).hexdigest()}
    write_json(out / INDEX, {"runs": packed, "left": left})
    for old in set(out.glob("*.tar.part-*")) - named:
        old.unlink()
    return f"{out}: {_count(work / 'results')} results, weights of {len(packed)} runs, {len(left)} left"


def unpack(out: Path, work: Path) -> tuple[set[str], list[str]]:
    """Put what an earlier call packed where `ferkit reproduce` finds it.

    Returns:
        The names of the runs whose weights are there now, and what is wrong with those that are missing or damaged.

    Raises:
        RunError: The results or the index are missing or damaged.
    """
    names, problems = set(), []
    try:
        index = json.loads((out / INDEX).read_text(encoding="utf-8"))
        _untar(gzip.decompress((out / RESULTS).read_bytes()), work)  # tarfile would not look at the checksum
        for name, entry in index["runs"].items():
            pieces = [out / f"{name}.tar.part-{number}" for number in range(entry["pieces"])]
            missing = [piece.name for piece in pieces if not piece.is_file()]
            whole = b"" if missing else b"".join(piece.read_bytes() for piece in pieces)
            if missing:
                problems.append(f"{out / name}: {', '.join(missing)} is missing")
            elif hashlib.sha256(whole).hexdigest() != entry["sha256"]:
                problems.append(f"{out / name}: the pieces are not what was packed")
            else:
                names.add(name)
                if not (work / "runs" / name / "result.json").exists():
                    _untar(whole, work)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, tarfile.TarError) as error:
        raise RunError(f"{out}: expected what an earlier call packed ({type(error).__name__}: {error})") from None
    return names, problems


def learn(known: Path, results: Path) -> int:
    """Copy the results in ``known`` that are not in ``results`` yet, and return how many."""
    new = [path for path in known.rglob("seed-*.json") if not (results / path.relative_to(known)).exists()]
    for path in new:
        write_bytes(results / path.relative_to(known), path.read_bytes())
    return len(new)


def _reproduce(step: Step, minutes: float, asked: argparse.Namespace, renew: Callable[[], None]) -> bool:
    """Run `ferkit reproduce`; return whether there is time left, and nobody asked to stop.

    Args:
        step: What it is asked for.
        minutes: It may take.
        asked: The other arguments.
        renew: Called when a run has finished.
    """
    command = [sys.executable, "-m", "ferkit", "reproduce", *step.targets, "--data", asked.data, "--seeds", step.seeds]
    for row in step.rows:
        command += ["--row", row]
    command += ["--results", asked.work / "results", "--runs", asked.work / "runs", "--device", asked.device]
    command += ["--jobs", asked.jobs, "--max-minutes", f"{minutes:.2f}"]
    if asked.votes:
        command += ["--votes", asked.votes]
    print("$ " + " ".join(map(str, ["ferkit", *command[3:]])), flush=True)
    began = time.monotonic()
    process = subprocess.Popen([str(part) for part in command])
    before = [signal.signal(number, lambda *_: process.terminate()) for number in (signal.SIGINT, signal.SIGTERM)]
    _watch(process, began + 60 * minutes + GRACE, asked.work / "results", renew)
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)
    # what failed is told, and the next step may do better; what a signal stopped ends with 128 and more, or below 0
    return 0 <= process.returncode < 128 and time.monotonic() - began < 60 * minutes - 30


def _watch(process: "subprocess.Popen[bytes]", ends: float, results: Path, renew: Callable[[], None]) -> None:
    """Wait for ``process`` to end, and end it where its time is over; meanwhile ``renew`` whenever a run has finished.

    So OUT is never far behind, whoever ends this before its time.
    """
    finished = _count(results)
    while True:
        try:
            process.wait(max(0.0, min(LOOK, ends - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= ends:
                process.kill()  # its runs save and end by themselves; what is finished is packed
                process.wait()
                print(f"ended: it had not stopped {GRACE:.0f} s after its time", flush=True)
                return
        else:
            return
        if (now := _count(results)) > finished:
            finished = now
            try:
                renew()
            except (FerkitError, OSError) as error:  # in the end it is tried once more, and told if it fails again
                print(f"not packed: {error}", flush=True)


def _count(results: Path) -> int:
    return sum(1 for _ in results.rglob("seed-*.json"))


def _wanted(work: Path) -> list[Path]:
    """Return the finished run folders with weights, what is worth most first.

    Of our best networks one seed after the other, so that a second large one takes no small one's place: those that
    others learn from, those that learnt from others, the rest. Then all other runs.
    """
    rows = TABLES["champion"].every
    before = {slug for row in rows for slug in row.before}
    rank = {row.recipe.key(): 0 if row.slug in before else 1 if row.taught_by else 2 for row in rows}
    runs = [
        (run.own_key() not in rank, run.seed, rank.get(run.own_key(), 0), run_name(make_recipe(run.content["recipe"])))
        for run in sound_results(work / "results")[0]  # whatever is damaged, the others come home
    ]
    folders = [RunFolder(work / "runs" / name) for *_, name in sorted(runs)]
    return [folder.path for folder in folders if folder.result.exists() and folder.weights.exists()]


def _tar(files: Iterable[tuple[Path, Path]], *, packed: bool = True) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz" if packed else "w") as archive:
        for path, name in files:
            archive.add(path, str(name))
    return sink.getvalue()


def _untar(content: bytes, where: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(where, filter="data")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--votes", type=Path, help="fer2013new.csv of FER+, for the row that learns from it")
    parser.add_argument("--work", type=Path, required=True, help="folder of results and runs; keep it while you can")
    parser.add_argument("--out", type=Path, required=True, help="folder of what to copy away")
    parser.add_argument("--minutes", type=float, required=True, help="minutes for everything together")
    parser.add_argument(
        "--earlier", type=Path, nargs="*", default=[], help="copies of the --out folders of earlier calls"
    )
    parser.add_argument("--known", type=Path, default=KNOWN, help="folder of results not to train again")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs side by side; a run that is not finished is not packed"
    )
    parser.add_argument("--files", type=int, default=7, help="most files in --out")
    parser.add_argument("--mib", type=float, default=15.5, help="most MiB of one of them")
    parser.add_argument("--total-mib", type=float, default=60.0, help="most MiB of all of them")
    return parser


if __name__ == "__main__":
    main()
