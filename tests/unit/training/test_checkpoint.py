"""A run in progress, saved and taken up again: what comes back, and what is refused."""

import pytest
import torch
from lightning_fabric import Fabric

from conftest import make_faces
from ferkit.errors import RunError, UntrainableError
from ferkit.training import checkpoint
from ferkit.training.batches import steps_per_epoch
from ferkit.training.loop import fit
from ferkit.training.recipe import Recipe
from ferkit.training.state import new_state

RECIPE = Recipe(model="layers", options={"depth": 4}, lr=0.01, epochs=2, batch_size=16, augmentation="none")
IDENTITY = {"recipe": "abc", "augmentation backend": "batched", "what a later release adds": 1}


def fresh(recipe=RECIPE):
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    train = make_faces(64)
    return fabric, new_state(recipe, steps_per_epoch(len(train), recipe.batch_size), fabric.device), recipe, train


@pytest.fixture
def stopped(tmp_path):
    """Return the state after the third batch of the second epoch, and its checkpoint."""
    fabric, state, recipe, train = fresh()
    events = fit(fabric, state, recipe, train, make_faces(30, seed=1))
    for _ in range(8):  # four batches, the epoch, three more
        next(events)
    content = checkpoint.snapshot(fabric, state, IDENTITY)
    checkpoint.save(tmp_path / "last.pt", content)
    return state, tmp_path / "last.pt"


def test_everything_of_a_run_in_mid_epoch_comes_back(stopped):
    state, path = stopped
    (back := fresh()[1]).seconds = -1.0
    checkpoint.restore(checkpoint.load(path), back, IDENTITY, path)
    assert (back.epoch, back.step) == (state.epoch, state.step) == (1, 3)
    assert back.seconds == state.seconds > 0
    assert back.lr == state.lr != fresh()[1].lr
    assert [epoch.to_dict() for epoch in back.history] == [epoch.to_dict() for epoch in state.history]
    assert len(back.history) == 1
    assert torch.equal(back.counts.confusion, state.counts.confusion)
    assert int(back.counts.confusion.sum()) == 48
    assert back.counts.loss_sum == state.counts.loss_sum
    assert back.scheduler.last_epoch == state.scheduler.last_epoch == 7
    for name, value in state.model.state_dict().items():
        assert torch.equal(back.model.state_dict()[name], value), name


def test_weights_that_are_not_finite_are_never_saved():
    fabric, state, *_ = fresh()
    assert checkpoint.snapshot(fabric, state, IDENTITY)
    with torch.no_grad():
        next(state.model.parameters())[0, 0] = torch.nan
    with pytest.raises(UntrainableError, match=r"weights are not finite after batch 0 of epoch 1, .* a smaller lr"):
        checkpoint.snapshot(fabric, state, IDENTITY)


def test_one_process_of_several_carries_what_was_counted(stopped):
    _, path = stopped
    back = fresh()[1]
    checkpoint.restore(checkpoint.load(path), back, IDENTITY, path, rank=1)
    assert int(back.counts.confusion.sum()) == 0, "or it would be counted as often as there are processes"
    assert back.counts.loss_sum == 0
    assert back.step == 3


@pytest.mark.parametrize("name", IDENTITY)
def test_another_run_is_refused_with_what_differs(stopped, name):
    with pytest.raises(RunError, match=f"cannot go on: {name} was {IDENTITY[name]!r}, is now 'another'"):
        checkpoint.restore(checkpoint.load(stopped[1]), fresh()[1], {**IDENTITY, name: "another"}, stopped[1])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"schema": 2}, id="of a later release"),
        pytest.param({"epoch": 1}, id="of none"),
        pytest.param([1, 2], id="no mapping"),
    ],
)
def test_a_file_of_another_schema_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(RunError, match="expected a checkpoint of schema 1, got another one"):
        checkpoint.load(tmp_path / "last.pt")


def test_a_network_with_other_layers_is_refused(stopped):
    other = Recipe(model="layers", options={"depth": 5}, lr=0.01, epochs=2, batch_size=16, augmentation="none")
    with pytest.raises(RunError, match="this version's network has other layers"):
        checkpoint.restore(checkpoint.load(stopped[1]), fresh(other)[1], IDENTITY, stopped[1])


def test_a_checkpoint_runs_no_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    torch.save({"schema": 1, "model": Harm()}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="not a checkpoint that can be read"):
        checkpoint.load(tmp_path / "last.pt")
    assert not (tmp_path / "harm").exists()
