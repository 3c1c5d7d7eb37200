import json
import os
import sys
from dataclasses import replace

import numpy as np
import optuna
import pytest

from conftest import make_data, make_faces
from ferkit.data import Split
from ferkit.errors import DataError, MissingExtraError, RecipeError, RunError
from ferkit.sweeps.search import search
from ferkit.sweeps.search_space import Choices, Range
from ferkit.sweeps.study import _pruner
from ferkit.sweeps.trials import Begun, Ended, Over, Setup
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe
from ferkit.training.recipes import get_recipe

RECIPE = Recipe(
    model="model1",
    options={"widths": (2, 2, 2, 2)},
    optimizer="adam",
    scheduler="none",
    epochs=3,
    batch_size=8,
    augmentation="none",
    augment_backend="batched",
    precision="float32",
    device="cpu",
)
SPACE = {"lr": Range(low=1e-5, high=0.05, log=True), "dropout": Choices((0.0, 0.2))}
SETUP = Setup(recipe=RECIPE, space=SPACE)


@pytest.fixture(scope="module")
def data():
    return make_data(training=96, tests=40)


def run(setup, data, out, **options):
    """Return the end of a search, and what happened before."""
    *events, over = search(setup, data, out, workers=0, **options)
    assert isinstance(over, Over)
    return over, events


def told(over):
    """Return what must not depend on how a search came about."""
    return [(t.number, t.state, t.accuracy, t.epoch, dict(t.settings)) for t in over.trials]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("search") / "out"
    return out, *run(SETUP, data, out, trials=6)


def test_every_trial_is_a_run_folder_with_the_settings_it_was_given(unbroken):
    out, over, _ = unbroken
    assert sorted(path.name for path in (out / "trials").iterdir()) == [str(n) for n in range(6)]
    for trial in over.trials:
        recipe = RunFolder(out / "trials" / str(trial.number)).read_recipe()
        assert (recipe.lr, recipe.options["dropout"]) == (trial.settings["lr"], trial.settings["dropout"])
        assert 1e-5 <= recipe.lr <= 0.05
        assert recipe.options["widths"] == (2, 2, 2, 2)


def test_asha_ends_trials_and_their_folders_keep_the_checkpoint_of_the_epoch_they_reached(unbroken):
    out, over, _ = unbroken
    pruned = [trial for trial in over.trials if trial.state == "pruned"]
    finished = [trial for trial in over.trials if trial.state == "finished"]
    assert pruned
    assert finished
    for trial in pruned:
        folder = RunFolder(out / "trials" / str(trial.number))
        assert folder.last.exists()
        assert not folder.result.exists()
        rows = (folder.path / "metrics.csv").read_text().splitlines()
        assert len(rows) - 1 == trial.epoch < RECIPE.epochs


def test_a_finished_trial_is_worth_what_its_run_says_of_public_test(unbroken):
    out, over, _ = unbroken
    for trial in over.trials:
        if trial.state == "finished":
            evaluation = RunFolder(out / "trials" / str(trial.number)).read_result()["evaluation"]
            assert set(evaluation) == {"validation", "validation_without_copies"}
            assert evaluation["validation"]["split"] == "PublicTest"
            assert evaluation["validation"]["accuracy"] == trial.accuracy
            assert trial.epoch == RECIPE.epochs


def test_the_best_come_first_and_the_recipe_of_the_best_can_be_trained(unbroken):
    out, over, _ = unbroken
    finished = [trial.accuracy for trial in over.trials if trial.state == "finished"]
    assert finished == sorted(finished, reverse=True)
    assert [trial.state for trial in over.trials[: len(finished)]] == ["finished"] * len(finished)
    assert over.recipe == out / "best.toml"
    best = get_recipe(str(over.recipe))
    assert best == RunFolder(out / "trials" / str(over.best.number)).read_recipe()
    assert f"# trial {over.best.number}: {over.best.accuracy:.2%} of PublicTest" in over.recipe.read_text()


