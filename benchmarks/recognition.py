"""ferkit's recognition beside the package fer: accuracy, time, cold start, memory, size.

Run:      python benchmarks/recognition.py --data fer2013.csv [--rounds N] [--work FOLDER] [--out FOLDER]
Costs:    under ten minutes on two cores once its two environments stand; they take some minutes, 3 GB and a network.
Expected: more faces right than fer, and a small part of its cold start, memory and size;
          less time a face than fer's TFLite file where the processor has dot products of bytes (VNNI), more where not.
          Nothing else should run meanwhile.

Every contender works in processes of its own, on the same crops, in turn: one process of each is a round.
``recognition_probe.py`` is what runs there.
"""

import argparse
import json
import platform
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from command_line import count, plainly
from ferkit.data import Split, read_fer2013
from ferkit.data.audit import copies_of_training
from ferkit.evaluation.calibration import calibration_error
from ferkit.evaluation.metrics import wilson_interval
from ferkit.inference.images import read_image
from ferkit.inference.levels import contrasted
from ferkit.inference.session import Session
from ferkit.labels import EXPRESSIONS
from ferkit.processors import usable_processors
from ferkit.training.surroundings import describe
from others import Others
from recognition_environments import (
    Environment,
    InstallError,
    add_work,
    fer_environment,
    ferkit_environment,
    probe,
    probe_command,
    variables,
)
from recognition_peak import SIDES, operations_per_face, write_product
from recognition_probe import CONTENDERS
from recognition_probe import EXPRESSIONS as THEIRS
from recognition_report import to_markdown
from report_files import day_of, write_report

SCHEMA = 1
SETTINGS = {
    "batch 1, one thread": (1, 1),
    "batch 64, one thread": (64, 1),
    "batch 64, two threads": (64, 2),
}
"""Faces a call and threads. The last shows what the second core adds, where nothing else needs it."""
OURS, ALONE, MIRROR = "ferkit", "ferkit (network alone)", "ferkit (mirror images)"


