"""Places of faces while they are looked for: squares that may be turned, and pictures of them.

Letters: N places, H height, W width.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.inference.levels import Grey

Places = NDArray[np.float64]
"""``(N, 5)``: middle x and y and side in pixels, the clockwise turn in radians, and the logit of its being a face."""


_LONGEST = 32_767  # pixels of a side from which on OpenCV turns nothing


def build_pyramid(grey: Grey, side: int) -> list[Grey]:
    """Return ``grey``, and it at half of that size, again and again, down to ``side`` pixels."""
    import cv2

    pyramid = [grey]
    while min(pyramid[-1].shape) >= 2 * side:
        height, width = pyramid[-1].shape
        smaller = cv2.resize(pyramid[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        pyramid.append(np.asarray(smaller, np.uint8))
    return pyramid


def window(pyramid: list[Grey], place: NDArray[np.float64], side: int) -> Grey:
    """Return the square of ``place``, turned back, as ``(side, side)`` pixels; beyond the picture its edge goes on."""
    import cv2

    level = min(len(pyramid) - 1, max(0, math.floor(math.log2(max(place[2], 1.0) / side))))
    view = pyramid[level]
    x, y = place[0] * view.shape[1] / pyramid[0].shape[1], place[1] * view.shape[0] / pyramid[0].shape[0]
    step = place[2] * view.shape[0] / pyramid[0].shape[0] / side  # pixels of the view for one of the window
    across, along = step * math.cos(place[3]), step * math.sin(place[3])
    if max(view.shape) >= _LONGEST:
        reach = math.ceil(step * side) + 2  # more than the half diagonal
        left, top = (
            min(max(0, int(at) - reach), length - 1) for at, length in ((x, view.shape[1]), (y, view.shape[0]))
        )
        view = view[top : max(top + 1, int(y) + reach), left : max(left + 1, int(x) + reach)]
        x, y = x - left, y - top
    middle = (side - 1) / 2
    there = np.array(
        [
            [across, -along, x - 0.5 - (across - along) * middle],
            [along, across, y - 0.5 - (along + across) * middle],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(view, there, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def non_maximum_suppression(places: Places, shared: float) -> Places:
    """Return the places, the likeliest first, without those that share more than ``shared`` with a likelier one."""
    import cv2

    places = places[np.argsort(-places[:, 4], kind="stable")]
    if not len(places):
        return places
    boxes: Any = np.hstack([places[:, :2] - places[:, 2:3] / 2, places[:, [2, 2]]])
    ranks: Any = np.arange(len(places), 0, -1.0)  # in place of logits, as OpenCV takes none below zero
    kept: Places = places[np.asarray(cv2.dnn.NMSBoxes(boxes, ranks, 0.0, shared), int)]
    return kept
