"""``ferkit search``: what a person sees, and that a search which is killed goes on."""

import json
import shlex
import signal
import sys
import time
import tomllib

import pytest

from conftest import make_data, write_csv
from ferkit.training.recipe_text import recipe_from_toml
from programs import begin

SETTINGS = (
    *("--recipe", "model1", "--set", "widths=2,2,2,2", "--set", "protocol=standard", "--set", "keep=best"),
    *("--set", "epochs=3", "--set", "batch_size=4", "--set", "optimizer=adam", "--set", "augmentation=none"),
    *("--set", "precision=float32", "--set", "device=cpu"),
)
SPACE = """
[lr]
low = 0.00001
high = 0.05
log = true

[dropout]
choices = [0.0, 0.2]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a data set and a space."""
    folder = tmp_path_factory.mktemp("place")
    write_csv(folder / "fer2013.csv", make_data(training=96, tests=40))
    (folder / "space.toml").write_text(SPACE)
    return folder


def command(place, out, trials=4, *more):
    files = ("--data", place / "fer2013.csv", "--space", place / "space.toml", "--out", out)
    return ["search", *map(str, files), "--trials", str(trials), *SETTINGS, *more]


def start(arguments):
    return begin(*arguments, text=True)


def wait_for(process, path):
    began = time.monotonic()
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() - began < 300
        time.sleep(0.01)


def numbers(text):
    """Return what must not depend on how a search came about, by the number of the trial."""
    keys = ("state", "accuracy", "epoch", "settings")
    return {trial["number"]: [trial[key] for key in keys] for trial in json.loads(text)["trials"]}


@pytest.mark.slow
def test_killed_and_interrupted_a_search_goes_on_with_the_trial_at_hand_and_counts_it_once(ferkit, place, tmp_path):
    code, unbroken, errors = ferkit(*command(place, tmp_path / "whole", 3, "--json"))
    assert code == 0, errors

    out = tmp_path / "out"
    killed = start(command(place, out, 3, "--json"))
    wait_for(killed, out / "trials" / "0" / "metrics.csv")  # an epoch is saved
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    recipe = (out / "trials" / "0" / "recipe.toml").read_text()

    interrupted = start(command(place, out, 3, "--json"))
    wait_for(interrupted, out / "trials" / "1" / "recipe.toml")
    interrupted.send_signal(signal.SIGINT)
    said, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors
    assert json.loads(said)["stopped"] == "Ctrl-C"
    assert f"go on with: {shlex.join(['ferkit', *command(place, out, 3, '--json')])}" in errors
    assert "Traceback" not in errors
    assert (out / "trials" / "0" / "recipe.toml").read_text() == recipe

    last = start(command(place, out, 3, "--json"))
    said, errors = last.communicate(timeout=600)
    assert last.returncode == 0, errors
    assert numbers(said) == numbers(unbroken)
    assert sorted(path.name for path in (out / "trials").iterdir()) == ["0", "1", "2"]


@pytest.mark.slow
def test_two_processes_share_a_search(place, tmp_path):
    both = [start(command(place, tmp_path / "out", 4, "--pruner", "none", "--json")) for _ in range(2)]
    ends = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    begun = [line for _, errors in ends for line in errors.splitlines() if " of 4)" in line]
    assert sorted(line.split()[1] for line in begun) == ["0", "1", "2", "3"], "each trial is trained by one of them"


def test_it_prints_the_best_first_and_their_recipe_can_be_trained(ferkit, place, tmp_path):
    out = tmp_path / "out"
    code, said, errors = ferkit(*command(place, out, 2))
    assert code == 0, errors
    assert said.splitlines()[0].split() == ["trial", "accuracy", "epochs", "state", "lr", "dropout"]
    assert "2 trials: " in said
    assert f"on PublicTest; its recipe: {out / 'best.toml'}" in said
    assert "trial 0 (1 of 2): lr=" in errors
    assert "Private" not in said + errors
    best = (out / "best.toml").read_text()
    assert recipe_from_toml(best, "best.toml").options["widths"] == (2, 2, 2, 2)
    code, said, errors = ferkit(*command(place, out, 2, "--json"))
    assert (code, errors) == (0, "")
    found = json.loads(said)
    assert (found["protocol"], found["split"], found["stopped"]) == ("standard", "PublicTest", "")
    winner = found["trials"][0]
    assert winner["number"] == found["best"]
    assert winner["settings"]["lr"] == tomllib.loads(best)["lr"]
    again = ("train", "--data", place / "fer2013.csv", "--recipe", out / "best.toml", "--out", tmp_path / "run")
    code, said, errors = ferkit(*again, "--workers", 0)
    assert code == 0, errors
    line = next(line for line in said.splitlines() if line.startswith("validation (PublicTest)"))
    assert f" {winner['accuracy']:.2%} " in line
    assert "test (PrivateTest)" in said, "which the search did not read"


def test_where_the_time_is_up_it_says_how_to_go_on(ferkit, place, tmp_path):
    code, said, errors = ferkit(*command(place, tmp_path / "out", 2, "--max-minutes", "0"))
    assert (code, said) == (0, "no trial is finished\n")
    assert "stopped (the time is up), saved" in errors
    assert "go on with: ferkit search --data " in errors


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "protocol=report"), "chooses by PublicTest, got a recipe with protocol report"),
        (("--set", "lrr=1"), "unknown recipe field or option of model1 'lrr'; did you mean 'lr'?"),
        (("--set", "kernel=4"), "model1: "),
        (("--space", "none.toml"), "none.toml: cannot be read (No such file or directory)"),
    ],
)
def test_a_mistake_is_one_line(ferkit, place, tmp_path, more, message):
    code, said, errors = ferkit(*command(place, tmp_path / "out", 2, *more))
    assert (code, said) == (1, "")
    assert errors.count("\n") == 1
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_says_what_to_install(ferkit, place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, errors = ferkit(*command(place, tmp_path / "out", 2))
    assert (code, errors) == (
        1,
        'error: this command needs optuna, which is not installed; run: pip install "ferkit[search]"\n',
    )
