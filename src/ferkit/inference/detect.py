"""Pictures to face boxes; a detector is a function from a picture to :class:`Box` values, the largest face first.

Boxes are cut as FER2013's faces are: each detector's factors make the median box of a FER2013 face, laid into a larger
picture and detected again, as large as that face and in its place. ``benchmarks/detectors.py`` measures it.

To add a detector, write its class here and name it in :data:`DETECTORS`.

Letters: H height, W width.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, UnknownNameError
from ferkit.inference.images import RGB, for_opencv, quiet_opencv

MAX_SIDE = 1024
"""Pixels of the longer side at which faces are looked for; larger pictures are scaled down for that."""

SMALLEST = 0.05
"""Side of the smallest face that is looked for, as a share of the picture's shorter side ..."""

SMALLEST_PIXELS = 30
"""... and in pixels of the scaled picture."""


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


Detector = Callable[[RGB], list[Box]]
"""RGB ``(H, W, 3)`` uint8 to boxes, the largest first."""


class Haar:
    """OpenCV's Haar cascade for frontal faces: nothing to download, faces that look at the camera.

    It knows upright faces only; where it finds none, it looks again in the picture turned to either side.

    Source: Lienhart, Kuranov and Pisarevsky, 2003; OpenCV's ``haarcascade_frontalface_alt2.xml``, which raises fewer
    false alarms than its ``default``. Grey levels are stretched, not equalised: equalisation makes faces out of
    textures. ``benchmarks/detectors.py`` measures what that is worth.
    """

    WIDEN = 1 / 0.96
    """Of the cascade's square."""
    NEIGHBOURS = 5
    """Detections that must agree on a face; fewer finds more faces and more false alarms."""
    TILTS = (-25.0, 25.0)
    """Degrees by which a picture without upright faces is turned ..."""
    TILTED_SIDE = 512
    """... its longer side then, in pixels ..."""
    TILTED_NEIGHBOURS = 6
    """... and the detections that must agree."""

    def __init__(self) -> None:
        self._own = threading.local()  # a cascade serves one thread at a time

    def __call__(self, picture: RGB) -> list[Box]:
        """Return the faces of ``picture``."""
        small, factor = _scaled(picture, MAX_SIDE)
        upright = [
            _square(x, y, self.WIDEN * side, factor) for x, y, side in self._look(_levels(small), self.NEIGHBOURS)
        ]
        return _sorted(upright or self._tilted(picture))

    def _tilted(self, picture: RGB) -> list[Box]:
        small, factor = _scaled(picture, self.TILTED_SIDE)
        grey = _levels(small)
        height, width = grey.shape
        boxes = []
        for angle in self.TILTS:
            turned, back = _turned(grey, angle)
            for x, y, side in self._look(turned, self.TILTED_NEIGHBOURS):
                left, top = (back @ (x, y, 1)).tolist()
                if 0 <= left < width and 0 <= top < height:
                    boxes.append(_square(left, top, self.WIDEN * side, factor, angle))
        return boxes

    def _look(self, grey: NDArray[np.uint8], neighbours: int) -> list[tuple[float, float, float]]:
        """Return middle and side of the squares the cascade finds."""
        import cv2

        if not hasattr(self._own, "cascade"):
            file = Path(cv2.__file__).with_name("data") / "haarcascade_frontalface_alt2.xml"
            self._own.cascade = cv2.CascadeClassifier(str(file))
        smallest = max(SMALLEST_PIXELS, round(SMALLEST * min(grey.shape)))
        if min(grey.shape) < smallest:
            return []
        found = self._own.cascade.detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(smallest, smallest)
        )
        return [(x + w / 2, y + h / 2, float(w)) for x, y, w, h in found]


