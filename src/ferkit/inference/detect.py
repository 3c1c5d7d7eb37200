"""Pictures to face boxes; a detector is a function from a picture to :class:`Box` values, the largest face first.

Boxes are cut as FER2013's faces are: each detector's factors make the median box of a FER2013 face, laid into a larger
picture and detected again, as large as that face and in its place. ``benchmarks/detectors.py`` measures it.

To add a detector, write its class here and name it in :data:`DETECTORS`.

Letters: H height, W width.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, UnknownNameError
from ferkit.inference.images import RGB, for_opencv
from ferkit.inference.quiet import quiet_opencv

MAX_SIDE = 1024
"""Pixels of the longer side at which faces are looked for; larger pictures are scaled down for that."""

SMALLEST = 0.05
"""Side of the smallest face that is looked for, as a share of the picture's shorter side ..."""

SMALLEST_PIXELS = 30
"""... and in pixels of the scaled picture."""

SMALLEST_FILLING = 16
"""Pixels of the shorter side of a picture below which no face that fills it is looked for."""


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


Grey = NDArray[np.uint8]
"""Grey levels ``(H, W)``."""

Detector = Callable[[RGB], list[Box]]
"""RGB ``(H, W, 3)`` uint8 to boxes, the largest first."""


class Haar:
    """OpenCV's Haar cascades: nothing to download, faces that look at the camera.

    One cascade looks everywhere, and easily; its places are kept where another, looking closely, finds a face again and
    again. Both know upright faces with something around them only. So where they find none, they look again in the
    picture with its edges drawn out, for a face that fills it; and, but for portraits, in the picture turned to either
    side, for large faces.

    Source: Lienhart, Kuranov and Pisarevsky, 2003; OpenCV's ``haarcascade_frontalface_alt2.xml`` and ``_alt.xml``,
    which raise fewer false alarms than its ``default``. Grey levels are stretched, not equalised: equalisation makes
    faces out of textures. ``benchmarks/detectors.py`` measures what that is worth.
    """

    WIDEN = 1 / 0.96
    """Of the cascade's square."""
    STEP = 1.1
    """From one size of faces to the next, where it looks everywhere ..."""
    CLOSE_STEP = 1.05
    """... and where it looks closely."""
    CLOSE = 48
    """Pixels of a face that is looked at closely, with half as much around it."""
    AGREE, AGREE_FILLING, AGREE_TILTED = 10, 5, 14
    """Detections of the second cascade that must agree on a face; fewer finds more faces and more false alarms."""
    FILLING_SIDE, FILLING_EDGE = 128, 48
    """Pixels of the longer side where a face is looked for that fills the picture, and of what is put around it."""
    FILLING = 0.45
    """Side of the smallest such face, as a share of the picture's shorter side."""
    TILTS = (-25.0, 25.0)
    """Degrees by which a picture is turned ..."""
    TILTED_SIDE, TILTED_STEP = 320, 1.2
    """... its longer side then, in pixels, and the step from one size of faces to the next."""
    PORTRAIT = 0.4
    """Side of an upright face, as a share of the picture's shorter side, beside which no tilted ones are looked for."""
    TILTED = 0.12
    """Side of the smallest face that is looked for there, as a share of the picture's shorter side."""

    def __init__(self) -> None:
        self._own = threading.local()  # a cascade serves one thread at a time
        for file in self._files():
            if not file.is_file():
                raise ImageError(f"{file}: OpenCV lacks its cascade; install opencv-python-headless 4 again")

    def __call__(self, picture: RGB) -> list[Box]:
        """Return the faces of ``picture``."""
        upright = self._upright(picture) or self._filling(picture)
        if any(box.size >= self.PORTRAIT * min(picture.shape[:2]) for box in upright):
            return _sorted(upright)
        tilted = [
            box
            for box in self._tilted(picture)
            if not any(_inside(box, other) or box.overlap(other) >= 0.2 for other in upright)
        ]
        return _sorted(upright + tilted)

    def _upright(self, picture: RGB) -> list[Box]:
        small, factor = _scaled(picture, MAX_SIDE)
        found = self._look(_levels(small), _smallest(small), self.STEP, self.AGREE)
        return [_square(x, y, self.WIDEN * side, factor) for x, y, side in found]

    def _filling(self, picture: RGB) -> list[Box]:
        if min(picture.shape[:2]) < SMALLEST_FILLING:
            return []
        small, factor = _scaled(picture, self.FILLING_SIDE, enlarge=True)
        height, width = small.shape[:2]
        grey = np.pad(_levels(small), self.FILLING_EDGE, mode="edge")
        smallest = max(SMALLEST_PIXELS, round(self.FILLING * min(height, width)))
        boxes = []
        for x, y, side in self._look(grey, smallest, self.CLOSE_STEP, self.AGREE_FILLING):
            left, top = x - self.FILLING_EDGE, y - self.FILLING_EDGE
            if 0 <= left < width and 0 <= top < height:
                boxes.append(_square(left, top, self.WIDEN * side, factor))
        return boxes

    def _tilted(self, picture: RGB) -> list[Box]:
        small, factor = _scaled(picture, self.TILTED_SIDE)
        grey = _levels(small)
        height, width = grey.shape
        smallest = max(SMALLEST_PIXELS, round(self.TILTED * min(height, width)))
        boxes = []
        for angle in self.TILTS:
            turned, back = _turned(grey, angle)
            for x, y, side in self._look(turned, smallest, self.TILTED_STEP, self.AGREE_TILTED):
                left, top = (back @ (x, y, 1)).tolist()
                if 0 <= left < width and 0 <= top < height:
                    boxes.append(_square(left, top, self.WIDEN * side, factor, angle))
        return boxes

    def _look(self, grey: Grey, smallest: int, step: float, agree: int) -> list[tuple[float, float, float]]:
        """Return middle and side of the faces of ``smallest`` pixels and more that both cascades find."""
        if min(grey.shape) < smallest:
            return []
        found = self._cascades()[0].detectMultiScale(
            grey, scaleFactor=step, minNeighbors=1, minSize=(smallest, smallest)
        )
        places = [(x + w / 2, y + h / 2, float(w)) for x, y, w, h in found]
        return [place for place in places if self._look_closely(grey, *place) >= agree]

    def _look_closely(self, grey: Grey, x: float, y: float, side: float) -> int:
        """Return how often the second cascade sees a face of about ``side`` pixels around ``x``, ``y``."""
        import cv2

        rows, columns = (
            np.arange(round(middle - side), round(middle + side)).clip(0, most - 1)
            for middle, most in zip((y, x), grey.shape, strict=True)
        )
        patch = grey[np.ix_(rows, columns)]
        shrinks = len(rows) > 2 * self.CLOSE
        patch = cv2.resize(
            patch, (2 * self.CLOSE, 2 * self.CLOSE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        least, most = round(0.65 * self.CLOSE), round(1.5 * self.CLOSE)
        found, counts = self._cascades()[1].detectMultiScale2(
            patch, scaleFactor=self.CLOSE_STEP, minNeighbors=1, minSize=(least, least), maxSize=(most, most)
        )
        near = 0.3 * self.CLOSE
        return max(
            (
                int(count)
                for (left, top, w, h), count in zip(found, np.ravel(counts), strict=True)
                if abs(left + w / 2 - self.CLOSE) < near and abs(top + h / 2 - self.CLOSE) < near
            ),
            default=0,
        )

    def _cascades(self) -> tuple[Any, Any]:
        import cv2

        if not hasattr(self._own, "cascades"):
            self._own.cascades = tuple(cv2.CascadeClassifier(for_opencv(file)) for file in self._files())
        first, second = self._own.cascades
        return first, second

    @staticmethod
    def _files() -> list[Path]:
        """Return the cascade that looks everywhere, and the one that looks closely."""
        import cv2

        folder = Path(cv2.__file__).with_name("data")
        return [folder / f"haarcascade_frontalface_{name}.xml" for name in ("alt2", "alt")]


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
        for x, y, w, h, *eyes in () if found is None else found[:, :8].tolist():
            if not (0 < x + w / 2 < width and 0 < y + h / 2 < height and 0 < max(w, h) <= 2 * max(height, width)):
                continue  # the network says such things of pictures that are nearly empty
            side = self.SIDE * max(w, h)
            boxes.append(_square(x + w / 2, y + h / 2 + self.LOWER * side, side, factor, self._angle(*eyes)))
        return _sorted([box for box in boxes if box.size >= self.SMALLEST])

    def _angle(self, right_x: float, right_y: float, left_x: float, left_y: float) -> float:
        """Return degrees by which a face is turned clockwise, from its right and its left eye; 0 where it is little."""
        angle = math.degrees(math.atan2(left_y - right_y, left_x - right_x))
        return round(angle, 1) if abs(angle) >= self.TILTED else 0.0

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
    return [middle_square(picture)]


def middle_square(picture: Grey | RGB) -> Box:
    """Return the largest square in the middle of ``picture``."""
    height, width = picture.shape[:2]
    size = min(height, width)
    return Box((width - size) // 2, (height - size) // 2, size)


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


def _scaled(picture: RGB, most: int, *, enlarge: bool = False) -> tuple[RGB, float]:
    """Return ``picture`` with its longer side at most ``most``, and what to multiply its pixels with to come back.

    With ``enlarge`` a smaller picture gets as large.
    """
    import cv2

    factor = max(picture.shape[:2]) / most
    if factor <= 1 and not enlarge:
        return picture, 1.0
    size = (max(1, round(picture.shape[1] / factor)), max(1, round(picture.shape[0] / factor)))
    interpolation = cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=interpolation), np.uint8), factor


def _smallest(picture: Grey | RGB) -> int:
    """Return the side of the smallest face that is looked for in ``picture``, in pixels."""
    return max(SMALLEST_PIXELS, round(SMALLEST * int(min(picture.shape[:2]))))


def _levels(picture: RGB) -> Grey:
    """Return the grey levels of ``picture``, stretched."""
    import cv2

    return _stretched(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))


def _turned(grey: Grey, angle: float) -> tuple[Grey, NDArray[np.float64]]:
    """Return ``grey`` turned by ``angle`` degrees, whole, and the affine map back to its pixels."""
    import cv2

    height, width = grey.shape
    there = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    wide, high = (np.abs(there[:, :2]) @ (width, height)).round().astype(int).tolist()
    there[:, 2] += (wide - width) / 2, (high - height) / 2
    turned = cv2.warpAffine(grey, there, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8), np.asarray(cv2.invertAffineTransform(there), np.float64)


def _stretched(grey: Grey) -> Grey:
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
