"""The report's augmentation, on Training only, as one declared pipeline; the only file that knows Albumentations.

Source: the report, section 2.1: Albumentations; horizontal flip p 0.5, vertical flip p 0.3, Rotate p 0.2,
CoarseDropout p 0.2, GaussNoise p 0.2; parameters in :mod:`ferkit.training.augment_settings`.
Ours differs: the release used here draws the standard deviation of the noise evenly, not its variance, and cuts the
noise down to whole grey levels, towards zero.
"""

import copy
import os
import random

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import would ask the package index for a newer release

import albumentations as A  # noqa: N812
import cv2
import numpy as np
from numpy.typing import NDArray

from ferkit.training import augment_settings as settings

REPORT = (
    A.HorizontalFlip(p=settings.HORIZONTAL_FLIP),
    A.VerticalFlip(p=settings.VERTICAL_FLIP),
    A.Rotate(
        limit=settings.LARGEST_ANGLE,
        interpolation=cv2.INTER_LINEAR,
        border_mode=cv2.BORDER_REFLECT_101,
        p=settings.ROTATION,
    ),
    A.CoarseDropout(
        num_holes_range=(settings.HOLES, settings.HOLES),
        hole_height_range=(settings.HOLE_SIDE, settings.HOLE_SIDE),
        hole_width_range=(settings.HOLE_SIDE, settings.HOLE_SIDE),
        fill=0,
        p=settings.DROPOUT,
    ),
    A.GaussNoise(
        std_range=(settings.NOISE_STD[0] / 255, settings.NOISE_STD[1] / 255), mean_range=(0, 0), p=settings.NOISE
    ),
)
"""The five transforms of the report, in its order."""


class SeededPipeline:
    """Albumentations whose randomness is a function of seed, epoch and sample alone.

    So workers, their number, the order of the samples and resuming change nothing. Not safe for several threads.
    """

    def __init__(self, transforms: tuple[A.BasicTransform, ...], seed: int) -> None:
        # Philox is a function of key and counter; setting them is much cheaper than making a generator a sample.
        self._bits = np.random.Philox(key=seed)
        self._state = self._bits.state
        self._numpy = np.random.Generator(self._bits)
        self._python = random.Random(0)
        self._compose = A.Compose(copy.deepcopy(transforms))  # each pipeline sets generators of its own in them
        self._compose.set_random_state(self._numpy, self._python)

    def __call__(self, image: NDArray[np.uint8], *, epoch: int, sample: int) -> NDArray[np.uint8]:
        """Return a changed copy of ``image``; see :class:`ferkit.training.augment.Augment`."""
        self._state["state"]["counter"][:] = (0, 0, sample, epoch)
        self._bits.state = self._state
        self._python.seed(int(self._numpy.integers(1 << 62)))
        changed: NDArray[np.uint8] = self._compose(image=image)["image"]
        return changed
