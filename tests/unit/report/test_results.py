import copy
import json
from dataclasses import replace

import pytest

from ferkit.experiments import TABLES
from ferkit.report.results import Run, render, table_page
from ferkit.report.table import Row, Table
from ferkit.training.recipe import Recipe

RECIPE = Recipe(model="layers")
TABLE = Table(
    name="table-9",
    title="Table 9",
    source="made by a test",
    unclear=("Nothing.",),
    rows=(
        Row(slug="a", label="A", recipe=RECIPE, accuracy=60.0, loss=1.1),
        Row(slug="b", label="B", recipe=Recipe(model="layers", lr=0.5), accuracy=None, loss=None),
    ),
)


def run(seed, accuracy, recipe=RECIPE):
    scores = {"accuracy": accuracy, "loss": 1.0, "faces": 3589}
    content = {
        "schema": 1,
        "key": recipe.key(),
        "seed": seed,
        "recipe": recipe.to_dict(),
        "evaluation": {"validation": scores, "test": scores, "test_without_copies": scores},
        "epochs": [{"number": 1, "valid": {"accuracy": accuracy}}],
        "device": "a machine",
        "precision": "bf16",
        "seconds": 90.0,
        "versions": {"torch": "2.0"},
        "commit": "abc",
        "dirty": False,
        "weights_sha256": "0" * 64,
    }
    return Run(None, recipe.key(), content)


def row_of(page, label):
    return next(line for line in page.splitlines() if line.startswith(f"| {label} |"))


def test_a_row_without_a_run_shows_dashes():
    page = table_page(TABLE, [])
    assert row_of(page, "A") == "| A | 60.0 | - | 0 | - | - | 1.100 | - | - | - |"
    assert row_of(page, "B") == "| B | - | - | 0 | - | - | - | - | - | - |"


def test_one_run_has_no_spread():
    page = table_page(TABLE, [run(0, 0.58)])
    assert row_of(page, "A") == "| A | 60.0 | 58.0 | 1 | -2.0 | 56.4 to 59.6 | 1.100 | 1.000 | 58.0 | 58.0 |"


def test_several_runs_show_mean_and_spread():
    page = table_page(TABLE, [run(0, 0.58), run(1, 0.60), run(2, 0.62)])
    assert "| A | 60.0 | 60.0 ± 2.0 | 3 | +0.0 |" in page


def test_runs_with_other_settings_belong_to_no_row():
    page = table_page(TABLE, [run(0, 0.58, Recipe(model="layers", lr=0.123))])
    assert row_of(page, "A").split("|")[4].strip() == "0"


def test_a_table_that_repeats_a_name_is_a_bug():
    rows = (TABLE.rows[0], replace(TABLE.rows[0], label="C"))
    with pytest.raises(RuntimeError, match="repeats a row"):
        Table(name="x", title="x", source="x", unclear=(), rows=rows)


def test_a_committed_result_is_found_by_its_key(tmp_path):
    content = copy.deepcopy(run(0, 0.5).content)
    recipe = TABLES["table-1"].rows[0].recipe
    content |= {"key": recipe.key(), "recipe": recipe.to_dict()}
    place = tmp_path / "results/anywhere/named/seed-0.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(content))
    pages = render(tmp_path / "results", tmp_path / "docs", tmp_path / "README.md", TABLES)
    assert "| 50.0 | 1 |" in row_of(pages[tmp_path / "docs/table-1.md"], TABLES["table-1"].rows[0].label)


def test_the_reported_numbers_are_those_of_the_report():
    reported = {name: [(row.accuracy, row.loss) for row in table.rows] for name, table in TABLES.items()}
    assert reported["table-1"] == [
        (59.0, 1.076),
        (59.0, 1.076),
        (63.5, 1.008),
        (58.9, 1.050),
        (63.7, 1.001),
        (61.3, 1.014),
    ]
    assert reported["table-2"] == [(61.2, 1.061), (60.1, 1.074), (67.4, 0.903)]
