"""Runs ``ferkit reproduce`` on tables of a few seconds: ``python small_tables.py TARGET... --data CSV [OPTION...]``."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import typer

from ferkit.cli.reproduce import Spread, run
from ferkit.errors import FerkitError
from ferkit.report.table import Ensemble, Row, Table
from ferkit.training.recipe import Recipe

BASE = Recipe(
    model="layers", options={"depth": 4}, optimizer="adam", lr=0.01, batch_size=16, epochs=1, augmentation="none"
)
SLOW = replace(BASE, epochs=36)


def table(name, **recipes):
    """Return a table of the given rows."""
    rows = tuple(
        Row(slug=slug, label=slug.title(), recipe=recipe, accuracy=60.0, loss=None) for slug, recipe in recipes.items()
    )
    return Table(name=name, title=name, source="made by a test", unclear=(), rows=rows)


TABLES = {
    each.name: each
    for each in (
        table("pair", base=BASE, longer=replace(BASE, epochs=2)),
        table("again", same=BASE),
        table("broken", explodes=replace(BASE, optimizer="sgd", lr=1e30), base=BASE),
        table("slow", slow=SLOW, slower=replace(SLOW, lr=0.011)),
    )
}
STUDENT = replace(BASE, lr=0.02)
TABLES["taught"] = Table(
    name="taught",
    title="Teachers and a student",
    source="made by a test",
    unclear=(),
    rows=(
        Row(slug="student", label="Student", recipe=STUDENT, taught_by=("teacher",)),
        Row(slug="teacher", label="Teacher", recipe=replace(BASE, lr=0.015)),
    ),
    ensembles=(Ensemble(slug="both", label="Both", members=("teacher", "student")),),
    published=(),
)
TABLES["ways"] = replace(table("ways", base=replace(BASE, lr=0.03)), baseline="base")

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="+")
    for name, kind in (("data", Path), ("results", Path), ("runs", Path), ("executor", Spread)):
        parser.add_argument(f"--{name}", type=kind)
    for name, number in (("seeds", int), ("jobs", int), ("max-minutes", float)):
        parser.add_argument(f"--{name}", type=number)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        run(TABLES, **given)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except FerkitError as error:
        sys.exit(f"error: {error}")
