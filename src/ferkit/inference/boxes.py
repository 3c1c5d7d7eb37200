"""Squares around faces, and what every detector does to a picture before it looks and to its squares after.

Letters: H height, W width.
"""

import math
from dataclasses import dataclass

import numpy as np

from ferkit.inference.images import RGB

SIDE = 1024
"""Pictures with more pixels than a square of this side are scaled down to as many before faces are looked for."""

SMALLEST = 30
"""Side of the smallest face that is looked for, in pixels of the scaled picture."""


@dataclass(frozen=True, slots=True)
class Box:
    """A square around a face, in pixels of the picture; it may reach beyond its edges."""

    x: int
    """Of the left edge."""
    y: int
    """Of the upper edge."""
    size: int
    """Width and height."""
    angle: float = 0.0
    """Degrees by which the face is turned clockwise about the middle; it is turned back before it is read."""

    def overlap(self, other: "Box") -> float:
        """Return the area both cover as a share of the area either covers, 0 to 1."""
        width = min(self.x + self.size, other.x + other.size) - max(self.x, other.x)
        height = min(self.y + self.size, other.y + other.size) - max(self.y, other.y)
        common = max(0, width) * max(0, height)
        return common / (self.size**2 + other.size**2 - common)


def scaled(picture: RGB, smallest: int | None = None, *, side: int = SIDE) -> tuple[RGB, float]:
    """Return ``picture`` as it is looked at, never larger than it is, and the factor that brings places back.

    Args:
        picture: ``(H, W, 3)``.
        smallest: Pixels of a face that is to have :data:`SMALLEST` in it; if left out, the picture has no more pixels
            than a square of ``side``.
        side: In pixels.
    """
    import cv2

    height, width = picture.shape[:2]
    factor = math.sqrt(height * width) / side if smallest is None else smallest / SMALLEST
    if factor <= 1:
        return picture, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def square(middle_x: float, middle_y: float, side: float, factor: float, angle: float = 0.0) -> Box:
    """Return the box of that middle and side in pixels of a scaled picture; ``factor`` brings back its own."""
    size = max(1, round(float(side) * factor))
    return Box(round(float(middle_x) * factor - size / 2), round(float(middle_y) * factor - size / 2), size, angle)


def apart(boxes: list[Box]) -> list[Box]:
    """Return the boxes without those that cover much of an earlier one, or lie with their middle in it or around it."""
    kept: list[Box] = []
    for box in boxes:
        if not any(box.overlap(other) >= 0.4 or _inside(box, other) or _inside(other, box) for other in kept):
            kept.append(box)
    return kept


def _inside(box: Box, other: Box) -> bool:
    """Return whether the middle of ``box`` lies in ``other``; two faces do not share a middle."""
    x, y = box.x + box.size / 2, box.y + box.size / 2
    return other.x < x < other.x + other.size and other.y < y < other.y + other.size
