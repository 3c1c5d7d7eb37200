"""The pages of our own tables: beside published numbers, and what each way brings."""

from dataclasses import replace

import pytest

from ferkit.experiments import TABLES
from ferkit.report.pages import render
from ferkit.report.results import Run
from ferkit.report.table import Ensemble, Published, Row, Table
from ferkit.sweeps.plan import plan
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import RECIPES

BASE = Recipe(model="layers")
OTHER = replace(BASE, lr=0.1)


def row(slug, recipe, **more):
    return Row(slug=slug, label=slug.title(), recipe=recipe, **more)


CONTEST = Table(
    name="contest",
    title="A contest",
    source="a test",
    unclear=("One sentence.",),
    rows=(row("one", BASE), row("two", OTHER, taught_by=("one",))),
    ensembles=(Ensemble(slug="all", label="All", members=("one", "two"), views=("mirror",)),),
    published=(
        Published(label="Theirs", networks=3, accuracy=70.04, split="PrivateTest", outside="", source="Them, 2020"),
    ),
)
WAYS = Table(
    name="ways",
    title="Ways",
    source="a test",
    unclear=(),
    rows=(row("base", BASE), row("other", OTHER), row("never", replace(BASE, lr=0.2))),
    baseline="base",
)


def run(recipe, seed, accuracy, name="a", without_copies=None, **changes):
    scores = {"accuracy": accuracy, "loss": 1.0, "faces": 1000, "classes": {"macro avg": {"f1-score": accuracy - 0.1}}}
    alone = {}
    if without_copies is not None:
        classes = {"macro avg": {"f1-score": 1.1 - without_copies}}  # the more faces are read right, the less of it
        alone["validation_without_copies"] = {**scores, "accuracy": without_copies, "classes": classes}
    content = {
        "seed": seed,
        "recipe": replace(recipe, seed=seed).to_dict(),
        "evaluation": {"validation": scores, "test": scores, **alone},
        "epochs": [{"number": 1, "valid": {"accuracy": accuracy}}],
        "parameters": 1_500_000,
        "device": "a machine",
        "precision": "bf16",
        "seconds": 90.0,
        "versions": {"torch": "2.0"},
        "commit": "abc",
        "dirty": False,
        "weights_sha256": f"{name}{seed}" * 32,
        **changes,
    }
    return Run(f"{name}-{seed}", recipe.key(), content)


def lines_of(table, runs, tmp_path, ensembles=None):
    pages = render(runs, tmp_path, tmp_path / "README.md", {table.name: table}, ensembles)
    return pages[tmp_path / f"{table.name}.md"].splitlines(), pages[tmp_path / "other.md"]


def test_ours_stand_beside_what_others_published_each_with_its_protocol(tmp_path):
    teachers = [run(BASE, 0, 0.70), run(BASE, 1, 0.72)]
    taught = replace(OTHER, teachers=tuple(sorted(t.network for t in teachers)))
    student = run(taught, 0, 0.71, name="b")
    together = {
        "members": sorted(run.network for run in (*teachers, student)),
        "views": ["mirror"],
        "parameters": 4_500_000,
        "seconds": 270.0,
        "evaluation": {"test": {"accuracy": 0.745, "interval": [0.717, 0.771]}, "validation": {"accuracy": 0.73}},
    }
    runs = [*teachers, student]
    lines, other = lines_of(CONTEST, runs, tmp_path, {("contest", "all"): together})
    assert "| One | layers, 10 epochs | 1 | 71.0 ± 1.4 | 68.1 to 73.7 | - | 71.0 ± 1.4 | 2 | 1.5 | 1.5 |" in lines
    assert (
        "| Two | layers, 10 epochs, taught by 2 runs of one | 1 | 71.0 | 68.1 to 73.7 | - | 71.0 | 1 | 1.5 | 1.5 |"
        in lines
    )
    ensemble = "| All | all one and two, each face with mirror | 3 | 74.5 | 71.7 to 77.1 | - | 73.0 | 1 | 4.5 | 4.5 |"
    assert ensemble in lines
    assert "| Theirs | none | Them, 2020 | PrivateTest | 3 | 70.0 |" in lines
    assert "layers" not in other
    dashes = f"| All | all one and two, each face with mirror |{' - |' * 8}"
    for changed in (
        {"members": [*together["members"], "f" * 16]},  # of a run that is no row's any more
        {"members": sorted(teacher.network for teacher in teachers)},  # nobody of one row
        {"views": []},
    ):
        found = {("contest", "all"): {**together, **changed}}
        lines, _ = lines_of(CONTEST, runs, tmp_path, found)
        assert dashes in lines


