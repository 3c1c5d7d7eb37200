"""The detector that needs no file: two small networks say where faces are; where they doubt, a Haar cascade decides.

The first network looks everywhere, at small pictures of the picture: wherever a face may be, one of each size. The
second looks closely at what the first proposes, says whether it is a face, and how it has to be moved, sized and
turned; then once more, at the place it said, and at its mirror image. OpenCV's Haar cascade looks at what they are not
sure of: it has learned from other pictures than they, and takes other things for faces. Where nobody is found
whose face is lit, all look once more, at what is dark: a face before a window is hardly more than a shadow.

Source: two of the three stages of Zhang, Zhang, Li and Qiao, 2016, https://arxiv.org/abs/1604.02878; Lienhart, Kuranov
and Pisarevsky, 2003, whose cascade is OpenCV's ``haarcascade_frontalface_alt.xml``. Ours differs: the networks are
smaller, grey, know turned faces, and have learned from FER2013's, so that boxes are cut as those are.
``tools/detector`` trains them; ``benchmarks/detectors.py`` measures what is found. Grey levels are stretched, not
equalised: equalisation makes faces out of textures.

Letters: N places, H height, W width.
"""

import json
import math
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, ModelError
from ferkit.inference.boxes import SMALLEST, Box, apart, scaled, square
from ferkit.inference.images import RGB
from ferkit.inference.levels import Grey, grey_levels, lifted, stretched
from ferkit.inference.places import Places, build_pyramid, non_maximum_suppression, window
from ferkit.inference.session import load_runtime
from ferkit.inference.weights import FOLDER

NETWORKS = ("propose.onnx", "refine.onnx")
CARD = "detector.json"
"""Files of both, and of what is said of them."""

WINDOW, STRIDE = 19, 4
"""Pixels a side of what the first network sees of a face, and from one such window to the next."""

FACE = 22
"""Pixels a side of the face in whose middle that window lies."""

CLOSE = 32
"""Pixels a side of what the second network sees: the square of the face itself."""


