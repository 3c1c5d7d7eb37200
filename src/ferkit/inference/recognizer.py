"""Pictures to faces with expressions.

Letters: N faces or pictures, H height, W width, K classes.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, OptionError
from ferkit.inference.boxes import Box
from ferkit.inference.crops import cut, grey_of, resized
from ferkit.inference.detect import Detector, build_detector, middle_square
from ferkit.inference.images import MAX_PIXELS, RGB, enough_memory, read_image
from ferkit.inference.levels import contrasted
from ferkit.inference.session import Session
from ferkit.inference.views import check_views, views_of
from ferkit.inference.weights import SHIPPED, ModelCard
from ferkit.labels import UNCERTAIN

_MOST = 4  # times the longer side of a picture: how large a box may be, and how far from its corner


@dataclass(frozen=True, slots=True)
class Face:
    """A face and what it expresses."""

    box: Box
    """Where it is, in pixels of the picture."""

    expression: str
    """The likeliest class, or ``uncertain``."""

    confidence: float
    """Probability of the likeliest class, calibrated on FER2013: of the faces with 0.8 about 80 % are right; read by
    ``compact-votes``, it is the share of the votes for one of the classes that such faces get on average."""

    probabilities: Mapping[str, float] = field(hash=False)
    """Of every class; they sum to 1."""

    @classmethod
    def from_probabilities(cls, box: Box, probabilities: Mapping[str, float], min_confidence: float) -> "Face":
        """Return the face in ``box`` that has these ``probabilities``: uncertain below ``min_confidence``, 0 to 1."""
        likeliest = max(probabilities, key=probabilities.__getitem__)
        confidence = probabilities[likeliest]
        return cls(box, likeliest if confidence >= min_confidence else UNCERTAIN, confidence, probabilities)

    @property
    def likeliest(self) -> str:
        """The likeliest class, however uncertain."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def guess(self) -> str:
        """The expression for people: of an uncertain face the likeliest class with a question mark."""
        return self.expression if self.expression == self.likeliest else f"{self.likeliest}?"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "box": {
                "x": int(self.box.x),
                "y": int(self.box.y),
                "size": int(self.box.size),
                "angle": float(self.box.angle),
            },
            "expression": self.expression,
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
        }


