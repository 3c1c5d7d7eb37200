"""Places of faces while they are looked for: squares that may be turned, and pictures of them.

Letters: N places, H height, W width.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ferkit.inference.boxes import Grey

Places = NDArray[np.float64]
"""``(N, 5)``: middle x and y and side in pixels, the clockwise turn in radians, and the logit of its being a face."""


def halvings(grey: Grey, side: int) -> list[Grey]:
    """Return ``grey`` and what it gets when it is made half as large again and again, down to ``side`` pixels."""
    import cv2

    views = [grey]
    while min(views[-1].shape) >= 2 * side:
        height, width = views[-1].shape
        smaller = cv2.resize(views[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        views.append(np.asarray(smaller, np.uint8))
    return views


def window(views: list[Grey], place: NDArray[np.float64], side: int) -> Grey:
    """Return the square of ``place``, turned back, as ``(side, side)`` pixels; beyond the picture its edge goes on."""
    import cv2

    level = min(len(views) - 1, max(0, math.floor(math.log2(max(place[2], 1.0) / side))))
    view = views[level]
    x, y = place[0] * view.shape[1] / views[0].shape[1], place[1] * view.shape[0] / views[0].shape[0]
    step = place[2] * view.shape[0] / views[0].shape[0] / side  # pixels of the view for one of the window
    across, along = step * math.cos(place[3]), step * math.sin(place[3])
    middle = (side - 1) / 2
    there = np.array(
        [
            [across, -along, x - 0.5 - (across - along) * middle],
            [along, across, y - 0.5 - (along + across) * middle],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(view, there, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def likelier(places: Places, shared: float) -> Places:
    """Return the places, the likeliest first, without those that share more than ``shared`` with a likelier one."""
    places = places[np.argsort(-places[:, 4], kind="stable")]
    x, y, side = places[:, :3].T
    reach, smaller = np.add.outer(side, side) / 2, np.minimum.outer(side, side)
    wide, high = (np.minimum(reach - abs(np.subtract.outer(v, v)), smaller).clip(0) for v in (x, y))
    alike = wide * high > shared * (np.add.outer(side**2, side**2) - wide * high)
    free, kept = np.ones(len(places), bool), []
    for number in range(len(places)):
        if free[number]:
            kept.append(number)
            free &= ~alike[number]
    return places[kept]
