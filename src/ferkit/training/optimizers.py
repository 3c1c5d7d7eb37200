"""The optimizers a recipe may name.

Source: the report, section 3; https://docs.pytorch.org/docs/stable/optim.html.
"""

from typing import Any

import torch
from torch import nn

from ferkit.training.muon import Muon
from ferkit.training.recipe import Recipe

MOMENTUM = 0.9
"""Of SGD, with and without Nesterov's form of it, and of Muon."""


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the update rule for all parameters of ``model``."""
    if recipe.optimizer == "muon":
        return Muon(model.parameters(), lr=recipe.lr, weight_decay=recipe.decay, momentum=MOMENTUM)
    fused = True if next(model.parameters()).is_cuda else None  # one kernel for all weights
    settings: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.decay, "fused": fused}
    if recipe.optimizer in {"adam", "adamw"}:
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        return kind(model.parameters(), **settings)
    nesterov = recipe.optimizer == "nesterov"
    return torch.optim.SGD(model.parameters(), momentum=MOMENTUM, nesterov=nesterov, **settings)
