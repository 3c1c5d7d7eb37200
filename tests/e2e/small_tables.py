"""The program with tables of a few seconds: ``python small_tables.py reproduce TARGET... --data CSV [OPTION...]``."""

from dataclasses import replace

import ferkit.experiments
from ferkit.cli.main import main
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
    ferkit.experiments.TABLES = TABLES
    main()
