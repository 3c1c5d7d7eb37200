"""How much faster ferkit trains than a plain notebook, on this machine.

Run:      python benchmarks/training.py --data fer2013.csv [--model model1] [--rounds N] [--batches N] [--out FOLDER]
Costs:    about five minutes a model on two cores; nothing else should run meanwhile.
Expected: at least 2.5 times the faces per second, where the processor computes in bf16.

Each round trains the same number of batches of the same network twice: first as ``plain.py`` does it, then with
``ferkit.training.run.train``, each in a fresh process. Reading the file and the first batches of each are not timed;
preparing batches is.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from command_line import count, plainly
from ferkit.errors import DataError
from ferkit.processors import usable_processors
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import get_recipe
from others import Others, in_words
from report_files import day_of, write_report

TARGET = 2.5
"""Ratio the project promises on two cores."""

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to measure a model."""

    rounds: int
    """Pairs of processes."""
    warmup: int
    """Batches before the clock starts: enough to use up what the loaders prepared before the first one."""
    batches: int
    """Batches timed."""


PLANS = {
    "model1": Plan(rounds=6, warmup=40, batches=160),
    "model3": Plan(rounds=3, warmup=2, batches=8),
}
"""By recipe. Model 3 needs no longer warm-up: its loaders wait for it, not it for them."""


def main() -> None:
    """Measure what the command line asks for and write the report."""
    asked = _parser().parse_args()
    if not asked.data.is_file():
        raise DataError(f"{asked.data}: no such file")
    models = {name: plan for name, plan in PLANS.items() if asked.model in (None, name)}
    for model, usual in models.items():
        plan = replace(usual, rounds=asked.rounds or usual.rounds, batches=asked.batches or usual.batches)
        if asked.side:
            print(json.dumps(measure(asked.side, asked.data, get_recipe(model), plan)))
            continue
        found = compare(model, asked.data, plan)
        print(summary(found))
        print("written:", add_to_report(asked.out, model, found), flush=True)


def measure(side: str, data: Path, recipe: Recipe, plan: Plan) -> dict[str, Any]:
    """Train in this process; return faces per second and how it was set up.

    Args:
        side: A key of :data:`SIDES`.
        data: ``fer2013.csv``.
        recipe: What to train.
        plan: How long; its rounds do not matter here.

    Raises:
        DataError: Training has fewer batches than the plan needs.
    """
    steps = SIDES[side](data, recipe)
    how = next(steps)
    for _ in range(plan.warmup):
        _advance(steps)
    began = time.perf_counter()
    for _ in range(plan.batches):
        _advance(steps)
    seconds = time.perf_counter() - began
    return {"faces_per_second": plan.batches * recipe.batch_size / seconds, "how": how}


def _advance(steps: Iterator[str | None]) -> None:
    try:
        next(steps)
    except StopIteration:
        raise DataError("expected an epoch longer than the batches to measure; use a smaller --batches") from None


def _plain(data: Path, recipe: Recipe) -> Iterator[str | None]:
    import torch

    import plain

    yield f"float32, default layout, {plain.WORKERS} workers, {torch.get_num_threads()} threads"
    yield from plain.train(data, recipe)


def _ferkit(data: Path, recipe: Recipe) -> Iterator[str | None]:
    import torch

    from ferkit.data import read_fer2013
    from ferkit.training.events import Started
    from ferkit.training.loop import Step
    from ferkit.training.run import train

    with tempfile.TemporaryDirectory() as folder:
        for event in train(recipe, read_fer2013(data), Path(folder) / "run", save_seconds=math.inf):
            if isinstance(event, Started):
                precision, threads = f"{event.precision} ({event.reason})", torch.get_num_threads()
                yield f"{precision}, channels last, {event.workers} workers, {threads} threads"
            elif isinstance(event, Step):
                yield None
            else:
                return


SIDES: dict[str, Callable[[Path, Recipe], Iterator[str | None]]] = {"plain": _plain, "ferkit": _ferkit}
"""What is compared, in the order of a round; each yields how it is set up, then once a batch of the first epoch."""


