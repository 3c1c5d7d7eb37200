"""Pictures to face boxes; a detector is a function from a picture to ``Box`` values, the largest face first.

Boxes are cut as FER2013's faces are: the median box of a FER2013 face, laid into a larger picture and detected again,
is nearly as large as that face and in its place. ``benchmarks/detectors.py`` measures it.

To add a detector, write its class here, or import it, and name it in :data:`DETECTORS`.

Letters: H height, W width.
"""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ferkit.errors import ImageError, OptionError, UnknownNameError
from ferkit.files import is_file, is_folder
from ferkit.inference.boxes import Box, apart, scaled, square
from ferkit.inference.haar import Haar
from ferkit.inference.images import RGB, read_file
from ferkit.inference.levels import Grey
from ferkit.inference.quiet import quiet_opencv

Detector = Callable[[RGB], list[Box]]
"""RGB ``(H, W, 3)`` uint8 to boxes, the largest first."""


class YuNet:
    """OpenCV's YuNet network, from a file the user brings: quicker, and faces that are turned or covered too.

    Source: Wu, Peng and Yu, 2023; https://github.com/opencv/opencv_zoo, folder ``models/face_detection_yunet``.
    """

    SIDE = 0.97
    """Of the square, as a share of the height of its box."""
    LOWER = -0.02
    """How far below the middle of its box the square's middle lies, as a share of the side."""
    SCORE = 0.7
    TILTED = 12
    """Degrees by which the line of the eyes must be turned for the face to be turned back; the network that reads faces
    knows smaller turns from its training. In faces of less than about 150 pixels YuNet sees the eyes more level than
    they are: those are turned back too little or not at all."""
    SMALLEST = 16
    """Pixels of a face, and of a picture's shorter side, below which there is nothing to see: the network takes
    dots for faces there, and makes up infinite boxes."""
    LEAST = 64
    """Pixels a side of what the network is given, black where the picture is smaller: OpenCV reads memory that nobody
    wrote where a side is 32 pixels or less, so that a face is found or not by chance."""

    def __init__(self, file: Path, smallest: int | None = None) -> None:
        """Load the network.

        Args:
            file: Its weights.
            smallest: Pixels of the smallest face to look for in any picture; see :func:`ferkit.inference.boxes.scaled`.

        Raises:
            ImageError: The file is missing or no YuNet.
        """
        self._name = file
        self._smallest = smallest
        if not is_file(file):
            found = "a folder" if is_folder(file) else "nothing"
            raise ImageError(f"{file}: expected the file of a YuNet detector, got {found}")
        # read here: on Windows OpenCV itself is reported to open none below a folder with umlauts
        self._content = np.frombuffer(read_file(file), np.uint8)
        self._own = threading.local()
        self._load()  # so that a wrong file is told at once

    def __call__(self, picture: RGB) -> list[Box]:
        """Return the faces of ``picture``."""
        import cv2

        network = self._load()
        small, factor = scaled(picture, self._smallest)
        height, width = small.shape[:2]
        if min(height, width) < self.SMALLEST:
            return []
        right, below = max(0, self.LEAST - width), max(0, self.LEAST - height)
        padded = cv2.copyMakeBorder(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), 0, below, 0, right, cv2.BORDER_CONSTANT)
        network.setInputSize((width + right, height + below))
        _, found = network.detect(padded)
        boxes = []
        for x, y, w, h, *eyes in () if found is None else found[:, :8].tolist():
            if not (0 < x + w / 2 < width and 0 < y + h / 2 < height and 0 < max(w, h) <= 2 * max(height, width)):
                continue  # the network says such things of pictures that are nearly empty
            side = self.SIDE * max(w, h)
            boxes.append(square(x + w / 2, y + h / 2 + self.LOWER * side, side, factor, self._angle(*eyes)))
        return apart(sorted((box for box in boxes if box.size >= self.SMALLEST), key=lambda box: -box.size))

    def _angle(self, right_x: float, right_y: float, left_x: float, left_y: float) -> float:
        """Return degrees by which a face is turned clockwise, from its right and its left eye; 0 where it is little."""
        angle = math.degrees(math.atan2(left_y - right_y, left_x - right_x))
        return round(angle, 1) if abs(angle) >= self.TILTED else 0.0

    def _load(self) -> Any:
        import cv2

        if not hasattr(self._own, "network"):
            nothing = np.empty(0, np.uint8)
            try:
                with quiet_opencv():
                    network = cv2.FaceDetectorYN.create("onnx", self._content, nothing, (64, 64), self.SCORE)
                    network.detect(np.zeros((64, 64, 3), np.uint8))  # other networks fail here at last
            except cv2.error:
                raise ImageError(
                    f"{self._name}: expected the ONNX file of a YuNet detector, got another file"
                ) from None
            self._own.network = network
        return self._own.network


def whole_picture(picture: RGB) -> list[Box]:
    """Return the square in the middle of ``picture``: it is a face already."""
    return [middle_square(picture)]


def middle_square(picture: Grey | RGB) -> Box:
    """Return the largest square in the middle of ``picture``."""
    height, width = picture.shape[:2]
    size = min(height, width)
    return Box((width - size) // 2, (height - size) // 2, size)


def _haar(file: Path | None, smallest: int | None) -> Detector:
    _check_no_file("haar", file)
    return Haar(smallest=smallest)


def _none(file: Path | None, smallest: int | None) -> Detector:
    _check_no_file("none", file)
    if smallest is not None:
        raise OptionError("the detector none looks for no faces, so it takes no size of the smallest face")
    return whole_picture


def _check_no_file(name: str, file: Path | None) -> None:
    if file is not None:
        raise OptionError(f"the detector {name} takes no file")


def _yunet(file: Path | None, smallest: int | None) -> Detector:
    if file is None:
        raise OptionError("the detector yunet needs its file: detector_model (--detector-model)")
    return YuNet(file, smallest)


DETECTORS: dict[str, Callable[[Path | None, int | None], Detector]] = {
    "haar": _haar,
    "yunet": _yunet,
    "none": _none,
}
"""Name to a function that takes the detector's file and the size of the smallest face, if given, and returns it."""


def build_detector(name: str, file: Path | None = None, smallest: int | None = None) -> Detector:
    """Return a detector.

    Args:
        name: A key of :data:`DETECTORS`.
        file: Its weights, for ``yunet``.
        smallest: Pixels of the smallest face to look for, in however large a picture; if left out, those that have 30
            in a picture of 1,024 x 1,024.

    Raises:
        UnknownNameError: There is no such detector.
        OptionError: It needs a file and got none, or the reverse; or it cannot look for faces of ``smallest`` pixels.
        ImageError: Its file cannot be used, or OpenCV lacks its cascade.
        ModelError: The networks of ``haar`` are missing or damaged.
    """
    if name not in DETECTORS:
        raise UnknownNameError("detector", name, DETECTORS)
    if smallest is not None and (not isinstance(smallest, int | np.integer) or smallest < 1):
        raise OptionError(f"the smallest face must be a whole number of pixels, 1 or more, got {smallest!r}")
    return DETECTORS[name](file, smallest)