class Haar:
    """Two small networks and OpenCV's Haar cascade; nothing to download."""

    STEP = 1.3
    """From one size of faces to the next."""
    MAYBE, LIKELY, SURE = 0.0, 1.0, 3.5
    """Logits: of the first network, from which a place is looked at closely; of the second, from which it is a face if
    the cascade thinks so, too, and from which it is one whatever that says."""
    HINT = -2.0
    """Logit of the second network from which it looks once more, where it moved the place to."""
    MOST, PART = 4096, 256
    """Places that are looked at closely, the likeliest; so many at a time, and no more once the last :attr:`LAST` of a
    part hold no face."""
    LAST = 64
    SHADOW = 64
    """Mean grey level, of the stretched picture, below which a face is dark: those alone the second look may find, and
    beside those alone it is taken."""
    SMALLEST_PICTURE, FILLING = 16, 1.25
    """Pixels of the shorter side of a picture below which there is nothing to see; and the side of the largest face
    that is looked for, as a multiple of that shorter side. In small pictures the smallest face is no larger either."""
    LEAST, MOST_PIXELS = 15, 25_000_000
    """Side of the smallest face that is looked for where smaller ones than usual are asked for; and the pixels, with
    :data:`FACE` in such a face, above which the picture is too large for that: then those of usual size are the
    smallest."""
    STRIP = 2_000_000
    """Pixels that the first network sees at a time, so that its memory does not grow with the picture."""
    SHRUNK = 0.8
    """Side of a face, as a share of the smallest that was looked for, below which it is none: it shrank to that."""
    SHARED = 0.5
    """Of the area of two places; above it the likelier one stands for both."""
    TILTED = 8
    """Degrees by which a face must be turned to be turned back before it is read; the network that reads faces knows
    smaller turns from its training."""
    CASCADE_SIDE = 48
    """Pixels of a face the cascade looks at, with half as much around it ..."""
    CASCADE_FACE = 0.96
    """... and the side of what it takes for one, as a share of FER2013's pictures."""
    AGREE = 3
    """Detections of the cascade that must agree on a face."""

    def __init__(self, folder: Path = FOLDER, smallest: int | None = None) -> None:
        """Load the networks.

        Args:
            folder: Holds both, and their card.
            smallest: Pixels of the smallest face to look for in any picture, :attr:`LEAST` at least and more in large
                pictures; see :func:`ferkit.inference.boxes.scaled`.

        Raises:
            ModelError: One of them is missing or damaged.
            ImageError: OpenCV lacks its cascade.
        """
        try:
            sums = json.loads((folder / CARD).read_text(encoding="utf-8"))["sha256"]
            self._propose, self._refine = (_load(folder / name, sums[name]) for name in NETWORKS)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder}: expected the networks that find faces ({error}); install ferkit again"
            ) from None
        self._smallest = smallest
        self._own = threading.local()  # a cascade serves one thread at a time
        self._trees = _read_cascade()

    def __call__(self, picture: RGB) -> list[Box]:
        """Return the faces of ``picture``."""
        small, factor = scaled(picture, self._smallest)
        height, width = small.shape[:2]
        least, grey = self._least(height * width), grey_levels(small)
        seen = stretched(grey)
        places = self.find(seen, least)
        if all(self.is_dark(seen, place) for place in places):  # or there is none
            places = np.concatenate([places, self.find_in_shadow(grey, seen, least)])
        boxes = [
            square(x, y, side, factor, self._turn(angle))
            for x, y, side, angle, _ in places.tolist()
            if 0 <= x < width and 0 <= y < height
        ]
        return sorted(apart(boxes), key=lambda box: -box.size)

    def _least(self, pixels: int) -> int:
        """Return the side of the smallest face to look for in a picture of so many pixels, as it was scaled."""
        affordable = math.ceil(FACE * math.sqrt(pixels / self.MOST_PIXELS))
        return min(SMALLEST, max(self._smallest or SMALLEST, self.LEAST, affordable))

    def find(self, grey: Grey, smallest: int) -> Places:
        """Return the faces of about ``smallest`` pixels and more in ``grey``, the likeliest first."""
        smallest = min(smallest, int(self.FILLING * min(grey.shape)))
        pyramid = build_pyramid(grey, CLOSE)
        places = self.look(pyramid, self.propose(grey, smallest))
        places = non_maximum_suppression(places[places[:, 4] >= self.HINT], self.SHARED)
        places = self.refine(pyramid, places, mirror=True)
        likely = (places[:, 4] >= self.LIKELY) & (places[:, 2] >= self.SHRUNK * smallest)
        places = non_maximum_suppression(places[likely], self.SHARED)
        return places[[place[4] >= self.SURE or self.agree(pyramid, place) >= self.AGREE for place in places]]

    def find_in_shadow(self, grey: Grey, seen: Grey, smallest: int) -> Places:
        """Return the faces among what is dark in ``seen``, which is ``grey`` stretched; see :meth:`find`."""
        import cv2

        parts = [max(1, 2 * length // smallest) for length in seen.shape[::-1]]  # a face has one in it at least
        if cv2.resize(seen, parts, interpolation=cv2.INTER_AREA).min() >= self.SHADOW:
            return np.empty((0, 5))
        places = self.find(stretched(lifted(grey)), smallest)
        return places[[self.is_dark(seen, place) for place in places]]

    def is_dark(self, seen: Grey, place: NDArray[np.float64]) -> bool:
        """Return whether the face of ``place`` lies in the shadow."""
        return bool(window([seen], place, CLOSE).mean() < self.SHADOW)

    def propose(self, grey: Grey, smallest: int) -> Places:
        """Return where faces of ``smallest`` pixels and more may be, the likeliest :attr:`MOST` of them first."""
        import cv2

        found = [np.empty((0, 5))]
        side = float(smallest)
        while side <= self.FILLING * min(grey.shape) and min(grey.shape) >= self.SMALLEST_PICTURE:
            height, width = (max(WINDOW, round(length * FACE / side)) for length in grey.shape)
            way = cv2.INTER_AREA if side > FACE else cv2.INTER_LINEAR
            scores = self._scores(np.asarray(cv2.resize(grey, (width, height), interpolation=way), np.uint8))
            peaks = (scores >= cv2.dilate(scores, np.ones((3, 3), np.uint8))) & (scores >= self.MAYBE)
            rows, columns = np.nonzero(peaks)
            x = (STRIDE * columns + WINDOW / 2) * grey.shape[1] / width
            y = (STRIDE * rows + WINDOW / 2) * grey.shape[0] / height
            found.append(np.stack([x, y, np.full(len(x), side), np.zeros(len(x)), scores[peaks]], axis=1))
            side *= self.STEP
        places = np.concatenate(found)
        likely = np.argsort(-places[:, 4], kind="stable")[: 4 * self.MOST]
        return non_maximum_suppression(places[likely], self.SHARED)[: self.MOST]

    def _scores(self, small: Grey) -> NDArray[np.float32]:
        """Return what the first network says of each of its windows, row by row."""
        rows = (len(small) - WINDOW) // STRIDE + 1
        at_once = max(1, self.STRIP // (STRIDE * small.shape[1]))
        strips = []
        for first in range(0, rows, at_once):
            last = min(rows, first + at_once) - 1
            ((scores,),) = self._propose.run(None, {"grey": small[None, first * STRIDE : last * STRIDE + WINDOW]})
            strips.append(scores)
        return np.concatenate(strips)

    def look(self, pyramid: list[Grey], places: Places) -> Places:
        """Return the likeliest places refined; the others, once there are no faces among them."""
        parts = [np.empty((0, 5))]
        for start in range(0, len(places), self.PART):
            parts.append(self.refine(pyramid, places[start : start + self.PART]))
            if (parts[-1][-self.LAST :, 4] < self.LIKELY).all():
                break
        return np.concatenate(parts)

    def refine(self, pyramid: list[Grey], places: Places, *, mirror: bool = False) -> Places:
        """Return the places moved, sized and turned as the second network says, with its scores.

        Args:
            pyramid: Of :func:`build_pyramid`.
            places: Where to look.
            mirror: Look at the mirror image of each place, too; what both say is averaged.
        """
        if not len(places):
            return places
        windows = np.stack([window(pyramid, place, CLOSE) for place in places])
        (said,) = self._refine.run(None, {"windows": windows})
        if mirror:
            (other,) = self._refine.run(None, {"windows": np.ascontiguousarray(windows[:, :, ::-1])})
            said = (said + other * (1, -1, 1, 1, -1)) / 2
        score, right, down, larger, turn = said.T.astype(np.float64)
        x, y, side, angle, _ = places.T
        right, down = (
            side * (np.cos(angle) * right - np.sin(angle) * down),
            side * (np.sin(angle) * right + np.cos(angle) * down),
        )
        return np.stack([x + right, y + down, side * np.exp(larger.clip(-0.7, 0.7)), angle + turn, score], axis=1)

    def agree(self, pyramid: list[Grey], place: NDArray[np.float64]) -> int:
        """Return how often the cascade sees the face of ``place``, turned back."""
        side = self.CASCADE_SIDE
        larger = place * (1, 1, 2 * self.CASCADE_FACE, 1, 1)
        least, most = round(0.75 * side), round(1.35 * side)
        found, counts = self._cascade().detectMultiScale2(
            window(pyramid, larger, 2 * side),
            scaleFactor=1.07,
            minNeighbors=1,
            minSize=(least, least),
            maxSize=(most, most),
        )
        near = 0.3 * side
        return max(
            (
                int(count)
                for (left, top, w, h), count in zip(found, np.ravel(counts), strict=True)
                if abs(left + w / 2 - side) < near and abs(top + h / 2 - side) < near
            ),
            default=0,
        )

    def _turn(self, angle: float) -> float:
        degrees = math.degrees(angle)
        return round(degrees, 1) if abs(degrees) >= self.TILTED else 0.0

    def _cascade(self) -> Any:
        import cv2

        if not hasattr(self._own, "cascade"):
            text = cv2.FileStorage(self._trees, cv2.FileStorage_READ | cv2.FileStorage_MEMORY)
            cascade = cv2.CascadeClassifier()
            cascade.read(text.getFirstTopLevelNode())
            self._own.cascade = cascade
        return self._own.cascade


def _read_cascade() -> str:
    """Return OpenCV's cascade, read here: on Windows OpenCV is reported to open none below a folder with umlauts.

    Source: https://github.com/opencv/opencv/issues/18305.

    Raises:
        ImageError: OpenCV lacks it, or is not OpenCV.
    """
    import cv2

    if getattr(cv2, "__file__", None) is None:  # what is left of a package after another one like it was uninstalled
        raise ImageError(
            "OpenCV is damaged: its module is empty; run: pip install --force-reinstall --no-deps "
            '"opencv-python-headless>=4.13,<5"'
        )
    file = Path(cv2.__file__).with_name("data") / "haarcascade_frontalface_alt.xml"
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise ImageError(f"{file}: OpenCV lacks its cascade; install opencv-python-headless 4 again") from None


def _load(file: Path, expected: str) -> Any:
    content = file.read_bytes()
    if sha256(content).hexdigest() != expected:
        raise ModelError(f"{file}: damaged; its SHA-256 is not the one in {CARD}; install ferkit again")
    return load_runtime(content)