def compare(model: str, data: Path, plan: Plan) -> dict[str, Any]:
    """Return the rounds of one recipe and where they ran, as plain values; prints each round."""
    rounds: list[dict[str, Any]] = []
    how: dict[str, str] = {}
    for number in range(1, plan.rounds + 1):
        others = Others()
        values: dict[str, Any] = {}
        for side in SIDES:
            found = _in_fresh_process(side, model, data, plan)
            values[side], how[side] = round(found["faces_per_second"], 2), found["how"]
        values["ratio"] = round(values["ferkit"] / values["plain"], 3)
        values["others"] = others.cores()
        rounds.append(values)
        print(f"{model} round {number}:", *(f"{name} {value}" for name, value in values.items()), flush=True)
    return {
        "recipe": get_recipe(model).to_dict(),
        "warmup": plan.warmup,
        "batches": plan.batches,
        "how": how,
        "rounds": rounds,
        "medians": {side: median(values[side] for values in rounds) for side in SIDES},
        "environment": _environment(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _in_fresh_process(side: str, model: str, data: Path, plan: Plan) -> dict[str, Any]:
    """Measure where no allocator setting, thread pool or cache of the other side is left."""
    asked = ["--side", side, "--model", model, "--data", str(data), "--batches", str(plan.batches)]
    done = subprocess.run([sys.executable, __file__, *asked], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment() -> dict[str, Any]:
    from ferkit.training.surroundings import describe

    found = describe("cpu")
    cores = usable_processors()
    return {**found, "cores": cores, "versions": {**found["versions"], "pandas": version("pandas")}}


def add_to_report(folder: Path, model: str, found: dict[str, Any]) -> Path:
    """Put what was found into today's JSON, beside other models of the day, and write the Markdown anew from it."""
    name = f"training-{day_of(found)}"
    path = folder / f"{name}.json"
    content: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"schema": SCHEMA, "models": {}}
    )
    content["models"][model] = found
    return write_report(folder, name, content, to_markdown(content))


def to_markdown(content: dict[str, Any]) -> str:
    """Render the JSON of a day."""
    lines = ["# Training speed: ferkit against a plain notebook", ""]
    lines += ["Generated by `benchmarks/training.py`; [what it measures](../README.md).", ""]
    for model, found in sorted(content["models"].items()):
        lines += _section(model, found)
    return "\n".join(lines)


def _section(model: str, found: dict[str, Any]) -> list[str]:
    environment = found["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    commit = f"{environment['commit']}{' with changes' if environment['dirty'] else ''}"
    return [
        f"## Recipe {model}, batches of {found['recipe']['batch_size']}",
        "",
        f"**{summary(found)}**",
        "",
        "| round | plain, faces/s | ferkit, faces/s | ratio | cores used by others |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {number} | {row['plain']:.4g} | {row['ferkit']:.4g} | {row['ratio']:.2f} | {in_words(row['others'])} |"
            for number, row in enumerate(found["rounds"], start=1)
        ),
        "",
        f"- plain: {found['how']['plain']}",
        f"- ferkit: {found['how']['ferkit']}",
        f"- timed: {found['batches']} batches a round and side, after {found['warmup']} others",
        f"- processor: {environment['device']}, {environment['cores']} of them usable; {environment['platform']}",
        f"- versions: {versions}; commit {commit}",
        f"- finished: {found['finished']}",
        "",
    ]


def summary(found: dict[str, Any]) -> str:
    """Return one sentence: the ratio of the medians, its spread and the verdict."""
    plain, ferkit = found["medians"]["plain"], found["medians"]["ferkit"]
    ratios = [values["ratio"] for values in found["rounds"]]
    rounds = f"{len(ratios)} {'round' if len(ratios) == 1 else 'rounds'}"
    return (
        f"{ferkit / plain:.2f} times plain: medians {ferkit:.4g} and {plain:.4g} faces/s of {rounds}, "
        f"ratios of single rounds {min(ratios):.2f} to {max(ratios):.2f}; "
        f"{'reaches' if ferkit / plain >= TARGET else 'misses'} the target of {TARGET}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--model", choices=PLANS, help="only this recipe")
    parser.add_argument("--rounds", type=count, help="pairs of processes, instead of the plan's")
    parser.add_argument("--batches", type=count, help="batches to time, instead of the plan's")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    plainly(main)
