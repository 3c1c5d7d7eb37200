"""Trains a network without batch norm in two processes, once with each backend of augmentation, and one with it.

python two_processes.py OUT
"""

import sys
from dataclasses import replace

import torch
from lightning_fabric import Fabric
from torch import nn

from conftest import make_faces
from ferkit.training.batches import steps_per_epoch
from ferkit.training.loop import fit
from ferkit.training.recipe import Recipe
from ferkit.training.state import Epoch, new_state

BACKENDS = ("albumentations", "batched")
RECIPE = Recipe(model="layers", optimizer="sgd", lr=0.01, epochs=1, batch_size=16, precision="float32", device="cpu")


def train(fabric, backend):
    """Return the weights and what each epoch measured."""
    recipe = replace(RECIPE, epochs=2, augment_backend=backend)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, 7), nn.LogSoftmax(1)
    )
    train, valid = (
        make_faces(75),
        make_faces(31, seed=1),
    )  # neither divides by 2 or 16: shares and last batch are uneven
    steps = steps_per_epoch(len(train), recipe.batch_size, fabric.world_size)
    state = new_state(recipe, steps, fabric.device, model)
    epochs = [event.to_dict() for event in fit(fabric, state, recipe, train, valid) if isinstance(event, Epoch)]
    return {"model": state.model.state_dict(), "epochs": epochs, "strategy": type(fabric.strategy).__name__}


def build_normed():
    """Return a network whose batch norm counts nothing but its last batch, of which each process has other faces."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=3),
        nn.BatchNorm2d(8, momentum=1.0),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 15 * 15, 7),
        nn.LogSoftmax(1),
    )


def train_averaged(fabric):
    """Return the average of the weights, as it would be saved, and what the last epoch measured of all processes."""
    recipe = replace(RECIPE, average=0.1)
    train, valid = make_faces(75), make_faces(31, seed=1)
    steps = steps_per_epoch(len(train), recipe.batch_size, fabric.world_size)
    state = new_state(recipe, steps, fabric.device, build_normed())
    (epoch,) = [event for event in fit(fabric, state, recipe, train, valid) if isinstance(event, Epoch)]
    return {"model": state.average.module.state_dict(), "valid": epoch.to_dict()["valid"]}


if __name__ == "__main__":
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp", precision="32-true")
    fabric.launch()
    ends = {backend: train(fabric, backend) for backend in BACKENDS} | {"averaged": train_averaged(fabric)}
    if fabric.is_global_zero:
        torch.save(ends, sys.argv[1])
