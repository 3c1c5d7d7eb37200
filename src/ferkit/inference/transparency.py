"""What is transparent in a picture, laid over grey.

Shape letters: H height, W width.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BACKDROP = 128
"""Grey level behind what is transparent."""

_BAND = 256
"""Rows of a transparent picture that are laid over grey together, for the memory's sake."""


def turned_like(picture: NDArray[np.uint8], raw: NDArray[Any]) -> NDArray[Any] | None:
    """Return ``raw``, BGRA, turned and mirrored as ``picture``, RGB, is: OpenCV heeds EXIF only without transparency.

    None where no way has the size of ``picture``.
    """
    ways = [np.rot90(way, turns) for way in (raw, raw[:, ::-1]) for turns in range(4)]
    step = max(1, max(picture.shape) // 512)
    seen = picture[::step, ::step].astype(np.int16)

    def difference(way: NDArray[Any]) -> int:
        return int(np.abs(_levels(way[::step, ::step])[..., 2::-1] - seen).sum())

    return min((way for way in ways if way.shape[:2] == picture.shape[:2]), key=difference, default=None)


def _levels(raw: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(raw >> 8 if raw.dtype.itemsize == 2 else raw, np.uint8)


def lay_over_grey(picture: NDArray[np.uint8], raw: NDArray[Any], *, multiplied: bool) -> None:
    """Write the colours of ``raw``, BGRA of the same size, over grey into ``picture``."""
    for start in range(0, len(picture), _BAND):
        band = _levels(raw[start : start + _BAND])[..., [2, 1, 0, 3]]
        if multiplied:
            backdrop = (BACKDROP * (255 - band[..., 3:].astype(np.uint16)) + 127) // 255
            picture[start : start + _BAND] = np.minimum(band[..., :3] + backdrop, 255)
        else:
            picture[start : start + _BAND] = over_grey(band)


def over_grey(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB ``(H, W, 3)`` of ``rgba`` ``(H, W, 4)``."""
    if (rgba[..., 3] == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + BACKDROP * (255 - alpha) + 127) // 255).astype(np.uint8)
