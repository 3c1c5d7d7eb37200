"""The learning rate schedules a recipe may name.

Source: the report, sections 2.2 and 3; https://docs.pytorch.org/docs/stable/optim.html.
"""

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from ferkit.training.recipe import Recipe

WARM_UP = 0.05
"""Share of all batches over which ``warmup`` raises the rate."""


def build_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> LRScheduler | None:
    """Return the schedule of a run of ``steps`` batches an epoch, or ``None`` for a constant rate."""
    if recipe.scheduler == "onecycle":
        return OneCycleLR(optimizer, max_lr=recipe.lr, epochs=recipe.epochs, steps_per_epoch=steps)
    if recipe.scheduler == "warmup":
        rise = WARM_UP * (recipe.epochs * steps)
        return OneCycleLR(
            optimizer,
            max_lr=recipe.lr,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            pct_start=WARM_UP if rise != 1 else 1.05 * WARM_UP,  # of exactly one batch torch divides by 0
            cycle_momentum=False,
        )
    if recipe.scheduler == "cosine":
        return CosineAnnealingLR(optimizer, T_max=recipe.epochs)
    return None


def steps_each_batch(recipe: Recipe) -> bool:
    """Return whether the schedule moves after every batch, not after every epoch."""
    return recipe.scheduler in {"onecycle", "warmup"}
