"""How long it takes, from a cold start, to a network of a given accuracy on PrivateTest.

Run:      python benchmarks/speedrun.py --data fer2013.csv [--runs 3] [--out FOLDER]
Costs:    meant to be a minute a run on one GPU, with nothing else on it; not measured yet.
Expected: 72 % of PrivateTest in at most 60 seconds, on one H200; not measured yet.
Dry run:  python benchmarks/speedrun.py --data fer2013.csv --runs 1 --set epochs=1 --out /tmp   does it run?

Each run is ``ferkit train --recipe speedrun`` in a process of its own with the next seed. *To the weights* is the time
from the start of that process, imports and reading of the data included, until its weights are written; *epochs* is the
part of it in which epochs are trained and validated. Evaluation in float32 comes after both. The data set was parsed
before, as after any earlier command; with ``--cold-cache`` it was not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from command_line import count, plainly
from ferkit.data import read_fer2013
from report_files import write_report

SCHEMA = 1

GOAL = (0.72, 60.0)
"""Accuracy and seconds."""


def main() -> None:
    """Measure what the command line asks for and write the report."""
    asked = _parser().parse_args()
    if not asked.cold_cache:
        read_fer2013(asked.data)
    name = f"speedrun-{datetime.now(UTC):%Y-%m-%d}{'-cold' if asked.cold_cache else ''}"
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "settings": asked.settings,
        "cold_cache": asked.cold_cache,
        "load_before": round(os.getloadavg()[0], 2),
        "runs": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.runs):
            content["runs"].append(_timed(asked, asked.keep or Path(folder), seed))
            content["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
            # after every run, so that what cuts the last one short leaves the others
            written = write_report(asked.out, name, content, _page(content))
    print(_page(content))
    print("written:", written)


def _timed(asked: argparse.Namespace, folder: Path, seed: int) -> dict[str, Any]:
    run = folder / f"speedrun-seed-{seed}"
    command = [sys.executable, "-m", "ferkit", "train", "--data", str(asked.data), "--recipe", "speedrun"]
    for setting in (*asked.settings, f"seed={seed}"):
        command += ["--set", setting]
    environment = dict(os.environ)
    if asked.cold_cache:
        environment["XDG_CACHE_HOME"] = str(folder / f"cache-{seed}")
    began = time.time()
    subprocess.run([*command, "--out", str(run)], check=True, env=environment)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    test = result["evaluation"]["test"]
    return {
        "seed": seed,
        "to_the_weights": round((run / "weights.safetensors").stat().st_mtime - began, 2),
        "epochs": result["seconds"],
        "accuracy": test["accuracy"],
        "interval": test["interval"],
        "without_copies": result["evaluation"]["test_without_copies"]["accuracy"],
        "validation": result["evaluation"]["validation"]["accuracy"],
        **{name: result[name] for name in ("device", "precision", "versions", "commit", "key", "weights_sha256")},
    }


def _page(content: dict[str, Any]) -> str:
    runs = content["runs"]
    accuracy, seconds = GOAL
    changed = f", changed: {', '.join(content['settings'])}" if content["settings"] else ""
    parsed = "in every run" if content["cold_cache"] else "before"
    lines = [
        f"# Time to an accuracy, {content['finished'][:10]}",
        "",
        f"`ferkit train --recipe speedrun`{changed}; {runs[0]['device']}, {runs[0]['precision']}, torch",
        f"{runs[0]['versions']['torch']}; the CSV was parsed {parsed}; load before",
        f"{content['load_before']}.",
        "Written by `python benchmarks/speedrun.py`.",
        "",
        "| seed | to the weights, s | epochs, s | PrivateTest | 95 % | without copies | PublicTest |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {run['seed']} | {run['to_the_weights']:.1f} | {run['epochs']:.1f} | {100 * run['accuracy']:.1f} | "
            f"{100 * run['interval'][0]:.1f} to {100 * run['interval'][1]:.1f} | {100 * run['without_copies']:.1f} | "
            f"{100 * run['validation']:.1f} |"
            for run in runs
        ),
        "",
        f"Mean: {100 * mean(run['accuracy'] for run in runs):.1f} % after",
        f"{mean(run['to_the_weights'] for run in runs):.1f} s.",
        f"Aim: {100 * accuracy:.0f} % after at most {seconds:.0f} s, on one H200.",
    ]
    return "\n".join(lines) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--runs", type=count, default=3, help="seeds 0, 1, ...")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--cold-cache", action="store_true", help="parse the CSV in every run")
    parser.add_argument("--keep", type=Path, help="folder to keep the run folders in; they must not be there yet")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    return parser


if __name__ == "__main__":
    plainly(main)
