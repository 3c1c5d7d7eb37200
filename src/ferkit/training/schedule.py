"""Optimizers, criteria and schedulers a recipe may name.

Source: the report, sections 2.2 and 3; https://docs.pytorch.org/docs/stable/optim.html; the generalised cross entropy:
Zhang and Sabuncu, 2018, https://arxiv.org/abs/1805.07836.

Letters: B faces of a batch, K classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from ferkit.training.muon import Muon
from ferkit.training.recipe import Recipe

MOMENTUM = 0.9

WARM_UP = 0.05
"""Share of all batches over which ``warmup`` raises the rate."""


def build_criterion(recipe: Recipe) -> nn.Module:
    """Return the loss of log-probabilities ``(B, K)`` and labels ``(B,)``: the mean over the batch."""
    if recipe.loss == "gce":
        return GeneralisedCrossEntropy()
    if recipe.label_smoothing > 0:
        return nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    return nn.NLLLoss() if recipe.loss == "nll" else nn.CrossEntropyLoss()


class GeneralisedCrossEntropy(nn.Module):
    """Mean of ``(1 - p ** q) / q``, ``p`` being the probability of the label: between cross entropy and error rate."""

    def __init__(self, q: float = 0.7) -> None:
        super().__init__()
        self.q = q

    def forward(self, log_probs_BK: Tensor, labels_B: Tensor) -> Tensor:
        """Return a scalar."""
        log_p_B = log_probs_BK.gather(1, labels_B[:, None])
        return -torch.expm1(self.q * log_p_B).mean() / self.q


def soft_cross_entropy(log_probs_BK: Tensor, target_BK: Tensor) -> Tensor:
    """Return the cross entropy of log-probabilities and target probabilities: the mean over the batch, in nats."""
    return -(target_BK * log_probs_BK).sum(1).mean()


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