class Recognizer:
    """Finds faces and reads their expressions. Several threads may share one; processes each load their own."""

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        detector: str | Detector = "haar",
        detector_model: str | Path | None = None,
        min_confidence: float = 0.0,
        max_pixels: int = MAX_PIXELS,
        threads: int = 1,
        views: Sequence[str] = (),
        smallest_face: int | None = None,
    ) -> None:
        """Load network and detector.

        Args:
            model: ``compact``, which learnt FER2013's labels, ``compact-votes``, which learnt what ten taggers chose,
                or an ONNX file written by ``ferkit export``, as a ``Path`` always is; ``compact`` if left out.
            detector: ``haar``, ``yunet``, ``none`` (a picture is one face), or a function from RGB ``(H, W, 3)`` uint8
                to boxes.
            detector_model: The file that ``yunet`` needs.
            min_confidence: Below it the expression is ``uncertain``; 0 to 1.
            max_pixels: Larger pictures are refused.
            threads: Processor threads for the network.
            views: What the network reads besides each face, as the mean of the probabilities: ``mirror``, ``shifts`` or
                both; see :data:`ferkit.inference.views.VIEWS`. Two, five or ten times its time.
            smallest_face: Pixels of the smallest face to look for, in however large a picture; the smaller the longer
                it takes. If left out, those that have 30 in a picture of 1,024 x 1,024: 101 in one of 12 million.

        Raises:
            ModelError: The network's file is missing, damaged or not exported by ferkit.
            ImageError: The detector's file cannot be used.
            OptionError: ``threads`` is not in 1 to 1,024, ``min_confidence`` not in 0 to 1, ``max_pixels`` below 1,
                ``smallest_face`` too, ``views`` no list, a file no path, or the detector no function, without the file
                it needs, or not one that ``smallest_face`` is for.
            UnknownNameError: There is no such network, detector or view.
        """
        if isinstance(views, str):
            raise OptionError(f"expected views as a list of names, got the string {views!r}")
        check_views(views)
        check_min_confidence(min_confidence)
        if not isinstance(max_pixels, int | np.integer) or max_pixels < 1:
            raise OptionError(f"max_pixels must be a whole number, 1 or more, got {max_pixels!r}")
        if not isinstance(detector_model, str | os.PathLike | None):
            raise OptionError(f"expected detector_model as the name of a file, got {detector_model!r}")
        self._settings: dict[str, Any] = {
            "model": model,
            "detector": detector,
            "detector_model": None if detector_model is None else Path(detector_model).absolute(),
            "min_confidence": min_confidence,
            "max_pixels": max_pixels,
            "threads": threads,
            "views": tuple(views),
            "smallest_face": smallest_face,
        }
        self._session = Session(model, threads)
        if self._session.file not in SHIPPED.values():  # found anew wherever the program works by then
            self._settings["model"] = self._session.file.absolute()
        if isinstance(detector, str):
            file = None if detector_model is None else Path(detector_model)
            detector = build_detector(detector, file, smallest_face)
        elif smallest_face is not None:
            raise OptionError("smallest_face is for ferkit's detectors; one of your own looks for what it looks for")
        if not callable(detector):
            raise OptionError(f"expected the name of a detector or a function, got {detector!r}")
        self._detect = detector
        self._min_confidence = min_confidence
        self._max_pixels = max_pixels
        self._views = tuple(views)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be loaded anew where it is unpickled, from the same files: so that other processes can be given one."""
        return partial(type(self), **self._settings), ()

    @property
    def card(self) -> ModelCard:
        """What the network says of itself."""
        return self._session.card

    @property
    def min_confidence(self) -> float:
        """Below it an expression is ``uncertain``."""
        return self._min_confidence

    def recognize(self, image: Any) -> list[Face]:
        """Return the faces of one picture, the largest first; none is an answer too.

        Args:
            image: A path, the bytes of a file, a PIL image, or an RGB array; see
                :func:`ferkit.inference.images.read_image`. OpenCV's arrays are BGR: give ``array[..., ::-1]``.

        Raises:
            ImageError: It is no picture, damaged or too large; or a box of a detector of one's own lies elsewhere.
            OptionError: Such a detector gave something else than boxes.
        """
        return self.recognize_batch([image])[0]

    def recognize_batch(self, images: Iterable[Any]) -> list[list[Face]]:
        """Return the faces of several pictures; the network reads all their faces together.

        Args:
            images: Any number of what :meth:`recognize` takes; an array is of pictures, ``(N, H, W, 3)``, or of names.

        Raises:
            ImageError: As :meth:`recognize`, for the first picture that cannot be read; or this is one picture.
            OptionError: As :meth:`recognize`.
        """
        check_several(images)
        boxes: list[list[Box]] = []
        crops: list[NDArray[np.uint8]] = []
        for image in images:  # a picture is let go as soon as its faces are cut out
            picture = read_image(image, self._max_pixels)
            name = str(image) if isinstance(image, str | os.PathLike) else ""
            with enough_memory(name, picture.shape[1], picture.shape[0]):
                found = [_whole(box, picture) for box in self._boxes(picture)]
                boxes.append(sorted(found, key=lambda box: -box.size))
                crops += [cut(picture, box) for box in boxes[-1]]
        faces = iter(self._faces(crops, [box for found in boxes for box in found]))
        return [[next(faces) for _ in found] for found in boxes]

    def recognize_crops(self, crops: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> list[Face]:
        """Return what faces express that are cut out already.

        Args:
            crops: ``(N, H, W)`` grey or ``(N, H, W, 3)`` RGB, uint8; or a list of such pictures of different sizes. Of
                one that is no square the middle is read, as with the detector ``none``; ``box`` says which part.

        Raises:
            ImageError: They are something else, or one is too large.
        """
        if isinstance(crops, np.ndarray) and (
            crops.ndim not in (3, 4) or (crops.ndim == 3 and crops.shape[2] in (1, 3, 4))
        ):
            raise ImageError(f"expected crops (N, H, W) or (N, H, W, 3), got {crops.shape}; put one face into a list")
        if not _are_several(crops):
            raise ImageError(f"expected crops (N, H, W) or a list of them, got {type(crops).__name__}")
        greys = [grey_of(crop, self._max_pixels) for crop in crops]
        boxes = [middle_square(grey) for grey in greys]
        squares = [grey[b.y : b.y + b.size, b.x : b.x + b.size] for grey, b in zip(greys, boxes, strict=True)]
        return self._faces([resized(square) for square in squares], boxes)

    def _boxes(self, picture: RGB) -> Iterable[Any]:
        """Return what the detector finds; it may be anybody's, and the picture the caller's own array."""
        seen = picture.view()
        seen.flags.writeable = False
        boxes = self._detect(seen)
        if not isinstance(boxes, Iterable):
            raise OptionError(f"expected of the detector a list of boxes, got {type(boxes).__name__}")
        return boxes

    def _faces(self, crops: list[NDArray[np.uint8]], boxes: list[Box]) -> list[Face]:
        if not crops:
            return []
        rows = self._probabilities(np.stack([contrasted(crop) for crop in crops])).tolist()
        named = (dict(zip(self.card.classes, row, strict=True)) for row in rows)
        return [
            Face.from_probabilities(box, probabilities, self._min_confidence)
            for box, probabilities in zip(boxes, named, strict=True)
        ]

    def _probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not self._views:  # a mean of one takes its time, too
            return self._session(faces)
        seen = list(views_of(faces, self._views))
        together = self._session(np.concatenate(seen))
        mean: NDArray[np.float32] = together.reshape(len(seen), len(faces), -1).mean(axis=0)
        return mean


def check_min_confidence(given: Any) -> None:
    """Raise an OptionError unless ``given`` is a number from 0 to 1."""
    if not isinstance(given, int | float | np.number) or not 0 <= given <= 1:
        raise OptionError(f"min_confidence must be from 0 to 1, got {given!r}")


def _are_several(given: Any) -> bool:
    """Return whether pictures may be taken from ``given`` one by one: not from the content or the name of one."""
    return isinstance(given, Iterable) and not (
        isinstance(given, str | bytes | bytearray | memoryview) or hasattr(given, "read")
    )


def check_several(images: Any) -> None:
    """Raise an ImageError where ``images`` is one picture, or not what pictures can be taken from one by one."""
    if isinstance(images, np.ndarray):
        names = images.ndim == 1 and images.dtype.kind in "OUT"
        if images.ndim != 4 and not names:
            got = f"an array {images.shape}"
            raise ImageError(
                f"expected several pictures, (N, H, W, 3) or a list of them, got {got}; put one into a list"
            )
    elif not _are_several(images):
        raise ImageError(f"expected several pictures, got {type(images).__name__}; put one into a list")


def _whole(box: Any, picture: RGB) -> Box:
    """Return what a detector says in whole pixels, as Python's numbers.

    Raises:
        OptionError: It is no box.
        ImageError: It could not hold a face of the picture.
    """
    if not isinstance(box, Box):
        raise OptionError(f"expected of the detector boxes, ferkit.Box(x, y, size), got {box!r}")
    try:
        x, y, size, angle = float(box.x), float(box.y), float(box.size), float(box.angle)
    except (TypeError, ValueError):
        size = math.nan
    reach = _MOST * max(picture.shape[:2])
    if 1 <= size <= reach and abs(x) <= reach and abs(y) <= reach and math.isfinite(angle):
        return Box(round(x), round(y), round(size), angle)
    height, width = picture.shape[:2]
    raise ImageError(f"expected of the detector boxes that meet the picture of {width} x {height}, got {box!r}")