class YuNet:
    """OpenCV's YuNet network, from a file the user brings: quicker, and faces that are turned or covered too.

    Source: Wu, Peng and Yu, 2023; https://github.com/opencv/opencv_zoo, folder ``models/face_detection_yunet``.
    """

    SIDE = 0.97
    """Of the square, as a share of the height of its box."""
    LOWER = -0.02
    """How far below the middle of its box the square's middle lies, as a share of the side."""
    SCORE = 0.7
    SMALLEST = 16
    """Pixels of a face, and of a picture's shorter side, below which there is nothing to see: the network takes
    dots for faces there, and makes up infinite boxes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._own = threading.local()
        self._load()  # so that a wrong file is told at once

    def __call__(self, picture: RGB) -> list[Box]:
        """Return the faces of ``picture``."""
        import cv2

        network = self._load()
        small, factor = _scaled(picture, MAX_SIDE)
        height, width = small.shape[:2]
        if min(height, width) < self.SMALLEST:
            return []
        network.setInputSize((width, height))
        _, found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        boxes = []
        for x, y, w, h in () if found is None else found[:, :4].tolist():
            if not (0 < x + w / 2 < width and 0 < y + h / 2 < height and 0 < max(w, h) <= 2 * max(height, width)):
                continue  # the network says such things of pictures that are nearly empty
            side = self.SIDE * max(w, h)
            boxes.append(_square(x + w / 2, y + h / 2 + self.LOWER * side, side, factor))
        return _sorted([box for box in boxes if box.size >= self.SMALLEST])

    def _load(self) -> Any:
        import cv2

        if not hasattr(self._own, "network"):
            if not self._file.is_file():
                found = "a folder" if self._file.is_dir() else "nothing"
                raise ImageError(f"{self._file}: expected the file of a YuNet detector, got {found}")
            try:
                with quiet_opencv():
                    network = cv2.FaceDetectorYN.create(for_opencv(self._file), "", (64, 64), self.SCORE)
                    network.detect(np.zeros((64, 64, 3), np.uint8))  # other networks fail here at last
            except cv2.error:
                raise ImageError(
                    f"{self._file}: expected the ONNX file of a YuNet detector, got another file"
                ) from None
            self._own.network = network
        return self._own.network


def whole_picture(picture: RGB) -> list[Box]:
    """Return the square in the middle of ``picture``: it is a face already."""
    height, width = picture.shape[:2]
    size = min(height, width)
    return [Box((width - size) // 2, (height - size) // 2, size)]


def _haar(file: Path | None) -> Detector:
    _check_no_file("haar", file)
    return Haar()


def _none(file: Path | None) -> Detector:
    _check_no_file("none", file)
    return whole_picture


def _check_no_file(name: str, file: Path | None) -> None:
    if file is not None:
        raise ImageError(f"the detector {name} takes no file")


def _yunet(file: Path | None) -> Detector:
    if file is None:
        raise ImageError("the detector yunet needs its file: --detector-model face_detection_yunet.onnx")
    return YuNet(file)


DETECTORS: dict[str, Callable[[Path | None], Detector]] = {
    "haar": _haar,
    "yunet": _yunet,
    "none": _none,
}
"""Name to a function that takes the detector's file, if it has one, and returns the detector."""


def build_detector(name: str, file: Path | None = None) -> Detector:
    """Return a detector.

    Args:
        name: A key of :data:`DETECTORS`.
        file: Its weights, for ``yunet``.

    Raises:
        UnknownNameError: There is no such detector.
        ImageError: Its file is missing or wrong.
    """
    if name not in DETECTORS:
        raise UnknownNameError("detector", name, DETECTORS)
    return DETECTORS[name](file)


def _scaled(picture: RGB, most: int) -> tuple[RGB, float]:
    """Return ``picture`` with its longer side at most ``most``, and what to multiply its pixels with to come back."""
    import cv2

    longer = max(picture.shape[:2])
    if longer <= most:
        return picture, 1.0
    factor = longer / most
    size = (max(1, round(picture.shape[1] / factor)), max(1, round(picture.shape[0] / factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def _levels(picture: RGB) -> NDArray[np.uint8]:
    """Return the grey levels of ``picture``, stretched."""
    import cv2

    return _stretched(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))


def _turned(grey: NDArray[np.uint8], angle: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return ``grey`` turned by ``angle`` degrees, whole, and the affine map back to its pixels."""
    import cv2

    height, width = grey.shape
    there = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    wide, high = (np.abs(there[:, :2]) @ (width, height)).round().astype(int).tolist()
    there[:, 2] += (wide - width) / 2, (high - height) / 2
    turned = cv2.warpAffine(grey, there, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), np.asarray(cv2.invertAffineTransform(there), np.float64)


def _stretched(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``grey`` over the whole range, but for the darkest and the brightest hundredth; not more than 16 times."""
    import cv2

    counts = np.bincount(grey.ravel(), minlength=256).cumsum()
    low, high = (int(np.searchsorted(counts, share * counts[-1])) for share in (0.01, 0.99))
    levels = (np.arange(256) - low) * (255 / max(high - low, 16))
    return np.asarray(cv2.LUT(grey, levels.clip(0, 255).astype(np.uint8)), np.uint8)


def _square(middle_x: float, middle_y: float, side: float, factor: float, angle: float = 0.0) -> Box:
    size = max(1, round(float(side) * factor))
    return Box(round(float(middle_x) * factor - size / 2), round(float(middle_y) * factor - size / 2), size, angle)


def _sorted(boxes: list[Box]) -> list[Box]:
    """Return the boxes, the largest first, without those that mostly cover a larger one's face."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: (-box.size, box.x, box.y)):
        if all(box.overlap(other) < 0.4 and not _inside(box, other) for other in kept):
            kept.append(box)
    return kept


def _inside(box: Box, other: Box) -> bool:
    """Return whether the middle of ``box`` lies in ``other``; two faces do not share a middle."""
    x, y = box.x + box.size / 2, box.y + box.size / 2
    return other.x < x < other.x + other.size and other.y < y < other.y + other.size
