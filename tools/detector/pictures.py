"""Pictures of everything but faces, and windows of them.

They are some of scikit-image that show none, and photographs of folders one names. Where YuNet sees the slightest sign
of a face in these, no window is taken that shares much with it; parts of a face, hair and clothes are welcome.

Letters: N windows, H height, W width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from ferkit.errors import ImageError
from ferkit.inference.boxes import Box, scaled
from ferkit.inference.detect import YuNet
from ferkit.inference.find import find_images
from ferkit.inference.images import RGB, read_image
from ferkit.inference.levels import Grey, grey_levels, stretched

FACELESS = (
    *("cell.png", "clock_motion.png", "coins.png", "color.png", "horse.png", "hubble_deep_field.jpg", "ihc.png"),
    *("logo.png", "moon.png", "page.png", "phantom.png", "retina.jpg", "text.png"),
)
"""Of scikit-image; ``benchmarks/detectors.py`` tests with others."""
WEIGHT = 6
"""How often one of these is drawn for once a photograph is; they are few."""
SIDE = 640
"""Pixels of the longer side to which larger photographs are brought."""
SHARED = 0.2
"""Of the area of a window and a face; above it the window is not taken."""


@dataclass(frozen=True, slots=True)
class Background:
    """A picture and the faces in it, which are to be avoided."""

    grey: Grey
    faces: tuple[Box, ...]
    weight: int

    def is_free(self, x: float, y: float, side: float) -> bool:
        """Return whether the square of that middle and side shares little with any face."""
        square = Box(round(x - side / 2), round(y - side / 2), max(1, round(side)))
        return all(square.overlap(face) <= SHARED for face in self.faces)


class _Shy(YuNet):
    """YuNet that says wherever there is any doubt."""

    SCORE = 0.25
    SMALLEST = 8


def backgrounds(folders: Sequence[Path], every: int, yunet: Path | None) -> list[Background]:
    """Return scikit-image's pictures and every so many-th of the photographs in ``folders``.

    Raises:
        ImageError: There are folders, but no ``yunet``, or none with pictures.
    """
    if folders and yunet is None:
        raise ImageError("--photos needs --yunet FILE, which says where their faces are")
    shy = None if yunet is None else _Shy(yunet)
    found = [
        Background(_seen(read_image(Path(skimage.__file__).parent / "data" / name)), (), WEIGHT) for name in FACELESS
    ]
    for folder in folders:
        files = find_images(folder)
        if not files:
            raise ImageError(f"{folder}: expected a folder with pictures, got none")
        for file in files[::every]:
            try:
                picture, _ = scaled(read_image(file), side=SIDE)
            except ImageError as error:
                print(error)
                continue
            found.append(Background(_seen(picture), () if shy is None else tuple(shy(picture)), 1))
    return found


def _seen(picture: RGB) -> Grey:
    """Return ``picture`` as the detector sees it."""
    return stretched(grey_levels(picture))


def windows(found: Sequence[Background], count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Return squares ``(count, side, side)`` of ``found``, of all sizes, turned by right angles and mirrored."""
    rng = np.random.default_rng(seed)
    usable = [one for one in found if min(one.grey.shape) > 1.1 * side]
    weights = np.array([one.weight for one in usable], float)
    out = np.empty((count, side, side), np.uint8)
    number = 0
    while number < count:
        one = usable[rng.choice(len(usable), p=weights / weights.sum())]
        height, width = one.grey.shape
        size = math.exp(rng.uniform(math.log(1.1 * side), math.log(min(height, width))))
        x, y = rng.uniform(size / 2, width - size / 2), rng.uniform(size / 2, height - size / 2)
        if not one.is_free(x, y, size):
            continue
        top, left = int(y - size / 2), int(x - size / 2)
        square = one.grey[top : top + int(size), left : left + int(size)]
        square = np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        square = np.rot90(square, rng.choice((0, 0, 0, 1, 2, 3)))
        out[number] = square[:, ::-1] if rng.random() < 0.5 else square
        number += 1
    return out