def main() -> None:
    """Measure and write the report."""
    asked = _parser().parse_args()
    if THEIRS != EXPRESSIONS:
        raise RuntimeError("recognition_probe.py names the classes in another order than ferkit")
    read_fer2013(asked.data)  # before anything is installed, so that a wrong name costs nothing
    asked.work.mkdir(parents=True, exist_ok=True)
    environments: dict[str, Environment] = {"ferkit": ferkit_environment(asked.work)}
    missing = None
    try:
        environments["fer"] = fer_environment(asked.work)
    except InstallError as error:
        missing = str(error)
    contenders = {name: environments[p] for name in CONTENDERS if (p := name.partition(" ")[0]) in environments}
    session = Session()
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "fer_missing": missing,
        "rounds": asked.rounds,
        "environment": describe("cpu")
        | {"usable_cores": usable_processors(), "python": platform.python_version(), "versions": {}},
        "network": {"int8": session.card.int8, "created": session.card.created, "name": session.card.name},
        "size": {package: environment.size() for package, environment in environments.items()},
    }
    for package, environment in environments.items():
        numbers = probe(environment, "versions", "--packages", *environment.packages)
        found["environment"]["versions"][package] = numbers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = Others()
        found |= measure_faces(asked.data, contenders, folder)
        files = [folder / f"{side}.onnx" for side in SIDES]
        products = {f: write_product(f, side, session.card.int8) for f, side in zip(files, SIDES, strict=True)}
        found["times"], best = measure_times(contenders, folder, products, asked.rounds, asked.seconds)
        found["peak"] = shares_of_peak(session, found["times"], best)
        found["cold"] = measure_cold_start(contenders, folder, asked.rounds)
        found["others"] = others.cores()
    found["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    detectors = max((file.name for file in asked.out.glob("detectors-*.md")), default=None)
    text = to_markdown(found, detectors)
    print(text)
    print("written:", write_report(asked.out, f"recognition-{day_of(found)}", found, text))


def measure_faces(data: Path, contenders: dict[str, Environment], folder: Path) -> dict[str, Any]:
    """Let every contender read PrivateTest; leave its crops in ``folder``. What they say of single faces stays here."""
    fer2013 = read_fer2013(data)
    faces = fer2013.split(Split.PRIVATE_TEST)
    new = ~copies_of_training(fer2013, Split.PRIVATE_TEST)
    np.save(folder / "crops.npy", faces.images)
    said: dict[str, NDArray[np.float32]] = {}
    memory: dict[str, int] = {}
    differs: dict[str, float] = {}
    for name, environment in contenders.items():
        out = folder / "probabilities.npy"
        values = probe(environment, "read", "--contender", name, "--file", folder / "crops.npy", "--out", out)
        said[name], memory[name] = np.load(out), values["peak_bytes"]
        if values["differs"] is not None:
            differs[name] = round(values["differs"], 4)
        print(f"{name}: {(said[name].argmax(1) == faces.labels).mean():.4f} right", flush=True)
    plain = [contrasted(face) is face for face in faces.images]  # the others are given contrast before they are read
    if not np.allclose(said[OURS][plain], said[ALONE][plain], atol=1e-6):
        raise RuntimeError("ferkit's two ways to read a crop differ")
    del said[ALONE]
    subsets = {"PrivateTest": np.ones(len(faces), bool), "without copies of Training": new}
    return {
        "accuracy": {
            subset: {name: score(rows[kept], faces.labels[kept]) for name, rows in said.items()}
            for subset, kept in subsets.items()
        },
        "paired": {
            subset: {
                name: mcnemar(said[OURS].argmax(1)[kept], rows.argmax(1)[kept], faces.labels[kept])
                for name, rows in said.items()
                if name != OURS
            }
            for subset, kept in subsets.items()
        },
        "memory_reading": memory,
        "differs_from_public": differs,
    }


def score(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return faces, how many were right, the 95 % interval of that share, and the expected calibration error."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    return {
        "faces": len(labels),
        "right": right,
        "interval": wilson_interval(right, len(labels)),
        "calibration_error": calibration_error(probabilities, labels),
    }


def mcnemar(ours: NDArray[Any], theirs: NDArray[Any], labels: NDArray[Any]) -> dict[str, Any]:
    """Return how many faces only one of two read right, and how likely that is if they read equally well.

    Source: McNemar, 1947, https://doi.org/10.1007/BF02295996; here the exact, two-sided binomial test.
    """
    from scipy.stats import binomtest

    only_ours = int(((ours == labels) & (theirs != labels)).sum())
    only_theirs = int(((ours != labels) & (theirs == labels)).sum())
    differ = only_ours + only_theirs
    p = float(binomtest(only_ours, differ).pvalue) if differ else 1.0
    return {"only_ours": only_ours, "only_theirs": only_theirs, "p": p}


def measure_times(
    contenders: dict[str, Environment], folder: Path, products: dict[Path, int], rounds: int, seconds: float
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """Return the median milliseconds a face of each round, by setting and contender, and the processor's peak.

    The peak, in operations a second, is what one thread reaches in the shortest call of all rounds and settings of any
    product, times the threads, by setting with batches: ONNX Runtime can be far quicker a thread with several.

    Args:
        contenders: What is compared.
        folder: Where the crops are.
        products: Files of matrix products, and the operations of each.
        rounds: Processes of each contender and setting.
        seconds: How long each is timed.
    """
    times: dict[str, dict[str, list[float]]] = {s: {name: [] for name in contenders} for s in SETTINGS}
    best = {setting: 0.0 for setting, (batch, _) in SETTINGS.items() if batch > 1}
    for number in range(rounds):
        for setting, (batch, threads) in SETTINGS.items():
            for name, environment in _turned(contenders, number):
                asked = ["--contender", name, "--file", folder / "crops.npy", "--batch", batch, "--seconds", seconds]
                took = probe(environment, "time", *asked, threads=threads)
                times[setting][name].append(round(took["median"] / batch, 4))
            for file, operations in products.items() if setting in best else ():
                asked = ["--file", file, "--seconds", seconds / len(products)]
                took = probe(contenders[OURS], "product", *asked, threads=threads)
                best[setting] = max(best[setting], 1000 * operations / took["shortest"])
            print(f"round {number + 1}, {setting}:", {n: t[-1] for n, t in times[setting].items()}, flush=True)
    one = max((rate / SETTINGS[setting][1] for setting, rate in best.items()), default=0.0)
    return times, {setting: one * SETTINGS[setting][1] for setting in best}


def shares_of_peak(
    session: Session, times: dict[str, dict[str, list[float]]], best: dict[str, float]
) -> dict[str, Any]:
    """Return what share of the processor's peak the network reaches, by setting with batches.

    The peak is that of matrix products of the network's own arithmetic, by the same ONNX Runtime.
    """
    operations = operations_per_face(session.file)
    return {
        "arithmetic": "int8" if session.card.int8 else "float32",
        "operations_per_face": operations,
        "settings": {
            setting: {
                "operations_per_second": peak,
                "share": 1000 * operations / float(np.median(times[setting][ALONE])) / peak,
                "share_in_the_fastest_round": 1000 * operations / min(times[setting][ALONE]) / peak,
            }
            for setting, peak in best.items()
        },
    }


def measure_cold_start(contenders: dict[str, Environment], folder: Path, rounds: int) -> dict[str, Any]:
    """Time fresh processes until they name a portrait's expression; the first of each only fills the file cache."""
    import cv2
    import skimage

    portrait = read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
    photo = folder / "astronaut.jpg"
    cv2.imwrite(str(photo), cv2.cvtColor(portrait, cv2.COLOR_RGB2BGR))
    cold: dict[str, Any] = {
        name: {"seconds": [], "peak_bytes": []} for name in contenders if name not in (ALONE, MIRROR)
    }
    for number in range(rounds + 1):
        for name, environment in _turned({name: contenders[name] for name in cold}, number):
            command = probe_command(environment, "cold", "--contender", name, "--file", photo, threads=1)
            began = time.perf_counter()
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=variables(1)
            ) as process:
                assert process.stdout is not None
                expression = process.stdout.readline().strip()
                took = time.perf_counter() - began
                rest = process.stdout.read()
            if process.returncode:
                raise RuntimeError(
                    f"{name}: expected the expression of the portrait, got exit code {process.returncode}"
                )
            if number:
                cold[name]["seconds"].append(round(took, 3))
                cold[name]["peak_bytes"].append(json.loads(rest)["peak_bytes"])
                cold[name]["expression"] = expression
        print(f"cold start {number}:", {n: v["seconds"][-1:] for n, v in cold.items()}, flush=True)
    return cold


def _turned(contenders: dict[str, Environment], number: int) -> list[tuple[str, Environment]]:
    """Return the contenders in order, in every other round backwards."""
    order = list(contenders.items())
    return order[::-1] if number % 2 else order


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--rounds", type=count, default=5, help="processes of each contender and setting")
    parser.add_argument("--seconds", type=float, default=2.0, help="a process is timed")
    add_work(parser)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
