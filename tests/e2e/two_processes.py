"""Trains a network without batch norm, in as many processes as asked; run by test_two_processes.py.

python two_processes.py PROCESSES OUT BACKEND
"""

import sys

import torch
from lightning_fabric import Fabric
from torch import nn

from conftest import make_faces
from ferkit.training.batches import steps_per_epoch
from ferkit.training.loop import fit
from ferkit.training.recipe import Recipe
from ferkit.training.state import Epoch, new_state


def main() -> None:
    """Train and write weights and metrics."""
    processes, out, backend = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    recipe = Recipe(
        model="layers",
        optimizer="sgd",
        lr=0.01,
        epochs=2,
        batch_size=16,
        precision="float32",
        device="cpu",
        augment_backend=backend,
    )
    fabric = Fabric(
        accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto", precision="32-true"
    )
    fabric.launch()
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
    if fabric.is_global_zero:
        torch.save(
            {"model": state.model.state_dict(), "epochs": epochs, "backend": fabric.strategy.__class__.__name__}, out
        )


if __name__ == "__main__":
    main()
