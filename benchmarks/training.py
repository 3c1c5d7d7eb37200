"""How much faster ferkit trains than a plain notebook, on this machine.

Run:      python benchmarks/training.py --data fer2013.csv [--model model1] [--rounds N] [--batches N] [--out FOLDER]
Costs:    about five minutes a model on two cores; nothing else should run meanwhile.
Expected: at least 2.5 times the faces per second, where the processor computes in bf16.

Each round trains the same number of batches of the same network twice, first as ``plain.py`` does it, then with
``ferkit.training.run.train``, each in a fresh process. The first batches of each are not timed; loading the data is.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from ferkit.errors import DataError
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import get_recipe

TARGET = 2.5
"""Ratio the project promises on two cores."""

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to measure a model."""

    rounds: int
    """Pairs of processes."""
    warmup: int
    """Batches before the clock starts; enough to fill what the loaders prepare ahead where batches are fast."""
    batches: int
    """Batches timed."""


PLANS = {
    "model1": Plan(rounds=6, warmup=50, batches=250),
    "model3": Plan(rounds=3, warmup=2, batches=5),
}


def main() -> None:
    """Measure what the command line asks for and write the report."""
    asked = _parser().parse_args()
    if asked.side:
        plan = PLANS[asked.model]
        timed = asked.batches or plan.batches
        print(json.dumps(measure(asked.side, asked.data, get_recipe(asked.model), plan.warmup, timed)))
        return
    for model in [asked.model] if asked.model else PLANS:
        found = compare(model, asked.data, asked.rounds, asked.batches)
        print(_summary(found), flush=True)
        print("written:", write_report(asked.out, model, found), flush=True)