def test_private_test_is_not_read(tmp_path, data, unbroken):
    setup = replace(SETUP, recipe=replace(RECIPE, drop_copies=True))
    private = data.splits == 2
    other = make_faces(len(data), seed=1)
    images, labels = data.faces.images.copy(), data.faces.labels.copy()
    images[private], labels[private] = other.images[private], other.labels[private]
    images[np.flatnonzero(private)[:10]] = images[:10]  # copies of Training: drop_copies would leave those out
    changed = replace(data, faces=type(data.faces)(images, labels))
    assert not np.array_equal(changed.split(Split.PRIVATE_TEST).images, data.split(Split.PRIVATE_TEST).images)
    found = [run(setup, each, tmp_path / str(n), trials=3)[0] for n, each in enumerate((data, changed))]
    assert told(found[0]) == told(found[1])
    for number in range(3):
        folders = [RunFolder(tmp_path / str(n) / "trials" / str(number)) for n in range(2)]
        sizes = {folder.read_result()["data"]["training"] for folder in folders if folder.result.exists()}
        assert sizes <= {96}
        for folder in folders:
            assert not folder.predictions.exists() or list(np.load(folder.predictions)) == ["validation"]
    assert told(run(setup, changed, tmp_path / "0", trials=3)[0]) == told(found[0]), "it is the same search"


def test_a_recipe_that_validates_on_private_test_is_refused(tmp_path, data):
    setup = replace(SETUP, recipe=replace(RECIPE, protocol="report"))
    with pytest.raises(RecipeError, match="chooses by PublicTest, got a recipe with protocol report, which chooses by"):
        run(setup, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_searched_leaves_nothing(tmp_path, data):
    with pytest.raises(RecipeError, match="no teachers, votes, init"):
        run(replace(SETUP, recipe=replace(RECIPE, teachers=("abc",))), data, tmp_path / "out")
    with pytest.raises(DataError, match="needs at least 2 faces in PublicTest, got 0"):
        run(SETUP, data.without(Split.PUBLIC_TEST), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_abandoned_anywhere_a_search_goes_on_as_if_it_had_not_been(tmp_path, data, unbroken):
    _, over, _ = unbroken
    out = tmp_path / "out"
    for stop in (1, 14, 16, 25, 40):  # 1 is the begin, 14 the end of the first epoch, before anything is saved
        going = search(SETUP, data, out, trials=6, workers=0)
        for _ in range(stop):
            next(going)
        going.close()  # as a kill does, it leaves the trial at hand as it is
    again, _ = run(SETUP, data, out, trials=6)
    assert told(again) == told(over)


class Killed(BaseException):
    """Stands for the end of the process."""


def search_killed_before_it_told(place, data, out, monkeypatch, *, after=False):
    """Search until an epoch is to be told, or is told ``after`` all: ``place`` is its trial and number."""
    report = optuna.trial.Trial.report

    def killed(trial, value, step):
        if (trial.number, step) != place or after:
            report(trial, value, step)
        if (trial.number, step) == place:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("optuna.trial.Trial.report", killed)
        with pytest.raises(Killed):
            run(SETUP, data, out, trials=6)


def test_a_trial_killed_between_two_of_its_settings_is_given_the_same(tmp_path, data, unbroken, monkeypatch):
    draw, drawn = Choices.draw, []

    def killed(dimension, trial, name):
        if trial.number == 2:
            drawn.append(dict(trial.params))
            raise Killed
        return draw(dimension, trial, name)

    with monkeypatch.context() as patched:
        patched.setattr(Choices, "draw", killed)
        with pytest.raises(Killed):
            run(SETUP, data, tmp_path / "out", trials=6)
    assert [list(settings) for settings in drawn] == [["lr"]]
    again, _ = run(SETUP, data, tmp_path / "out", trials=6)
    assert told(again) == told(unbroken[1])


@pytest.mark.parametrize("after", [False, True], ids=["killed before it was told", "killed before what it means"])
def test_an_epoch_that_was_saved_is_told_and_judged_when_the_search_goes_on(
    tmp_path, data, unbroken, monkeypatch, after
):
    search_killed_before_it_told((0, 1), data, tmp_path / "out", monkeypatch, after=after)
    again, _ = run(SETUP, data, tmp_path / "out", trials=6)
    assert told(again) == told(unbroken[1])
    studies = [journal_of(out, tmp_path) for out in (tmp_path / "out", unbroken[0])]
    assert studies[0] == studies[1]


@pytest.mark.parametrize("after", [False, True], ids=["not told", "told"])
def test_a_trial_killed_at_the_epoch_that_prunes_it_is_pruned_when_the_search_goes_on(
    tmp_path, data, unbroken, monkeypatch, after
):
    place = next((trial.number, trial.epoch) for trial in unbroken[1].trials if trial.state == "pruned")
    search_killed_before_it_told(place, data, tmp_path / "out", monkeypatch, after=after)
    again, _ = run(SETUP, data, tmp_path / "out", trials=6)
    assert told(again) == told(unbroken[1])


def journal_of(out, folder):
    """Return what each trial told, epoch by epoch, and what was made of it."""
    copy = folder / f"{out.parent.name}.jsonl"
    copy.write_bytes((out / "study.jsonl").read_bytes())
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(copy)))
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    return [(trial.intermediate_values, trial.system_attrs) for trial in trials]


