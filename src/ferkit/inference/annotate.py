"""Draws faces and what they express into a copy of the picture.

Lines and letters grow with the picture; letters shrink where a face is small for them. A label stands above its face,
or where around it least is covered of any face and of the labels before it, always inside the picture. Pictures too
small for letters are enlarged.

Letters: H height, W width.
"""

import math
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError
from ferkit.files import write_bytes
from ferkit.inference.boxes import Box
from ferkit.inference.colours import Colour, colour_of, ink_on
from ferkit.inference.images import RGB, enough_memory
from ferkit.inference.quiet import quiet_opencv
from ferkit.inference.recognizer import Face

SMALLEST = 240
"""Pixels of the shorter side; smaller pictures are enlarged by a whole number ..."""

LARGEST = 4 * SMALLEST
"""... as far as their longer side stays within so many."""

JPEG = (".jfif", ".jpe", ".jpeg", ".jpg")
"""Endings of JPEG's files."""

WRITABLE = (".bmp", *JPEG, ".png", ".tif", ".tiff", ".webp")
"""Endings of the files that can be written."""

SIGNED = b"\nannotated by ferkit\n"
"""Ends each copy, behind the picture, so that no copy takes the place of what is none."""

_QUALITY = 95  # of a JPEG
_LETTERS = 1 / 32  # height of a capital letter as a share of the picture's shorter side
_FEWEST = 1 / 128  # the same, of a small face
_LOWEST = 10  # pixels of a capital letter
_HIGHEST = 160
_LABEL_FIRST = 4  # how much more a covered label counts than as much of a face
_WIDEST = 1.2  # of a label's text, in sides of its face, as far as letters may shrink


@dataclass(frozen=True, slots=True)
class Mark:
    """What to draw for one face."""

    box: Box
    text: str
    """ASCII letters; OpenCV's font has no others."""
    colour: Colour


def annotate(picture: RGB, faces: Iterable[Face]) -> RGB:
    """Return a copy of ``picture`` with a square and a label for each face.

    Args:
        picture: ``(H, W, 3)`` RGB; it stays as it is.
        faces: As :class:`ferkit.Recognizer` found them in it.

    Returns:
        ``(H, W, 3)``, or a multiple of it where the shorter side has fewer than :data:`SMALLEST` pixels.
    """
    return draw(picture, [mark(face) for face in faces])


def write_annotated(path: str | Path, picture: RGB, faces: Iterable[Face]) -> None:
    """Write what :func:`annotate` draws to a file, whole or not at all; the ending of its name says in which format.

    Args:
        path: One of :data:`WRITABLE`.
        picture: ``(H, W, 3)`` RGB.
        faces: As :class:`ferkit.Recognizer` found them in it.

    Raises:
        ImageError: It cannot be written there, or not in this format.
    """
    path = Path(path)
    content = encode_annotated(path, picture, faces)
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from None


def encode_annotated(path: Path, picture: RGB, faces: Iterable[Face]) -> bytes:
    """Return the content of the file that :func:`write_annotated` writes.

    Raises:
        ImageError: The picture does not go into this format.
    """
    import cv2

    if path.suffix.lower() not in WRITABLE:
        raise ImageError(f"{path}: expected a name that ends in {', '.join(WRITABLE)}")
    height, width = picture.shape[:2]
    with enough_memory(str(path), width, height):
        drawn = annotate(picture, faces)
        cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR, dst=drawn)
        content = _encoded(path.suffix.lower(), drawn)
        if content is None:
            size = f"{drawn.shape[1]} x {drawn.shape[0]}"
            raise ImageError(f"{path}: a picture of {size} pixels does not go into this format; .png takes it")
        return bytes(content) + SIGNED


