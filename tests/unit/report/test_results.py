import copy
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import make_part
from ferkit.errors import RunError
from ferkit.experiments import TABLES
from ferkit.labels import EXPRESSIONS
from ferkit.report.beside import BESIDE_MARKS, beside_table
from ferkit.report.pages import README_MARKS, left_over, other_page, render, table_page, write
from ferkit.report.pages_parts import GENERATED
from ferkit.report.pictures import pictures
from ferkit.report.results import Run, read_results, sound_results
from ferkit.report.table import Claim, Row, Table
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
    scores, tested = make_part(accuracy), make_part(accuracy, split="PrivateTest")
    side = {"loss": 1.0, "accuracy": accuracy}
    content = {
        "schema": 1,
        "key": recipe.key(),
        "seed": seed,
        "recipe": replace(recipe, seed=seed).to_dict(),
        "evaluation": {"validation": scores, "test": tested, "test_without_copies": tested},
        "epochs": [{"number": number, "train": side, "valid": side} for number in range(1, recipe.epochs + 1)],
        "parameters": 6_312,
        "device": "a machine",
        "precision": "bf16",
        "seconds": 90.0,
        "versions": {"torch": "2.0"},
        "commit": "abc",
        "dirty": False,
        "weights_sha256": hashlib.sha256(f"{recipe.key()} {seed}".encode()).hexdigest(),
    }
    return Run(None, recipe.key(), content)


def with_score(name, **scores):
    """Return the scores of each class of a run, with others for one of them."""
    classes = make_part(0.58)["classes"]
    return {**classes, name: {**classes[name], **scores}}


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
    validation, test = make_part(0.5, split="PrivateTest"), make_part(0.5)  # the report's protocol
    content |= {"key": recipe.key(), "recipe": recipe.to_dict(), "evaluation": {"validation": validation, "test": test}}
    place = tmp_path / "results/anywhere/named/seed-0.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(content))
    pages = render(read_results(tmp_path / "results"), tmp_path / "docs", tmp_path / "README.md", TABLES)
    assert "| 50.0 | 1 |" in row_of(pages[tmp_path / "docs/table-1.md"], TABLES["table-1"].rows[0].label)


def without(name):
    return lambda content: content.pop(name)


