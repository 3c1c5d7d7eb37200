"""Searching settings: what may vary, what is given up, what a stop leaves, and that PrivateTest is never read."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import make_data
from ferkit.data import Fer2013
from ferkit.errors import FerkitError, RecipeError, RunError
from ferkit.report.search import Range, Trial, found, importance, read_space, search
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe, recipe_from_toml
from ferkit.training.run import Stopped

RECIPE = Recipe(
    model="layers",
    optimizer="adam",
    lr=0.01,
    epochs=3,
    batch_size=16,
    precision="float32",
    device="cpu",
    augmentation="none",
)
SPACE = (Range("lr", 0.001, 0.1, log=True), Range("dropout", choices=(0.0, 0.2)))
RECIPE_2 = replace(RECIPE, model="model2", options={"dropout": 0.0}, epochs=1)


@pytest.fixture(scope="module")
def data():
    return make_data(training=48, tests=20)


RATES = (Range("lr", 0.001, 0.1, log=True), Range("mixup", choices=(0.0, 0.2)))


def tried(events):
    return [event for event in events if isinstance(event, Trial)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory, data):
    """Return the folder of a search of six trials, none given up."""
    out = tmp_path_factory.mktemp("search") / "out"
    list(search(RECIPE, RATES, data, out, trials=6, pruner="none"))
    return out


def test_every_trial_is_a_finished_run_of_its_settings_and_the_best_is_a_recipe(searched):
    trials = found(RECIPE, RATES, searched)
    assert [trial.state for trial in trials] == ["done"] * 6
    assert trials[0].accuracy == max(trial.accuracy for trial in trials)
    for trial in trials:
        folder = RunFolder(searched / "trials" / f"{trial.number:04}")
        assert folder.read_recipe().lr == trial.settings["lr"]
        assert folder.read_recipe().mixup == trial.settings["mixup"]
        assert folder.read_result()["evaluation"]["validation"]["accuracy"] == trial.accuracy
    best = recipe_from_toml((searched / "best.toml").read_text(), "best.toml")
    assert best == replace(RECIPE, lr=trials[0].settings["lr"], mixup=trials[0].settings["mixup"])


def test_the_test_split_is_not_read(searched, data, tmp_path):
    for folder in (searched / "trials").iterdir():
        evaluation = RunFolder(folder).read_result()["evaluation"]
        assert {part: values["split"] for part, values in evaluation.items()} == {"validation": "PublicTest"}
    other = data.faces.images.copy()
    other[data.splits == 2] = np.random.default_rng(1).integers(0, 256, other[data.splits == 2].shape)
    poisoned = Fer2013(faces=replace(data.faces, images=other), splits=data.splits, source="made by a test")
    list(search(RECIPE, RATES, poisoned, tmp_path / "out", trials=2, pruner="none"))
    mine, theirs = (
        sorted((trial.number, trial.accuracy, trial.settings["lr"]) for trial in found(RECIPE, RATES, out))
        for out in (tmp_path / "out", searched)
    )
    assert mine == theirs[:2]


def test_what_matters_adds_up_to_one(searched):
    shares = importance(RECIPE, RATES, searched)
    assert set(shares) == {"lr", "mixup"}
    assert sum(shares.values()) == pytest.approx(1)


def test_a_search_that_is_done_does_nothing_and_one_with_more_trials_goes_on(searched, data):
    assert tried(search(RECIPE, RATES, data, searched, trials=6)) == []


def test_hopeless_trials_are_given_up_and_keep_their_checkpoints(tmp_path):
    data = make_data(training=300, tests=40)  # enough to tell them apart after one epoch
    space = (Range("lr", choices=(0.03, 1e-9)),)
    recipe = replace(RECIPE, epochs=4)
    trials = tried(search(recipe, space, data, tmp_path / "out", trials=7, pruner="asha"))
    given_up = [trial for trial in trials if trial.state == "given up"]
    assert given_up
    assert all(trial.epochs < 4 for trial in given_up)
    assert any(trial.state == "done" for trial in trials)
    assert RunFolder(tmp_path / "out" / "trials" / f"{given_up[0].number:04}").last.exists()


def test_a_stopped_search_takes_its_trial_up_again_and_counts_it_once(data, tmp_path):
    out = tmp_path / "out"
    *_, last = search(RECIPE, RATES, data, out, trials=2, max_minutes=0)
    assert isinstance(last, Stopped)
    (begun,) = found(RECIPE, RATES, out)
    assert begun.state == "part done"
    trials = tried(search(RECIPE, RATES, data, out, trials=2))
    assert (trials[0].number, trials[0].settings) == (begun.number, begun.settings)
    assert len(found(RECIPE, RATES, out)) == 2
    assert len(list((out / "trials").iterdir())) == 2


def test_a_trial_whose_loss_explodes_is_failed_and_the_search_goes_on(data, tmp_path):
    space = (Range("lr", choices=(0.01, 1e30)),)
    recipe = replace(RECIPE, optimizer="sgd", epochs=1)
    trials = tried(search(recipe, space, data, tmp_path / "out", trials=6))
    assert {trial.state for trial in trials} == {"done", "failed"}
    assert len(trials) == 6


def test_another_recipe_or_space_in_the_same_folder_is_refused(searched, data):
    for recipe, space in ((replace(RECIPE, epochs=4), RATES), (RECIPE, RATES[:1])):
        with pytest.raises(RunError) as caught:
            list(search(recipe, space, data, searched, trials=7))
        assert str(caught.value) == f"{searched}: holds a search with another recipe or space; choose another --out"


def test_a_damaged_study_is_named(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(RunError) as caught:
        list(search(RECIPE, RATES, data, out, trials=1))
    assert str(caught.value).startswith(f"{out / 'study.db'}: not a study that can be read")


def test_a_protocol_that_validates_on_private_test_is_refused(data, tmp_path):
    with pytest.raises(RecipeError) as caught:
        list(search(replace(RECIPE, protocol="report"), RATES, data, tmp_path / "out", trials=1))
    assert str(caught.value) == "a search is judged on PublicTest: expected protocol standard, got report"
    assert not (tmp_path / "out").exists()


def test_a_space_is_read_with_its_kinds(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[lr]\nlow = 0.001\nhigh = 0.1\nlog = true\n[batch_size]\nlow = 32\nhigh = 128\nstep = 32\n"
        '[optimizer]\nchoices = ["sgd", "adamw"]\n[dropout]\nlow = 0.0\nhigh = 0.5\n'
    )
    assert read_space(path, RECIPE_2) == (
        Range("lr", 0.001, 0.1, log=True),
        Range("batch_size", 32, 128, step=32, whole=True),
        Range("optimizer", choices=("sgd", "adamw")),
        Range("dropout", 0.0, 0.5),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lr", "not TOML"),
        ("", "expected a table for each setting that varies, got none"),
        ("[lrr]\nlow = 1\nhigh = 2", "did you mean 'lr'?"),
        ("[epochs]\nlow = 1\nhigh = 2", "epochs does not vary in a search; change it with --set"),
        ("[lr]\nlow = 0.2\nhigh = 0.1", "lr: expected numbers low < high, got 0.2 and 0.1"),
        ("[lr]\nlow = 0.2", "lr: expected numbers low < high, got 0.2 and None"),
        ("[lr]\nlow = 0.0\nhigh = 0.1", "lr: input should be greater than 0, got 0"),
        ("[mixup]\nlow = 0.0\nhigh = 0.1\nlog = true", "mixup: log expects low above 0 and no step"),
        ("[lr]\nlow = 0.1\nhigh = 0.2\nsteps = 3", "lr: expected low, high, log, step or choices, got steps"),
        ("[lr]\nchoices = [0.1]", "lr: expected two choices or more"),
        ('[optimizer]\nchoices = ["sgd", "lion"]', "optimizer: input should be"),
        ("lr = 3", "lr: expected low and high, or choices, got 3"),
    ],
)
def test_a_bad_space_is_refused_by_file_and_setting(text, message, tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(FerkitError) as caught:
        read_space(path, RECIPE)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