def compare(model: str, data: Path, rounds: int | None = None, batches: int | None = None) -> dict[str, Any]:
    """Return the rounds of one model and where they ran, as plain values; prints each round.

    Args:
        model: A key of :data:`PLANS`, which is also a recipe.
        data: ``fer2013.csv``.
        rounds: Instead of the plan's.
        batches: To time, instead of the plan's.
    """
    plan = PLANS[model]
    done: list[dict[str, Any]] = []
    for number in range(1, (rounds or plan.rounds) + 1):
        pair = {side: _in_fresh_process(side, model, data, batches or plan.batches) for side in SIDES}
        done.append({side: round(found["faces_per_second"], 2) for side, found in pair.items()})
        done[-1]["ratio"] = round(done[-1]["ferkit"] / done[-1]["plain"], 3)
        done[-1]["how"] = {side: found["how"] for side, found in pair.items()}
        print(f"{model} round {number}: {_round_line(done[-1])}", flush=True)
    how = done[0]["how"]
    for values in done:
        del values["how"]
    return {
        "recipe": get_recipe(model).to_dict(),
        "warmup": plan.warmup,
        "batches": batches or plan.batches,
        "how": how,
        "rounds": done,
        "medians": {side: median(values[side] for values in done) for side in SIDES},
        "environment": _environment(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def measure(side: str, data: Path, recipe: Recipe, warmup: int, batches: int) -> dict[str, Any]:
    """Train ``batches`` batches after ``warmup`` others in this process; return faces per second and how it was set up.

    Raises:
        DataError: Training has fewer batches.
    """
    steps = SIDES[side](data, recipe)
    how = next(steps)
    for _ in range(warmup):
        _next(steps)
    began = time.perf_counter()
    for _ in range(batches):
        _next(steps)
    seconds = time.perf_counter() - began
    return {"faces_per_second": batches * recipe.batch_size / seconds, "how": how}


def _next(steps: Iterator[Any]) -> None:
    if next(steps, StopIteration) is StopIteration:
        raise DataError("expected an epoch longer than the batches to measure")


def _plain(data: Path, recipe: Recipe) -> Iterator[str | None]:
    import torch

    import plain

    yield f"float32, default layout, {plain.WORKERS} workers, {torch.get_num_threads()} threads"
    yield from plain.train(data, recipe)


def _ferkit(data: Path, recipe: Recipe) -> Iterator[str | None]:
    import torch

    from ferkit.data import read_fer2013
    from ferkit.training.loop import Step
    from ferkit.training.run import Started, train

    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, read_fer2013(data), Path(folder) / "run", save_seconds=math.inf):
            if isinstance(event, Started):
                yield (
                    f"{event.precision} ({event.reason}), channels last, {event.workers} workers, "
                    f"{torch.get_num_threads()} threads"
                )
            elif isinstance(event, Step):
                yield None
            else:
                return


SIDES: dict[str, Callable[[Path, Recipe], Iterator[str | None]]] = {"plain": _plain, "ferkit": _ferkit}
"""What is compared, in the order of a round; each yields how it is set up, then once a batch."""


def _in_fresh_process(side: str, model: str, data: Path, batches: int) -> dict[str, Any]:
    """Measure where no allocator setting, thread pool or cache of the other side is left."""
    command = [sys.executable, __file__, "--side", side, "--model", model, "--data", data, "--batches", str(batches)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment() -> dict[str, Any]:
    from ferkit.training.environment import describe

    found = describe("cpu")
    found["versions"]["pandas"] = version("pandas")
    return {**found, "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()}


def write_report(folder: Path, model: str, found: dict[str, Any]) -> Path:
    """Put what was found into today's JSON, beside other models of the day, and write the Markdown anew from it."""
    path = folder / f"training-{found['finished'][:10]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"schema": SCHEMA, "models": {}}
    content["models"][model] = found
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    report = path.with_suffix(".md")
    report.write_text(to_markdown(content), encoding="utf-8")
    return report


def to_markdown(content: dict[str, Any]) -> str:
    """Render the JSON of a day."""
    lines = [
        "# Training speed, ferkit against a plain notebook",
        "",
        "Generated by `benchmarks/training.py`; see [how it measures](../README.md). Numbers are faces per second, "
        "loading included.",
    ]
    for model, found in sorted(content["models"].items()):
        environment = found["environment"]
        versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
        commit = f"{environment['commit']}{' with changes' if environment['dirty'] else ''}"
        lines += [
            "",
            f"## Recipe {model}, batches of {found['recipe']['batch_size']}",
            "",
            f"**{_summary(found)}**",
            "",
            "| round | plain | ferkit | ratio |",
            "| ---: | ---: | ---: | ---: |",
            *(
                f"| {number} | {values['plain']:.4g} | {values['ferkit']:.4g} | {values['ratio']:.2f} |"
                for number, values in enumerate(found["rounds"], start=1)
            ),
            "",
            f"- plain: {found['how']['plain']}",
            f"- ferkit: {found['how']['ferkit']}",
            f"- timed: {found['batches']} batches a round and side, after {found['warmup']} others",
            f"- processor: {environment['device']}, {environment['cores']} cores usable; {environment['platform']}",
            f"- versions: {versions}; commit {commit}",
            f"- finished: {found['finished']}",
        ]
    return "\n".join(lines) + "\n"


def _summary(found: dict[str, Any]) -> str:
    medians = found["medians"]
    ratio = medians["ferkit"] / medians["plain"]
    ratios = [values["ratio"] for values in found["rounds"]]
    verdict = "reaches" if ratio >= TARGET else "misses"
    return (
        f"{ratio:.2f} times plain (medians {medians['ferkit']:.4g} and {medians['plain']:.4g} faces/s of "
        f"{len(ratios)} {'round' if len(ratios) == 1 else 'rounds'}; "
        f"by round {min(ratios):.2f} to {max(ratios):.2f}); {verdict} the target of {TARGET}"
    )


def _round_line(values: dict[str, Any]) -> str:
    return f"plain {values['plain']:.4g}, ferkit {values['ferkit']:.4g} faces/s, ratio {values['ratio']:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--model", choices=PLANS, help="only this recipe")
    parser.add_argument("--rounds", type=int, help="pairs of processes, instead of the plan's")
    parser.add_argument("--batches", type=int, help="batches to time, instead of the plan's")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
