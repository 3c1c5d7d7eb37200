"""The training loop where the network lives on another device: all that a step needs must be sent there.

There is no GPU here, but there is torch's "meta" device, which computes shapes alone and, like a GPU, refuses tensors
that were left on the CPU. What has to come back to be looked at, losses and counts, is taken out.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from conftest import kept_network, make_faces
from ferkit.labels import NUM_CLASSES
from ferkit.models import build_model
from ferkit.training import batches, loop
from ferkit.training.batches import steps_per_epoch
from ferkit.training.loop import Step, fit
from ferkit.training.recipes import RECIPES
from ferkit.training.state import Counts, new_state

HERE = torch.device("meta")
FACES = 100
LARGE = {"model3", "final"}  # the same layers as model1 and 2, and minutes for their shapes


class ElsewhereFabric:
    """As much of Fabric as the loop uses, for one process."""

    device, global_rank, world_size = HERE, 0, 1

    def setup(self, model, optimizer):
        return model, optimizer

    def autocast(self):
        return nullcontext()

    def backward(self, loss):
        loss.backward()

    def all_reduce(self, tensor, reduce_op):
        return tensor


@dataclass
class Found:
    """Metrics that nobody can read, as they are elsewhere."""

    device: torch.device
    loss: float = 1.0


class Teacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = build_model("compact").to(HERE).eval()

    def forward(self, x_B3HW):
        return self.network(x_B3HW).exp()


@pytest.fixture(autouse=True)
def nothing_comes_back(monkeypatch):
    monkeypatch.setitem(batches.AHEAD, HERE.type, batches.AHEAD["cuda"])
    monkeypatch.setattr(loop._LossWatch, "look", lambda *_, **__: None)
    monkeypatch.setattr(Counts, "metrics", lambda self: Found(self.confusion.device))
    monkeypatch.setattr(torch.Tensor, "__int__", lambda self: FACES)


def trained_on(recipe, **given):
    """Return where everything was after an epoch of two batches."""
    recipe = replace(recipe, epochs=1, batch_size=64, augment_backend="batched")
    state = new_state(recipe, steps_per_epoch(FACES, recipe.batch_size), HERE)
    *steps, epoch = fit(ElsewhereFabric(), state, recipe, make_faces(FACES), make_faces(20, seed=1), **given)
    assert [type(step) for step in steps] == [Step, Step]
    return {
        epoch.train.device,
        epoch.valid.device,
        *(each.device for each in kept_network(state).state_dict().values()),
    }


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - LARGE))
def test_every_recipe_trains_there(name):
    assert trained_on(RECIPES[name][1]) == {HERE}


@pytest.mark.parametrize(
    "changes",
    [
        {"sam": 0.05},
        {"mixup": 0.2, "cutmix": 1.0},
        {"optimizer": "muon"},
        {"optimizer": "adamw"},
        {"balance": 0.5},
        {"mirror": "alternating"},
        {"loss": "gce"},
        {"model": "convnext"},
        {"label_smoothing": 0.1},
    ],
    ids=str,
)
def test_every_way_trains_there(changes):
    assert trained_on(replace(RECIPES["compact"][1], **changes)) == {HERE}


def test_a_lesson_is_sent_there():
    taught = np.full((FACES, NUM_CLASSES), 1 / NUM_CLASSES, np.float32)
    assert trained_on(RECIPES["compact"][1], taught=taught) == {HERE}


def test_teachers_see_what_the_network_sees_there():
    assert trained_on(replace(RECIPES["compact"][1], lessons="every_batch"), teachers=Teacher()) == {HERE}


def test_what_stays_behind_is_noticed(monkeypatch):
    monkeypatch.setattr(batches, "send", lambda values, device: values)
    with pytest.raises(RuntimeError, match="not on the expected device meta"):
        trained_on(RECIPES["compact"][1])
