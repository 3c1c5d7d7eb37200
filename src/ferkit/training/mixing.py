"""Mixup and CutMix: pairs of faces laid over each other, or one put into the other, and their labels with them.

Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412; Yun et al., 2019, https://arxiv.org/abs/1905.04899.

Shape letters: B batch, H height, W width, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """How a batch is mixed: each face with the one before it, which in a shuffled batch is any other."""

    share: float | Tensor
    """Of the face itself, 0 to 1; a scalar on the device of the faces where a GPU is told what to do before it is."""

    box: tuple[float, float, float, float] | None = None
    """Top, left, bottom, right of the rectangle that comes from the other face, as shares of the side, where it is cut
    in; ``None`` where the two are laid over each other."""

    @property
    def none(self) -> bool:
        """Whether nothing is mixed."""
        return isinstance(self.share, float) and self.share == 1

    def faces(self, x_B3HW: Tensor) -> Tensor:
        """Return the mixed batch."""
        if self.none:
            return x_B3HW
        other_B3HW = x_B3HW.roll(1, 0)
        if self.box is None:
            return x_B3HW.lerp(other_B3HW, 1 - self.share)
        height, width = x_B3HW.shape[2:]
        top, left, bottom, right = self.box
        rows, columns = (
            slice(round(top * height), round(bottom * height)),
            slice(round(left * width), round(right * width)),
        )
        mixed_B3HW = x_B3HW.clone()
        mixed_B3HW[:, :, rows, columns] = other_B3HW[:, :, rows, columns]
        return mixed_B3HW

    def main_labels(self, labels_B: Tensor) -> Tensor:
        """Return the label that weighs more in each mixed face: what the training accuracy counts."""
        return labels_B if self.share >= 0.5 else labels_B.roll(1, 0)

    def loss(self, criterion: Callable[[Tensor, Tensor], Tensor], log_probs_BK: Tensor, labels_B: Tensor) -> Tensor:
        """Return the loss of the mixed labels; instead of labels it takes probabilities ``(B, K)`` too."""
        loss = criterion(log_probs_BK, labels_B)
        if self.none:
            return loss
        other = criterion(log_probs_BK, labels_B.roll(1, 0))
        return loss.lerp(other, 1 - self.share)


def draw_mix(mixup: float, cutmix: float, side: int, seed: int) -> Mix:
    """Return how to mix a batch.

    Args:
        mixup: Alpha of the Beta distribution the share is drawn from; 0: faces are not laid over each other.
        cutmix: The same, for faces that are cut; 0: they are not. Where both are above 0, each has even odds.
        side: Of the faces in pixels; a rectangle is of whole pixels, and the share is what is left.
        seed: Of this batch.
    """
    rng = np.random.default_rng(seed)
    if cutmix > 0 and (mixup == 0 or rng.random() < 0.5):
        return _cut(rng, cutmix, side)
    return Mix(float(rng.beta(mixup, mixup)) if mixup > 0 else 1.0)


def _cut(rng: np.random.Generator, alpha: float, side: int) -> Mix:
    """Return a rectangle whose middle lies anywhere; what would lie outside the face is cut off."""
    half = side * np.sqrt(1 - rng.beta(alpha, alpha)) / 2
    middle = rng.uniform(0, side, 2)
    (top, left), (bottom, right) = np.clip(np.rint([middle - half, middle + half]), 0, side).astype(int).tolist()
    share = 1 - (bottom - top) * (right - left) / side**2
    return Mix(share, (top / side, left / side, bottom / side, right / side))