def test_one_after_another_trials_are_as_many_as_asked_for(tmp_path, data, unbroken):
    _, over, _ = unbroken
    out = tmp_path / "out"
    for trials in (1, 2, 2, 6):
        again, events = run(SETUP, data, out, trials=trials)
        assert len(again.trials) == trials
    assert told(again) == told(over)
    again, events = run(SETUP, data, out, trials=3)
    assert (len(again.trials), events) == (6, [])


def test_the_time_is_up_after_a_batch_and_the_trial_goes_on(tmp_path, data, unbroken):
    out = tmp_path / "out"
    over, events = run(SETUP, data, out, trials=6, max_minutes=0)
    assert (over.reason, over.trials, events) == ("the time is up", (), [])
    going = search(SETUP, data, out, trials=6, workers=0)
    assert isinstance(next(going), Begun)
    os.kill(os.getpid(), 15)
    *_, ended, over = going
    assert isinstance(ended, Ended)
    assert (ended.trial.state, ended.trial.epoch) == ("running", 0)
    assert (over.reason, over.signal, over.elsewhere) == ("SIGTERM", 15, 0)
    assert RunFolder(out / "trials" / "0").last.exists()
    assert told(run(SETUP, data, out, trials=6)[0]) == told(unbroken[1])


def test_several_share_a_search_and_none_trains_what_another_does(tmp_path, data, monkeypatch):
    monkeypatch.setattr("ferkit.sweeps.study._PATIENCE_SECONDS", 0.0)
    out = tmp_path / "out"
    first = search(SETUP, data, out, trials=3, workers=0)
    assert next(first).trial.number == 0
    over, events = run(SETUP, data, out, trials=2)
    assert {event.trial.number for event in events if isinstance(event, Begun)} == {1}
    assert over.elsewhere == 1
    *_, over = first
    assert sorted(trial.number for trial in over.trials) == [0, 1, 2]
    assert "running" not in {trial.state for trial in over.trials}