def part(**changes):
    return lambda content: content["evaluation"]["validation"].update(changes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *(
            pytest.param(without(name), f"{name} is missing", id=f"no {name}")
            for name in ("evaluation", "epochs", "device", "seed", "weights_sha256")
        ),
        pytest.param(lambda c: c.update(evaluation=[1]), "evaluation: input should be a valid dict", id="a list"),
        pytest.param(lambda c: c.update(evaluation={}), "evaluation: validation is missing", id="no validation"),
        pytest.param(
            lambda c: c["evaluation"]["test"].pop("loss"), "evaluation.test.loss is missing", id="a part without loss"
        ),
        pytest.param(part(accuracy=float("nan")), "validation.accuracy: input should be a finite number", id="nan"),
        pytest.param(part(accuracy=2), "validation.accuracy: input should be less than or equal to 1", id="above 1"),
        pytest.param(part(classes={}), "evaluation.validation.classes: angry is missing", id="no classes"),
        pytest.param(lambda c: c.update(recipe={"model": "no"}), "recipe: unknown model 'no'", id="another network"),
    ],
)
def test_a_result_that_the_pages_cannot_show_is_refused_by_file_and_field(tmp_path, damage, message):
    content = json.loads(json.dumps(run(0, 0.5).content))  # parts that are not one object
    damage(content)
    (tmp_path / "seed-0.json").write_text(json.dumps(content))
    with pytest.raises(RunError) as caught:
        read_results(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'seed-0.json'}: not the result of a run (")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accuracy": 0.99}, "the accuracy is 0.5801"),
        ({"interval": [0.5, 0.6]}, "the interval is 0.56"),
        ({"split": "PrivateTest"}, "evaluation.validation: of PrivateTest, expected PublicTest"),
        ({"split": "Training"}, "evaluation.validation: of Training, expected PublicTest"),
        (
            {"classes": {**make_part(0.58)["classes"], "happy": make_part(0.5)["classes"]["angry"]}},
            "(precision|recall|F1) of happy is 0.0",
        ),
        ({"classes": with_score("happy", precision=0.99)}, "precision of happy is 0.0"),
        ({"classes": with_score("fear", recall=0.99)}, "recall of fear is 0.0"),
        ({"classes": with_score("macro avg", recall=0.99)}, "recall of macro avg is 0.0"),
        ({"loss": -0.1}, "greater than or equal to 0"),
        ({"faces": 3588}, "the confusion matrix has 3589 faces, not 3588"),
        ({"confusion": [[-1, 1, *[0] * 5], *[[0] * 7] * 6]}, "greater than or equal to 0"),
    ],
)
def test_a_result_that_contradicts_itself_is_none(tmp_path, changed, message):
    content = run(0, 0.58).content
    content["evaluation"]["validation"] = {**content["evaluation"]["validation"], **changed}
    (tmp_path / "seed-0.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=f"not the result of a run .*{message}"):
        read_results(tmp_path)


def test_so_does_one_of_other_faces_without_copies_or_of_other_epochs(tmp_path):
    def refused(change):
        content = json.loads(json.dumps(run(0, 0.58).content))
        change(content)
        (tmp_path / "seed-0.json").write_text(json.dumps(content))
        with pytest.raises(RunError) as caught:
            read_results(tmp_path)
        return str(caught.value)

    def alone(content, **changed):
        whole = content["evaluation"]["validation"]
        content["evaluation"]["validation_without_copies"] = {**whole, **changed}

    assert "evaluation.validation_without_copies: of Training, expected PublicTest" in refused(
        lambda content: alone(content, split="Training")
    )
    more = make_part(0.5, faces=4000)
    assert "validation_without_copies: 4000 faces, of 3589" in refused(lambda content: alone(content, **more))
    assert "epochs: 9, but 10 in the recipe" in refused(lambda content: content["epochs"].pop())


def test_the_seed_is_that_of_the_recipe(tmp_path):
    content = {**run(0, 0.58).content, "seed": 1}
    (tmp_path / "seed-1.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="seed: 1, but 0 in the recipe"):
        read_results(tmp_path)


def test_one_network_is_not_the_result_of_two_seeds(tmp_path):
    """A file that is copied and edited makes no second run, and no smaller interval."""
    for seed in (0, 1):
        content = {**run(seed, 0.58).content, "weights_sha256": "a" * 64}
        (tmp_path / f"seed-{seed}.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"seed-1.json: holds the network of .*seed-0.json, but another recipe or seed"):
        read_results(tmp_path)


def test_damaged_results_keep_no_sound_one_behind_them_out(tmp_path):
    first, copied = ({**run(seed, 0.58).content, "weights_sha256": "a" * 64} for seed in (0, 1))
    for seed, content in enumerate([json.dumps(first), json.dumps(copied), "{", json.dumps(run(3, 0.58).content)]):
        (tmp_path / f"seed-{seed}.json").write_text(content)
    sound, damaged = sound_results(tmp_path)
    assert [found.seed for found in sound] == [0, 3]
    assert [path.name for path in damaged] == ["seed-1.json", "seed-2.json"]


def test_json_that_is_nested_too_deep_is_no_result(tmp_path):
    (tmp_path / "seed-0.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match="not the result of a run"):
        read_results(tmp_path)


def test_a_run_without_faces_to_test_on_shows_dashes(tmp_path):
    alone = run(0, 0.58)
    del alone.content["evaluation"]["test"], alone.content["evaluation"]["test_without_copies"]
    table = replace(TABLE, part="test", claims=(Claim(text="A is better.", pairs=(("a", "b"),)),))
    assert row_of(table_page(table, [alone]), "A") == "| A | 60.0 | - | 1 | - | - | 1.100 | - | 58.0 | - |"
    (overview, _) = pictures_of([alone], tmp_path / "table.png", table)
    overview.write()
    assert (tmp_path / "table.png").is_file()


def pictures_of(runs, path, table=TABLE):
    return pictures(runs, path, {"table-2": table, "champion": replace(TABLE, rows=())})


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_picture_of_other_runs_is_stale_and_so_is_one_that_is_gone(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    picture = pictures_of([run(0, 0.6)], path)[0]
    assert picture.is_stale
    picture.write()
    assert not picture.is_stale
    assert not pictures_of([run(0, 0.6)], path)[0].is_stale
    assert pictures_of([run(0, 0.4)], path)[0].is_stale
    path.write_bytes(b"another picture")
    assert picture.is_stale


def test_a_run_in_two_places_counts_once(tmp_path):
    content = json.dumps(run(0, 0.5).content)
    for place in ("x/a", "from-elsewhere/x/a"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "seed-0.json").write_text(content)
    assert [found.path for found in read_results(tmp_path)] == [tmp_path / "from-elsewhere/x/a/seed-0.json"]


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
    assert reported["table-3"] == [
        (64.2, 0.955),
        (64.1, 0.963),
        (65.7, 0.923),
        (64.0, 0.961),
        (64.2, 0.954),
        (66.7, 0.897),
        (67.8, 0.880),
        (67.1, 0.890),
        (67.8, 0.892),
        (67.8, 0.876),
    ]
    assert reported["table-4"] == [(66.7, 0.897), (64.9, 0.937), (67.1, 0.878), (63.3, 0.994)]
    assert reported["table-5"] == [(67.7, 0.887), (65.9, 0.901)]
    assert reported["table-6"] == [
        (66.7, 0.897),
        (69.2, 0.862),
        (65.2, 0.926),
        (62.0, 0.987),
        (69.0, 0.852),
        (69.6, 0.849),
    ]
    assert reported["table-7"] == [
        (51.2, 1.262),
        (52.0, 1.286),
        (50.8, 1.297),
        (50.0, 1.307),
        (59.0, 1.080),
        (56.0, 1.116),
        (58.3, 1.105),
        (58.0, 1.083),
        (61.7, 1.013),
        (62.1, 1.007),
        (62.2, 1.013),
        (62.2, 1.013),
        (60.2, 1.052),
        (62.1, 1.007),
        (62.2, 1.013),
        (57.1, 1.117),
        (69.0, 0.852),
    ]
    assert reported["final"] == [(68.7, 0.959)]


def test_the_same_setting_is_one_run():
    key = {(name, row.slug): row.recipe.key() for name, table in TABLES.items() for row in table.every}
    assert key["table-3", "sgd-0.02"] == key["table-5", "onecycle"] == key["table-6", "batch-64-channels-1024"]
    assert key["table-2", "model-3"] == key["table-3", "sgd-0.002"] == key["table-4", "cross-entropy-sgd"]
    assert key["table-6", "batch-64-channels-2048"] == key["table-7", "layers-10-nll-sgd"]
    assert len({k for (name, _), k in key.items() if name == "table-7"}) == 9
    assert len({k for (name, _), k in key.items() if name == "table-6"}) == 6


def test_a_page_of_the_test_split_reads_its_numbers_there():
    content = run(0, 0.5, TABLES["final"].rows[0].recipe)
    shares = {"precision": 0.21, "recall": 0.22, "f1-score": 0.23}
    content.content["evaluation"]["test"] = {
        "accuracy": 0.7,
        "loss": 0.9,
        "faces": 3589,
        "classes": dict.fromkeys(EXPRESSIONS, shares),
    }
    page = table_page(TABLES["final"], [content])
    assert "| 68.7 | 70.0 | 1 | +1.3 |" in page
    assert "| fear | 0.55 | 0.21 | 0.52 | 0.22 | 0.54 | 0.23 |" in page


def test_a_run_of_no_row_has_its_page():
    page = other_page([run(0, 0.5, Recipe(model="layers", lr=0.123))])
    assert "| layers, 10 epochs, batch 64 | standard | 50.0 | 50.0 | 50.0 |" in page


def test_pages_of_other_results_have_no_link_and_no_picture_that_leads_nowhere(tmp_path):
    docs, readme = tmp_path / "elsewhere" / "results", tmp_path / "README.md"
    readme.write_text(f"{README_MARKS[0]}\n{README_MARKS[1]}\n")
    one = run(0, 0.5, TABLES["table-2"].rows[0].recipe)
    picture = tmp_path / "elsewhere/images/figure-1.png"
    without, with_it = (render([one], docs, readme, TABLES, drawn=drawn) for drawn in ((), [picture]))
    links = re.compile(r"\]\(([^)\s]+)\)")
    for page, text in without.items():
        assert [target for target in links.findall(text) if (page.parent / target).resolve() not in without] == []
    assert "picture" not in without[docs / "table-2.md"]
    assert "![Figure 1: validation loss of the models, seed 0](../images/figure-1.png)" in with_it[docs / "table-2.md"]
    assert "one function here (`docs/concepts/losses.md` of ferkit's source shows it" in without[docs / "table-4.md"]
    assert "in `MODEL_CARD.md` of ferkit's source)" in without[docs / "champion.md"]


def test_links_stay_where_their_files_are(tmp_path):
    (tmp_path / "docs/concepts").mkdir(parents=True)
    (tmp_path / "docs/concepts/losses.md").write_text("losses")
    pages = render([], tmp_path / "docs/results", None, TABLES)
    assert "([losses](../concepts/losses.md) shows it" in pages[tmp_path / "docs/results/table-4.md"]
    assert "[Table 2](table-2.md)" in pages[tmp_path / "docs/results/table-1.md"]


def test_the_readme_counts_what_is_owed(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{README_MARKS[0]}\nold\n{README_MARKS[1]}\nafter\n")
    one = run(0, 0.5, TABLES["table-1"].rows[0].recipe)
    text = render([one], tmp_path, readme, {"table-1": TABLES["table-1"]})[readme]
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "1 of the report's 6 rows have a run; 5 are still owed." in text


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_readme_shows_the_test_split_as_such_whatever_a_table_was_measured_on(tmp_path, part):
    readme = tmp_path / "README.md"
    readme.write_text(f"{README_MARKS[0]}\n{README_MARKS[1]}\n")
    one = run(0, 0.5)
    scores = {"loss": 1.0, "faces": 3589}
    shares = {"validation": 0.61, "test": 0.62, "test_without_copies": 0.63}
    one.content["evaluation"] = {name: {**scores, "accuracy": share} for name, share in shares.items()}
    text = render([one], tmp_path, readme, {TABLE.name: replace(TABLE, part=part)})[readme]
    assert f"| A | 60.0 | {100 * shares[part]:.1f} | 1 |" in text
    assert "| 62.0 | 63.0 |\n" in text


def test_a_page_that_is_generated_no_more_is_told(tmp_path):
    (tmp_path / "table-8.md").write_text(f"# Table 8\n\n{GENERATED}\n")
    (tmp_path / "mine.md").write_text("# Notes of my own\n")
    pages = {tmp_path / "table-9.md": table_page(TABLE, [])}
    write(pages)
    assert left_over(pages, tmp_path) == [tmp_path / "table-8.md"]


def test_a_picture_that_is_cut_off_is_stale(tmp_path):
    (picture,) = pictures([run(0, 0.6)], tmp_path / "table.png", {"table-2": TABLE, "champion": TABLE})[:1]
    picture.write()
    assert not picture.is_stale
    picture.path.write_bytes(picture.path.read_bytes()[:-100])
    assert picture.is_stale


def test_readme_has_the_marks_that_its_generated_tables_stand_between():
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    for marks in (README_MARKS, BESIDE_MARKS):
        begin, end = (readme.index(mark) for mark in marks)
        assert readme[begin:end].count("\n|") > 3
    assert beside_table(Path(__file__).parents[3] / "benchmarks/reports")