def _encoded(ending: str, drawn: RGB) -> memoryview | None:
    """Return the file of ``drawn``, BGR; None where it is too large for the format."""
    import cv2

    ending = ".jpg" if ending in JPEG else ending  # OpenCV does not know all of them
    try:
        with quiet_opencv():
            done, content = cv2.imencode(ending, drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        return None
    return content.data if done else None


def is_replaceable(path: Path) -> bool:
    """Return whether a copy may be written to ``path``: there is nothing, or an earlier copy."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return stat.S_ISDIR(mode)  # whose place no file can take, as writing will tell; a pipe's it can
        return _ends_signed(path)
    except PermissionError:  # what cannot be read can be replaced all the same, and may be somebody's only copy
        return False
    except OSError:  # nothing there; of what is out of reach, writing will tell
        return True


def is_copy(path: Path) -> bool:
    """Return whether ``path`` is an annotated copy or video, or a timeline; False where it cannot be read."""
    try:
        return path.is_file() and _ends_signed(path)
    except OSError:
        return False


def _ends_signed(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-min(len(SIGNED), file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read() == SIGNED


def mark(face: Face, classes: Sequence[str] = (), track: int | None = None) -> Mark:
    """Return how ``face`` is shown: its expression, or a guess, and confidence in the expression's colour.

    Args:
        face: What was recognised.
        classes: In the order of the network's card; its probabilities' if left out.
        track: Number to show before the expression.
    """
    number = "" if track is None else f"{track} "
    text = f"{number}{face.guess} {100 * face.confidence:.0f} %".encode("ascii", "replace").decode()
    return Mark(face.box, text, colour_of(face.expression, classes or [*face.probabilities]))


def draw(picture: RGB, marks: Sequence[Mark], *, enlarge: bool = True) -> RGB:
    """Return a copy of ``picture`` with ``marks``; see :func:`annotate`.

    Args:
        picture: ``(H, W, 3)`` RGB.
        marks: What to draw, the most important first.
        enlarge: Whether a small picture may become a larger one.
    """
    import cv2

    shorter, longer = sorted(picture.shape[:2])
    factor = max(1, min(-(-SMALLEST // shorter), LARGEST // longer)) if enlarge else 1
    canvas = picture.copy()
    if factor > 1:
        canvas = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    line = max(1, round(min(canvas.shape[:2]) / 250))
    for each in marks:
        square = [_square(each.box, factor)]
        cv2.polylines(canvas, square, True, (0, 0, 0), line + 2, cv2.LINE_AA)
        cv2.polylines(canvas, square, True, each.colour, line, cv2.LINE_AA)
    faces = [_around(each.box, factor) for each in marks]
    taken: list[_Area] = []
    for each, face in zip(marks, faces, strict=True):  # after all squares, so that none of them crosses a label
        taken.append(_label(canvas, each, face, faces, taken))
    return canvas


@dataclass(frozen=True, slots=True)
class _Area:
    """A rectangle of the canvas; right and lower edge do not belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    def common(self, other: "_Area") -> int:
        """Return how many pixels both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def _square(box: Box, factor: int) -> NDArray[np.int32]:
    """Return the corners ``(4, 2)`` of ``box``, turned as its face is."""
    half, turn = (box.size * factor - 1) / 2, math.radians(box.angle)
    corners = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    turned = corners @ [(math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))]
    middle = (box.x * factor + half, box.y * factor + half)
    return np.asarray(np.rint(turned + middle), np.int32)


def _around(box: Box, factor: int) -> _Area:
    square = _square(box, factor)
    (left, top), (right, bottom) = square.min(axis=0).tolist(), square.max(axis=0).tolist()
    return _Area(left, top, right + 1, bottom + 1)


def _label(canvas: RGB, mark: Mark, face: _Area, faces: Sequence[_Area], taken: Sequence[_Area]) -> _Area:
    """Write the label of ``mark`` and return where it stands."""
    import cv2

    height, width = canvas.shape[:2]
    font = cv2.FONT_HERSHEY_DUPLEX
    most, fewest = (min(_HIGHEST, max(_LOWEST, share * min(height, width))) for share in (_LETTERS, _FEWEST))
    scale = cv2.getFontScaleFromHeight(font, round(most))
    wide = cv2.getTextSize(mark.text, font, scale, 1)[0][0]
    scale *= min(1.0, max(fewest / most, _WIDEST * (face.right - face.left) / wide), 0.94 * width / wide)
    stroke = max(1, round(scale))
    (text_width, text_height), below = cv2.getTextSize(mark.text, font, scale, stroke)
    edge = max(2, round(0.4 * text_height))
    size = (min(width, text_width + 2 * edge), min(height, text_height + below + 2 * edge))
    area = _place(face, size, (width, height), faces, taken)
    cv2.rectangle(canvas, (area.left, area.top), (area.right - 1, area.bottom - 1), mark.colour, cv2.FILLED)
    start = (area.left + edge, area.top + edge + text_height)
    cv2.putText(canvas, mark.text, start, font, scale, ink_on(mark.colour), stroke, cv2.LINE_AA)
    return area


def _place(
    face: _Area, size: tuple[int, int], canvas: tuple[int, int], faces: Sequence[_Area], taken: Sequence[_Area]
) -> _Area:
    """Return the first of the places that cover least: above, below, beside, a row further away, inside the square."""
    width, height = size
    above, below = face.top - height, face.bottom
    columns = (face.left, face.right - width, (face.left + face.right - width) // 2)
    places = [(x, y) for y in (above, below) for x in columns]
    places += [(x, y) for x in (face.right, face.left - width) for y in (face.top, below - height)]
    places += [(x, y) for y in (above - height, below + height) for x in columns]
    places += [(face.left, face.top), (face.left, below - height)]
    areas = []
    for x, y in places:
        left, top = max(0, min(x, canvas[0] - width)), max(0, min(y, canvas[1] - height))
        areas.append(_Area(left, top, left + width, top + height))
    return min(areas, key=lambda area: sum(map(area.common, faces)) + _LABEL_FIRST * sum(map(area.common, taken)))
