"""Augmentation of one face at a time, on Training only; :mod:`ferkit.training.augment_batched` changes many at once."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ferkit.training.augment_camera import draw_pictures, take_pictures
from ferkit.training.augment_faces import augment_faces, draw_faces

AUGMENTATIONS = ("report", "faces", "camera", "none")
"""What a recipe may name."""


class Augment(Protocol):
    """Changes one face at random."""

    def __call__(self, image: NDArray[np.uint8], *, epoch: int, sample: int) -> NDArray[np.uint8]:
        """Return a changed copy of ``image`` ``(48, 48)``; ``sample`` is its position in Training."""


def build_augmentation(name: str, seed: int) -> Augment:
    """Return the augmentation called ``name``, for one face at a time; ``none`` changes nothing."""
    if name == "none":
        return lambda image, *, epoch, sample: image  # noqa: ARG005
    if name == "report":
        from ferkit.training.augment_report import REPORT, SeededPipeline  # its import takes most of a second

        return SeededPipeline(REPORT, seed)
    return OneFace(seed, camera=name == "camera")


class OneFace:
    """:mod:`ferkit.training.augment_faces` for one face at a time; many at once cost a fraction of it.

    With ``camera``, :mod:`ferkit.training.augment_camera` too.
    """

    def __init__(self, seed: int, *, camera: bool) -> None:
        self._seed, self._camera = seed, camera

    def __call__(self, image: NDArray[np.uint8], *, epoch: int, sample: int) -> NDArray[np.uint8]:
        """Return a changed copy of ``image``; see :class:`Augment`."""
        what = self._seed, torch.tensor([epoch]), torch.tensor([sample])
        changed = augment_faces(torch.tensor(image[None]), draw_faces(*what))
        if self._camera:
            changed = take_pictures(changed, draw_pictures(*what))
        face: NDArray[np.uint8] = changed[0].numpy()
        return face
