"""Mixup: pairs of faces, laid over each other, and their labels with them.

Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412.

Shape letters: B batch, H height, W width, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """How a batch is mixed: each face with the one before it, which in a shuffled batch is any other."""

    share: float
    """Of the face itself, 0 to 1."""

    def faces(self, x_B3HW: Tensor) -> Tensor:
        """Return the mixed batch."""
        return x_B3HW if self.share == 1 else x_B3HW.lerp(x_B3HW.roll(1, 0), 1 - self.share)

    def main_labels(self, labels_B: Tensor) -> Tensor:
        """Return the label that weighs more in each mixed face: what the training accuracy counts."""
        return labels_B if self.share >= 0.5 else labels_B.roll(1, 0)

    def loss(self, criterion: Callable[[Tensor, Tensor], Tensor], log_probs_BK: Tensor, labels_B: Tensor) -> Tensor:
        """Return the loss of the mixed labels; instead of labels it takes probabilities ``(B, K)`` too."""
        loss = criterion(log_probs_BK, labels_B)
        if self.share == 1:
            return loss
        other = criterion(log_probs_BK, labels_B.roll(1, 0))
        return loss.lerp(other, 1 - self.share)


def draw_mix(alpha: float, seed: int) -> Mix:
    """Return how to mix a batch.

    Args:
        alpha: Of the Beta distribution the share is drawn from; 0 mixes nothing.
        seed: Of this batch.
    """
    return Mix(float(np.random.default_rng(seed).beta(alpha, alpha)) if alpha > 0 else 1.0)
