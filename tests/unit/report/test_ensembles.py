"""Networks that answer together: what they say, when they are measured, and rows that others teach."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import make_data, small_recipe
from ferkit.data import Split
from ferkit.data.faces import SPLITS
from ferkit.data.votes import Votes
from ferkit.errors import DataError, RunError
from ferkit.evaluation import evaluate_predictions, predict
from ferkit.evaluation.views import predict_views
from ferkit.report.ensembles import _folders, read_ensembles, take_up_ensembles
from ferkit.report.results import add_run, read_results, runs_of
from ferkit.report.table import Ensemble, Row, Table
from ferkit.sweeps.plan import State, plan, run_name
from ferkit.training.evaluate import evaluate_together
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.needs import Others
from ferkit.training.run import train
from ferkit.training.teaching import ask_teachers

TEACHER = small_recipe()
STUDENT = replace(TEACHER, lr=0.02)


def row(slug, recipe, **more):
    return Row(slug=slug, label=slug, recipe=recipe, **more)


TABLE = Table(
    name="contest",
    title="A contest",
    source="made by a test",
    unclear=(),
    rows=(
        row("teacher", TEACHER),
        row("student", STUDENT, taught_by=("teacher",)),
        row("alone", STUDENT),
        row("tuned", replace(STUDENT, lr=0.001), begun_by="alone"),
    ),
    ensembles=(Ensemble(slug="both", label="both", members=("teacher",), views=("mirror",)),),
)


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def places(tmp_path_factory, data):
    """Return folders of results and runs in which the teachers of two seeds are finished."""
    home = tmp_path_factory.mktemp("contest")
    for seed in (0, 1):
        folder = home / "runs" / run_name(replace(TEACHER, seed=seed))
        list(train(replace(TEACHER, seed=seed), data, folder, workers=0))
        add_run(folder, home / "results", [TABLE])
    return {"results": home / "results", "runs": home / "runs"}


def test_together_is_the_mean_of_the_probabilities(places, data):
    runs = sorted(places["runs"].iterdir())
    mean = np.mean([np.exp(RunFolder(run).read_predictions("validation")) for run in runs], axis=0)
    expected = evaluate_predictions(np.log(mean), data.split(Split.PUBLIC_TEST).labels)
    found = evaluate_together(runs, data, [Split.PUBLIC_TEST])[Split.PUBLIC_TEST].evaluation
    assert found.confusion == expected.confusion
    assert found.loss == pytest.approx(expected.loss, abs=1e-5)


def test_an_ensemble_is_measured_in_whole_float32(places, data, tmp_path, monkeypatch):
    seen = []

    def look(*given):
        seen.append((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return predict_views(*given)

    monkeypatch.setattr("ferkit.training.evaluate.predict_views", look)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    results = shutil.copytree(places["results"], tmp_path / "results")
    take_up_ensembles(TABLE, 1, data, results=results, runs=places["runs"])
    assert set(seen) == {(False, "highest")}
    assert torch.backends.cudnn.allow_tf32


def test_a_network_counts_once_wherever_its_folder_lies(places, data, tmp_path):
    run = next(places["runs"].iterdir())
    copy = shutil.copytree(run, tmp_path / "copy")
    for again in (run.parent / ".." / "runs" / run.name, copy):
        with pytest.raises(RunError, match="expected different networks, got one twice"):
            evaluate_together([run, again], data, [Split.PUBLIC_TEST])


def test_a_split_without_faces_is_refused(places, data):
    runs = sorted(places["runs"].iterdir())
    with pytest.raises(DataError) as caught:
        evaluate_together(runs, data.without(Split.PUBLIC_TEST), [Split.PUBLIC_TEST])
    assert (
        str(caught.value)
        == "made by a test: expected faces in PublicTest, got none; there are some in Training and PrivateTest"
    )


def test_a_run_folder_whose_result_is_damaged_is_no_member(tmp_path):
    for name in ("result.json", "weights.safetensors", "recipe.toml"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("")
    assert _folders(tmp_path) == {}
    (tmp_path / "run" / "recipe.toml").write_text('model = "layers"')
    assert _folders(tmp_path) == {}


def test_an_ensemble_is_measured_once_and_again_when_its_members_change(places, data):
    assert take_up_ensembles(TABLE, 3, data, **places) == []  # seed 2 is not finished
    (path,) = take_up_ensembles(TABLE, 2, data, **places)
    content = read_ensembles(places["results"], {"contest": TABLE})["contest", "both"]
    networks = sorted(run.network for run in runs_of(TABLE.rows[0], TABLE, read_results(places["results"])))
    assert (content["members"], content["views"], content["protocol"]) == (networks, ["mirror"], "standard")
    assert set(content["evaluation"]) == {*("validation", "validation_without_copies", "test", "test_without_copies")}
    runs = sorted(places["runs"].iterdir())
    for name, split in (("validation", Split.PUBLIC_TEST), ("test", Split.PRIVATE_TEST)):
        models, faces = [load_run(run)[1] for run in runs], data.split(split)
        both_ways = [
            predict(model, images) for model in models for images in (faces.images, np.flip(faces.images, 2).copy())
        ]
        found = content["evaluation"][name]
        expected = evaluate_predictions(np.log(np.mean(np.exp(both_ways), axis=0)), faces.labels)
        assert (found["split"], found["accuracy"]) == (split.value, expected.accuracy)
        assert found["loss"] == pytest.approx(expected.loss, abs=1e-5)
        assert expected.loss != evaluate_predictions(np.log(np.mean(np.exp(both_ways[::2]), axis=0)), faces.labels).loss
    results = [RunFolder(run).read_result() for run in runs]
    assert content["parameters"] == sum(each["parameters"] for each in results)
    assert content["seconds"] == pytest.approx(sum(each["seconds"] for each in results))
    assert take_up_ensembles(TABLE, 2, data, **places) == []
    assert take_up_ensembles(TABLE, 1, data, **places) == [path]
    assert json.loads(path.read_text())["members"] != networks
    (plain,) = TABLE.ensembles
    assert take_up_ensembles(replace(TABLE, ensembles=(replace(plain, views=()),)), 1, data, **places) == [path]
    assert json.loads(path.read_text())["views"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "members is missing"),
        ({"members": [], "views": [], "parameters": 1, "seconds": 1.0}, "evaluation is missing"),
    ],
    ids=["nothing", "no evaluation"],
)
def test_a_damaged_result_of_an_ensemble_is_named(tmp_path, content, message):
    path = tmp_path / "contest" / "both" / "ensemble.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": 1, **content}))
    with pytest.raises(RunError) as caught:
        read_ensembles(tmp_path, {"contest": TABLE})
    assert str(caught.value).startswith(f"{path}: not the result of an ensemble ({message})")


def test_a_row_waits_for_its_teachers_and_then_learns_from_them(places, data):
    waiting, ready = (
        {run.rows[0][1].slug: run for run in plan([TABLE], seeds, data, **places) if run.recipe.seed == 0}
        for seeds in (3, 2)
    )
    assert (waiting["student"].state, waiting["alone"].state) == (State.WAITS, State.NEW)
    assert ready["student"].state is State.NEW
    assert ready["student"].recipe.teachers == tuple(
        sorted(run.network for run in runs_of(TABLE.rows[0], TABLE, read_results(places["results"])))
    )
    assert sorted(ready["student"].teachers) == sorted(folder.name for folder in places["runs"].iterdir())


def test_a_taught_run_belongs_to_the_row_it_was_taught_for_and_an_untaught_one_does_not(places, data, tmp_path):
    teachers = sorted(places["runs"].iterdir())
    lesson = ask_teachers(teachers, data.split(Split.TRAINING))
    list(
        train(
            replace(STUDENT, teachers=lesson.teachers),
            data,
            tmp_path / "taught",
            workers=0,
            others=Others(lesson=lesson),
        )
    )
    list(train(STUDENT, data, tmp_path / "alone", workers=0))
    assert add_run(tmp_path / "taught", places["results"], [TABLE]).parent.name == "student"
    assert add_run(tmp_path / "alone", places["results"], [TABLE]).parent.name == "alone"
    done = {run.rows[0][1].slug: run.state for run in plan([TABLE], 1, data, **places)}
    assert done.pop("tuned") is State.NEW
    assert set(done.values()) == {State.DONE}


def test_a_run_taught_by_others_takes_no_place_of_an_earlier_one(places, data, tmp_path):
    results, teachers = tmp_path / "results", sorted(places["runs"].iterdir())
    shutil.copytree(places["results"], results)
    placed = []
    for number in (1, 2):
        lesson = ask_teachers(teachers[:number], data.split(Split.TRAINING))
        folder = tmp_path / f"taught-{number}"
        list(train(replace(STUDENT, teachers=lesson.teachers), data, folder, workers=0, others=Others(lesson=lesson)))
        placed.append(add_run(folder, results, [TABLE]))
    assert len(set(placed)) == 2
    assert {path.parent.name for path in placed} == {"student"}
    assert add_run(tmp_path / "taught-1", results, [TABLE]) == placed[0]  # it is there
    assert len(runs_of(next(row for row in TABLE.rows if row.slug == "student"), TABLE, read_results(results))) == 2


def test_another_run_of_the_same_recipe_and_seed_is_not_replaced(places, data, tmp_path):
    list(train(STUDENT, data, tmp_path / "alone", workers=0))
    results = tmp_path / "results"
    placed = add_run(tmp_path / "alone", results, [TABLE])
    before = placed.read_bytes()
    result = tmp_path / "alone" / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "weights_sha256": "f" * 64}))
    with pytest.raises(RunError, match="is another run of the same recipe and seed; to replace it, remove it first"):
        add_run(tmp_path / "alone", results, [TABLE])
    assert placed.read_bytes() == before


def test_nor_has_a_table_runs_of_other_faces(places, data, tmp_path):
    results, result = tmp_path / "results", tmp_path / "alone" / "result.json"
    list(train(STUDENT, data, tmp_path / "alone", workers=0))
    placed = add_run(tmp_path / "alone", results, [TABLE])
    content = json.loads(result.read_text())
    other = {**content, "recipe": {**content["recipe"], "seed": 1}, "seed": 1, "weights_sha256": "f" * 64}
    other["data"] = {**content["data"], "faces_sha256": {**content["data"]["faces_sha256"], "Training": "0" * 64}}
    result.write_text(json.dumps(other))
    recipe = RunFolder(tmp_path / "alone").recipe
    recipe.write_text(replace(STUDENT, seed=1).to_toml())
    with pytest.raises(RunError, match=f"alone: was trained or evaluated on other faces than {placed}"):
        add_run(tmp_path / "alone", results, [TABLE])
    assert [each.name for each in results.rglob("seed-*")] == ["seed-0.json"]


def test_a_row_that_begins_with_another_waits_for_its_seed_0_and_owns_what_began_there(places, data, tmp_path):
    fresh = {"results": tmp_path / "results", "runs": places["runs"]}
    list(train(STUDENT, data, tmp_path / "alone", workers=0))

    def tuned(seeds=2):
        return [run for run in plan([TABLE], seeds, data, **fresh) if run.rows[0][1].slug == "tuned"]

    assert [run.state for run in tuned()] == [State.WAITS] * 2
    add_run(tmp_path / "alone", fresh["results"], [TABLE])
    name = RunFolder(tmp_path / "alone").network()
    assert [(run.state, run.recipe.init, run.init) for run in tuned()] == [(State.NEW, name, run_name(STUDENT))] * 2
    weights = load_run(tmp_path / "alone")[1].state_dict()
    list(
        train(
            replace(tuned()[1].recipe, device="cpu"),
            data,
            tmp_path / "tuned",
            workers=0,
            others=Others(weights=weights),
        )
    )
    assert add_run(tmp_path / "tuned", fresh["results"], [TABLE]).parent.name == "tuned"
    assert [run.state for run in tuned()] == [State.NEW, State.DONE]


def test_votes_count_ties_for_the_network_and_leave_out_faces_without_one(places, data):
    (run, *_) = sorted(places["runs"].iterdir())
    said = predict(load_run(run)[1], data.split(Split.PUBLIC_TEST).images).argmax(1)
    public = np.flatnonzero(data.splits == SPLITS.index(Split.PUBLIC_TEST))
    counts = np.zeros((len(data.splits), 7), np.int64)
    counts[public, (said + 1) % 7] = 4
    counts[public[:4], said[:4]] = 4  # ties
    counts[public[4]] = 0
    votes = Votes(counts, np.zeros(len(counts), np.int64), data.faces.labels, data.splits)
    found = evaluate_together([run], data, [Split.PUBLIC_TEST], votes=votes)[Split.PUBLIC_TEST].parts()
    assert found["by_votes"].faces == len(public) - 1
    assert found["by_votes"].accuracy == pytest.approx(4 / (len(public) - 1))
    assert list(found) == ["all", "without_copies", "by_votes"]
    nothing = Votes(0 * counts, votes.others, votes.labels, votes.splits)
    assert (
        "by_votes" not in evaluate_together([run], data, [Split.PUBLIC_TEST], votes=nothing)[Split.PUBLIC_TEST].parts()
    )