def test_a_setting_that_cannot_be_trained_fails_and_the_search_goes_on(tmp_path, data):
    space = {"loss": Choices(("nll", "gce")), "label_smoothing": Choices((0.0, 0.1))}
    over, _ = run(Setup(recipe=RECIPE, space=space), data, tmp_path / "out", trials=6)
    failed = [trial for trial in over.trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert dict(trial.settings) == {"loss": "gce", "label_smoothing": 0.1}
        assert trial.problem == "loss gce takes labels as they are; set label_smoothing to 0"
    assert [trial.state for trial in over.trials[-len(failed) :]] == ["failed"] * len(failed)


def test_a_loss_that_is_not_finite_is_an_answer(tmp_path, data):
    space = {"lr": Range(low=1e28, high=1e30, log=True)}
    setup = Setup(recipe=replace(RECIPE, optimizer="sgd"), space=space)
    over, _ = run(setup, data, tmp_path / "out", trials=2)
    assert [trial.state for trial in over.trials] == ["failed", "failed"]
    assert all("a smaller lr may help" in trial.problem for trial in over.trials)
    assert (over.best, over.recipe, over.importance) == (None, None, {})


def test_a_trial_whose_process_is_killed_again_and_again_is_given_up(tmp_path, data):
    for _ in range(3):
        going = search(SETUP, data, tmp_path / "out", trials=1, workers=0)
        assert isinstance(next(going), Begun)
        going.close()
    over, _ = run(SETUP, data, tmp_path / "out", trials=1)
    assert (over.trials[0].state, over.trials[0].problem) == (
        "failed",
        "its process was killed 3 times after epoch 0, batch 0",
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"recipe": replace(RECIPE, epochs=4)}, "another recipe"),
        ({"space": {"lr": Range(low=1e-4, high=0.05, log=True)}}, "another space"),
        ({"pruner": "none"}, "another pruner"),
        ({"seed": 1}, "another seed"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(data, unbroken, change, what):
    with pytest.raises(RunError, match=f"holds a search with {what}; go on with it as it began, or choose another"):
        run(replace(SETUP, **change), data, unbroken[0])


def test_other_faces_are_refused(unbroken):
    with pytest.raises(RunError, match="holds a search with other faces"):
        run(SETUP, make_data(training=96, tests=40, seed=1), unbroken[0])


def test_a_folder_that_holds_something_else_is_refused(tmp_path, data, unbroken):
    with pytest.raises(RunError, match="holds a run; choose another --out"):
        run(SETUP, data, unbroken[0] / "trials" / "0")
    (tmp_path / "study.jsonl").write_text("not a journal\nat all\n")
    with pytest.raises(RunError, match="not the study of a search"):
        run(SETUP, data, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Not a directory"):
        run(SETUP, data, tmp_path / "file" / "out")


def test_a_last_line_that_was_not_written_to_its_end_is_mended(tmp_path, data, unbroken):
    out = tmp_path / "out"
    run(SETUP, data, out, trials=2)
    with (out / "study.jsonl").open("a") as journal:
        journal.write('{"op_code":4,"worker_i')
    assert told(run(SETUP, data, out, trials=6)[0]) == told(unbroken[1])


def test_seeds_differ_and_trials_do_not_repeat_themselves(tmp_path, data, unbroken):
    rates = [trial.settings["lr"] for trial in unbroken[1].trials]
    assert len(set(rates)) == len(rates)
    other, _ = run(replace(SETUP, seed=1), data, tmp_path / "out", trials=2)
    assert not {trial.settings["lr"] for trial in other.trials} & set(rates)


@pytest.mark.parametrize(("epochs", "looks"), [(3, {1, 3}), (18, {2, 6}), (27, {3, 9})])
def test_asha_looks_first_after_a_ninth_of_the_epochs_and_then_after_three_times_as_many(epochs, looks):
    import optuna

    setup = replace(SETUP, recipe=replace(RECIPE, epochs=epochs))
    study = optuna.create_study(direction="maximize", pruner=_pruner(optuna, setup))
    best = study.ask()
    for epoch in range(1, epochs + 1):
        best.report(0.9, epoch)
        assert not best.should_prune()
    seen = set()
    for _ in range(4):
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(0.1, epoch)
            if trial.should_prune():
                seen.add(epoch)
                break
    assert seen <= looks
    assert min(looks) in seen


@pytest.mark.parametrize("pruner", ["hyperband", "none"])
def test_other_pruners(tmp_path, data, pruner):
    over, _ = run(replace(SETUP, pruner=pruner), data, tmp_path / "out", trials=4)
    assert over.best is not None
    assert {trial.state for trial in over.trials} <= ({"finished"} if pruner == "none" else {"finished", "pruned"})


def test_what_decides_is_estimated_from_five_finished_trials_on(tmp_path, data):
    setup = replace(SETUP, pruner="none", recipe=replace(RECIPE, epochs=1))
    out = tmp_path / "out"
    assert run(setup, data, out, trials=4)[0].importance == {}
    over, _ = run(setup, data, out, trials=6)
    assert set(over.importance) == {"lr", "dropout"}
    assert sum(over.importance.values()) == pytest.approx(1)
    assert list(over.importance.values()) == sorted(over.importance.values(), reverse=True)


def test_lists_are_choices(tmp_path, data):
    space = {"widths": Choices(([2, 2, 2, 2], [4, 4, 4, 4]))}
    over, _ = run(Setup(recipe=replace(RECIPE, epochs=1), space=space), data, tmp_path / "out", trials=2)
    for trial in over.trials:
        recipe = RunFolder(tmp_path / "out" / "trials" / str(trial.number)).read_recipe()
        assert list(recipe.options["widths"]) == trial.settings["widths"]


def test_without_optuna_one_line_says_what_to_install(tmp_path, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        MissingExtraError, match=r"needs optuna, which is not installed; run: pip install \"ferkit\[sea"
    ):
        run(SETUP, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_journal_is_optuna_s_own(unbroken):
    import optuna
    from optuna.storages.journal import JournalFileBackend

    out, over, _ = unbroken
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(out / "study.jsonl")))
    study = optuna.load_study(storage=storage, study_name="search")
    assert study.best_value == over.best.accuracy
    assert json.loads((out / "study.jsonl").read_text().splitlines()[0])["op_code"] == 0
