"""Runs that begin with the weights of another one."""

from dataclasses import replace

import pytest
import torch

from conftest import make_data, small_recipe
from ferkit.errors import RunError
from ferkit.models import build_model, pruned, widened
from ferkit.training import checkpoint
from ferkit.training.events import Finished, Stopped
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.needs import Others
from ferkit.training.run import train

SOURCE = small_recipe(average=0.9)


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def source(tmp_path_factory, data):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("source") / "run"
    list(train(SOURCE, data, folder, workers=0))
    return folder


@pytest.fixture(scope="module")
def weights(source):
    return load_run(source)[1].state_dict()


@pytest.fixture
def tuned(source):
    return replace(SOURCE, init=RunFolder(source).network(), seed=1)


def test_the_first_checkpoint_holds_the_weights_it_begins_with(tuned, weights, data, tmp_path):
    events = train(tuned, data, tmp_path / "run", workers=0, others=Others(weights=weights))
    next(events)
    held = checkpoint.load(RunFolder(tmp_path / "run").last)
    events.close()
    for name, value in weights.items():
        torch.testing.assert_close(held["model"][name], value, rtol=0, atol=0)
        torch.testing.assert_close(checkpoint.kept_weights(held)[name], value, rtol=0, atol=0)


def test_a_stopped_run_goes_on_without_the_other_to_the_same_weights(tuned, weights, data, tmp_path):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    list(train(tuned, data, whole, workers=0, others=Others(weights=weights)))
    *_, stopped = train(tuned, data, parted, workers=0, others=Others(weights=weights), max_minutes=0)
    assert isinstance(stopped, Stopped)
    *_, finished = train(tuned, data, parted, workers=0, resume=True)
    assert isinstance(finished, Finished)
    assert (whole / "weights.safetensors").read_bytes() == (parted / "weights.safetensors").read_bytes()


def test_it_is_another_run_than_one_from_drawn_weights(tuned):
    assert tuned.key() != SOURCE.key()


def test_without_the_weights_it_says_what_is_missing(tuned, data, tmp_path):
    with pytest.raises(RunError) as caught:
        list(train(tuned, data, tmp_path / "run", workers=0))
    assert str(caught.value).endswith(f"these settings begin with {tuned.init}; name its run with --init")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused(tuned, weights, data, tmp_path):
    wider = replace(tuned, options={"depth": 5})
    with pytest.raises(RunError) as caught:
        list(train(wider, data, tmp_path / "run", workers=0, others=Others(weights=weights)))
    assert str(caught.value).startswith("expected initial weights of layers, got others: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "fitted"),
    [
        pytest.param({"width": 0.25, "bottleneck": 0.5}, pruned, id="narrower: the strongest channels"),
        pytest.param({"width": 0.5}, widened, id="wider: channels repeated"),
    ],
)
def test_a_network_begins_with_one_of_another_width(options, fitted, data, tmp_path):
    torch.manual_seed(0)
    first = build_model("compact", width=0.25).state_dict()
    recipe = small_recipe(model="compact", options=options, init="0123456789abcdef")
    events = train(recipe, data, tmp_path / "run", workers=0, others=Others(weights=first))
    next(events)
    held = checkpoint.load(RunFolder(tmp_path / "run").last)
    events.close()
    expected = fitted(first, build_model("compact", **recipe.options))
    for name, value in expected.items():
        torch.testing.assert_close(held["model"][name], value, rtol=0, atol=0)
