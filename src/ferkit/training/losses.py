"""The losses a recipe may name, and the one of probabilities in place of labels.

Source: the report, section 3; the generalised cross entropy: Zhang and Sabuncu, 2018, https://arxiv.org/abs/1805.07836.

Letters: B faces of a batch, K classes.
"""

import torch
from torch import Tensor, nn

from ferkit.training.recipe import Recipe


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
