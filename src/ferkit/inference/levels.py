"""Grey levels: of a picture as a detector looks at it, and of a face as the network reads it.

Letters: H height, W width.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ferkit.inference.images import RGB

LEVELS = 16
"""Of grey that are stretched over the whole range at the least; fewer are nearly none."""

LIFT = 0.35
"""Power to which grey levels from 0 to 1 are raised, for a look into what is dark before something bright."""

CONTRAST = 128
"""Grey levels from the darkest to the brightest hundredth of a face; one with fewer is given so many."""

LARGEST_GAIN = 16
"""By which the contrast of a face grows at most."""

MIDDLE = (slice(10, 42), slice(12, 36))
"""Rows and columns of a face's 48 x 48 that hardly show what is behind it; they decide."""

Grey = NDArray[np.uint8]
"""Grey levels ``(H, W)``."""


def grey_levels(picture: RGB) -> Grey:
    """Return the grey levels of ``picture``."""
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def stretched(grey: Grey) -> Grey:
    """Return ``grey`` over the whole range, but for the darkest and the brightest hundredth; not more than 16 times.

    Where nearly all of it is as dark as the rest, as a sheet of paper is beside the photo on it, those count too.
    """
    counts = np.bincount(grey.ravel(), minlength=256).cumsum()
    low, high = _ends(counts)
    if high - low < LEVELS:
        low, high = int(np.searchsorted(counts, 1)), int(np.searchsorted(counts, counts[-1]))
    return _mapped(grey, (np.arange(256) - low) * (255 / max(high - low, LEVELS)))


def lifted(grey: Grey) -> Grey:
    """Return ``grey`` with what is dark in it made bright."""
    return _mapped(grey, 255 * (np.arange(256) / 255) ** LIFT + 0.5)


def contrasted(face: Grey) -> Grey:
    """Return a face ``(48, 48)`` with the contrast that the network knows, where it has less.

    Faces in little light, in fog or before a window have less, and in training it has seen few such. What has enough,
    and what has none, stays as it is.
    """
    low, high = _ends(np.bincount(face[MIDDLE].ravel(), minlength=256).cumsum())
    if high == low or high - low >= CONTRAST:
        return face
    gain = CONTRAST / max(high - low, CONTRAST / LARGEST_GAIN)
    middle, half = (low + high) / 2, gain * (high - low) / 2
    return _mapped(face, (np.arange(256) - middle) * gain + min(max(middle, half), 255 - half) + 0.5)


def _ends(counts: NDArray[np.int64]) -> tuple[int, int]:
    """Return the levels below and above which a hundredth lies, from how many pixels have each level or a lower one."""
    number = int(counts[-1])
    return int(counts.searchsorted(math.ceil(0.01 * number))), int(counts.searchsorted(math.ceil(0.99 * number)))


def _mapped(grey: Grey, table: NDArray[np.floating]) -> Grey:
    import cv2

    return np.asarray(cv2.LUT(grey, table.clip(0, 255).astype(np.uint8)), np.uint8)