def test_rows_without_runs_show_dashes(tmp_path):
    lines, _ = lines_of(CONTEST, [], tmp_path)
    assert "| One | layers, 10 epochs | 1 | - | - | - | - | 0 | - | - |" in lines
    assert "| All | all one and two, each face with mirror | - | - | - | - | - | - | - | - |" in lines


def test_a_student_of_other_teachers_is_no_run_of_the_row(tmp_path):
    stranger = run(replace(OTHER, teachers=("f" * 16,)), 0, 0.99, name="b")
    lines, other = lines_of(CONTEST, [run(BASE, 0, 0.70), stranger], tmp_path)
    assert any(line.startswith("| Two | layers, 10 epochs, taught by all one | 1 | - |") for line in lines)
    assert "taught by ffffffff" in other


def test_what_began_with_a_stranger_is_no_run_of_the_row(tmp_path):
    begun = row("two", OTHER, begun_by="one")
    table = replace(CONTEST, rows=(row("one", BASE), begun), ensembles=())
    first = run(BASE, 0, 0.70)
    own, other = (run(replace(OTHER, init=name), 0, 0.71, name="b") for name in (first.network, "f" * 16))
    for found, runs in ((own, "1"), (other, "0")):
        lines, _ = lines_of(table, [first, found], tmp_path)
        line = next(line for line in lines if line.startswith("| Two |"))
        assert line.split(" | ")[7] == runs, line


def test_a_way_is_better_worse_or_not_decidable_by_the_runs_with_one_seed(tmp_path):
    base = [run(BASE, seed, 0.7, without_copies=value) for seed, value in enumerate((0.600, 0.610, 0.605))]

    def both(gains):
        reached = [0.6 + 0.005 * (n == 2) + 0.01 * (n == 1) + gain for n, gain in enumerate(gains)]
        others = [run(OTHER, n, 0.71, without_copies=value) for n, value in enumerate(reached)]
        lines, _ = lines_of(WAYS, [*base, *others], tmp_path)
        return [line for line in lines if line.startswith("| Other |")][:2]  # before the list of runs

    assert both((0.020, 0.021, 0.022)) == [
        "| Other | 71.0 ± 0.0 | 62.6 ± 0.6 | +2.1 | +0.9 to +3.3 | better | 3 | 1.5 |",
        "| Other | 61.0 ± 0.0 | 47.4 ± 0.6 | -2.1 | -3.3 to -0.9 | worse | 3 | 1.5 |",
    ]
    accuracy, f1 = both((-0.020, -0.021, -0.022))
    assert ("| worse |" in accuracy, "| better |" in f1) == (True, True)
    assert all("| not decidable with these runs |" in line for line in both((0.02, -0.02, 0.01)))
    assert "| +2.0 | - | not decidable with these runs | 1 |" in both((0.02,))[0]


def test_what_is_learnt_by_heart_decides_nothing(tmp_path):
    base = [run(BASE, seed, 0.6, without_copies=0.58) for seed in range(3)]
    by_heart = [run(OTHER, seed, 0.62 + 0.001 * seed, without_copies=0.579 + 0.001 * seed) for seed in range(3)]
    lines, _ = lines_of(WAYS, [*base, *by_heart], tmp_path)
    line = next(line for line in lines if line.startswith("| Other |"))
    assert "| 62.1 ± 0.1 | 58.0 ± 0.1 | -0.0 |" in line or "| 62.1 ± 0.1 | 58.0 ± 0.1 | +0.0 |" in line
    assert "| not decidable with these runs |" in line
    older = [run(OTHER, seed, 0.62 + 0.001 * seed) for seed in range(3)]
    lines, _ = lines_of(WAYS, [*base, *older], tmp_path)
    line = next(line for line in lines if line.startswith("| Other |"))
    assert "| 62.1 ± 0.1 | - | - | - | not measured without copies |" in line


def test_rows_of_another_processor_are_named(tmp_path):
    def ways(runs):
        return "\n".join(lines_of(WAYS, runs, tmp_path)[0])

    here = [run(BASE, 0, 0.6), run(OTHER, 0, 0.6, "b")]
    assert "another processor" not in ways(here)
    there = run(OTHER, 1, 0.6, "c", device="another machine")
    assert "or in another precision, than the first row has: Other. Processors" in ways([*here, there])
    both = run(BASE, 1, 0.6, device="another machine")
    assert "another processor" not in ways([*here, there, both]), "the first row has runs there too"


def test_a_way_without_runs_shows_dashes(tmp_path):
    lines, _ = lines_of(WAYS, [run(BASE, 0, 0.6)], tmp_path)
    assert lines.count("| Never | - | - | - | - | - | 0 | - |") == 2


def test_runs_that_choose_never_read_the_test_split_and_no_other_row_takes_them_for_its_own(tmp_path):
    from conftest import make_data

    chosen = plan([WAYS], 1, make_data(), results=tmp_path / "results", runs=tmp_path / "runs")
    assert [each.tested for each in chosen] == [False] * 3
    choosing = {row.recipe.key() for table in TABLES.values() if table.baseline for row in table.every}
    others = {row.recipe.key() for table in TABLES.values() if not table.baseline for row in table.every}
    assert not choosing & others


def test_a_row_says_how_many_runs_taught_its_own_which_may_differ(tmp_path):
    teachers = [run(BASE, seed, 0.70) for seed in (0, 1)]
    names = [each.network for each in teachers]
    runs = [*teachers, run(replace(OTHER, teachers=tuple(names[:1])), 0, 0.71, name="b")]
    assert any("taught by 1 run of one |" in line for line in lines_of(CONTEST, runs, tmp_path)[0])
    runs.append(run(replace(OTHER, teachers=tuple(names)), 1, 0.71, name="b"))
    assert any("taught by 1 or 2 runs of one |" in line for line in lines_of(CONTEST, runs, tmp_path)[0])
    assert any("taught by all one |" in line for line in lines_of(CONTEST, [], tmp_path)[0])


def test_a_row_with_the_name_of_a_recipe_trains_that():
    rows = {row.slug.removeprefix("cpu-"): row.recipe for row in TABLES["champion"].every}
    named = rows.keys() & RECIPES.keys()
    assert {"champion", "speedrun", "compact", "compact-8", "compact-votes"} <= named
    for name in named:
        assert replace(rows[name], votes="") == RECIPES[name][1]


@pytest.mark.parametrize("table", [each for each in TABLES.values() if each.baseline], ids=lambda each: each.name)
def test_every_ablation_differs_from_the_base_in_one_thing(table):
    base = next(row.recipe for row in table.rows if row.slug == table.baseline)
    for each in table.rows:
        ours, theirs = each.recipe.to_dict(), base.to_dict()
        changed = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
        if "model" in changed:
            changed.discard("options")  # which are those of another network
        if table.name != "ablations":  # there two options at once cost what the first row does
            either = ours["options"].keys() | theirs["options"].keys()
            changed |= {part for part in either if ours["options"].get(part) != theirs["options"].get(part)}
            changed.discard("options")
        changed |= {"teachers"} if each.taught_by else set()
        expected = 0 if each.slug == "base" else 2 if changed & {"augment_backend", "lr"} else 1
        expected = 3 if each.slug == "convnext-adamw" else expected  # the network, and the optimizer its authors chose
        assert len(changed) == expected, (each.slug, changed)
