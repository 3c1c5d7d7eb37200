"""Video files, opened by OpenCV with FFmpeg: frames and when they are shown.

Only files are opened, never addresses. A phone's rotation is applied, and a picture that is mirrored when it is shown
is mirrored here. The time of a frame is the one in the file, so that a variable frame rate does no harm.

Letters: H height, W width.
"""

import math
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ferkit.errors import ImageError, OptionError
from ferkit.inference.images import MAX_PIXELS, RGB, for_opencv
from ferkit.inference.mirrored import is_mirrored
from ferkit.inference.quiet import quiet_opencv

_FASTEST = 1000.0  # frames a second; a file that says more says nothing
_USUAL = 25.0  # frames a second where the file says nothing
_SHORT = 0.98  # share of the announced frames and seconds below which a video counts as broken off
_SLACK = 2.0  # seconds by which sound may outlast the picture where a file announces only the longer of them

_LEAP = 5.0  # seconds of a start from which on a file is not read from its beginning
_RUN_UP = 1.0  # seconds before the start to which the leap goes

_TRIES = 100  # frames in a row that cannot be read, after which a video is over

_COUNTED = re.compile(rb"....(?:ftyp|moov|mdat|free|skip|wide|pnot)|RIFF....AVI ", re.DOTALL)
"""How files begin that store how many frames they have; of others OpenCV multiplies the length by the frame rate."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame that has been reached and can be unpacked until the next one is."""

    number: int
    seconds: float
    picture: Callable[[], RGB] = field(repr=False)
    """Returns it as RGB ``(H, W, 3)`` uint8."""


class Source(ABC):
    """Where frames come from: :class:`VideoFile` or :class:`ferkit.inference.camera.Camera`; to be read once."""

    name: str
    width: int
    height: int
    fps: float
    """Frames a second, on average."""
    expected: int | None = None
    """Frames there are, about, in all of a file; None where nobody knows."""
    start: float = 0.0
    """Seconds before which frames are left out."""
    until: float = math.inf
    """Seconds from which on frames are left out."""
    end: float = 0.0
    """Seconds at which the last frame so far is over, as far as that is known."""
    live: bool = False
    """Whether frames come as they happen and end when the reader likes, as a camera's."""
    remark: str | None = None
    """After the last frame: why there were no more, if that was not to be expected."""

    _begun = False

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

    def begin(self) -> None:
        """Note that it is being read.

        Raises:
            ImageError: It was read before.
        """
        if self._begun:
            raise ImageError(f"{self.name}: it was read before; open it again")
        self._begun = True

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    @abstractmethod
    def __iter__(self) -> Iterator[Shot]:
        """Yield the frames in order; their times rise.

        Raises:
            ImageError: There is not one.
        """


class VideoFile(Source):
    """A video, or a part of one, open for reading once."""

    def __init__(self, path: Path, *, start: float = 0.0, end: float | None = None) -> None:
        """Open ``path``.

        Args:
            path: A file.
            start: Seconds of the video before which frames are left out.
            end: Seconds from which on frames are left out; None: none are.

        Raises:
            ImageError: It is missing, no video, damaged, or its pictures are too large.
            OptionError: ``start`` and ``end`` are not the seconds of a part.
        """
        import cv2

        self.start, self.until = checked_part(start, end)
        self.name = str(path)
        self._path = path
        head = _head(path)
        self._counted = _COUNTED.match(head) is not None
        self._repeats = head.startswith(b"OggS")  # for a picture that stays there is none to be read
        self._missed = 0
        self._open()
        self._flip: int | None = None
        if self._counted and is_mirrored(path):  # OpenCV has turned it as if it were not
            lies = self._capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
            self._flip = 1 if lies else 0
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if self.width * self.height > MAX_PIXELS:
            raise ImageError(f"{path}: expected at most {MAX_PIXELS:,} pixels, got {self.width} x {self.height}")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= _FASTEST else _USUAL
        self._timed = not fps > _FASTEST  # times in such a file are as wrong as its rate
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(count) if math.isfinite(count) and 0 < count < 1e9 else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> None:
        import cv2

        with quiet_opencv():  # with an absolute path FFmpeg cannot take a file's name for an address
            self._capture = cv2.VideoCapture(for_opencv(self._path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ImageError(f"{self.name}: expected a video, got something else, or one that is cut off or damaged")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)

    def __iter__(self) -> Iterator[Shot]:
        """Yield the frames in order; their times rise.

        Where a part does not begin at 0, the numbers of its frames are exact only if the frame rate does not vary.

        Raises:
            ImageError: There is not one, or it was read before.
        """
        import cv2

        self.begin()
        number, seconds = self._skip()
        shown = False
        while self._grab():
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not self._timed or not math.isfinite(told) or told <= seconds:
                told = seconds + 1 / self.fps if math.isfinite(seconds) else 0.0
            if told >= self.until:
                break
            seconds, self.end = told, told + 1 / self.fps
            if seconds >= self.start:
                shown = True
                yield Shot(number, seconds, self._picture)
            number += 1
        else:
            if not number:
                raise ImageError(f"{self.name}: expected a video, got one without a frame that can be read")
            self.remark = self._break(number)
        if not shown:
            raise ImageError(f"{self.name}: expected frames {self._part()}, got a video of {self.end:.1f} s")
        self.remark = self.remark or self._gaps()

    def _skip(self) -> tuple[int, float]:
        """Go on to shortly before the start; return the number of the next frame and the seconds of the last one."""
        import cv2

        if self.start < _LEAP or not self._timed:
            return 0, -math.inf
        self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (self.start - _RUN_UP))
        if self._capture.grab():
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if 0 < seconds <= self.start - 1 / self.fps:
                return round(seconds * self.fps) + 1, seconds
        self._capture.release()  # it cannot be leapt in
        self._open()
        return 0, -math.inf

    def _part(self) -> str:
        if self.until == math.inf:
            return f"from {self.start:g} s on"
        return f"from {self.start:g} to {self.until:g} s"

    def _grab(self) -> bool:
        """Go on to the next frame that can be read, and count those before it that cannot."""
        for missed in range(_TRIES):
            if self._capture.grab():
                self._missed += missed
                return True
        return False

    def _gaps(self) -> str | None:
        """Return what is to be said of frames that could not be read."""
        if not self._missed or self._repeats:
            return None
        frames = "1 frame" if self._missed == 1 else f"{self._missed:,} frames"
        return f"{self.name}: {frames} could not be read; the others were"

    def _break(self, number: int) -> str | None:
        """Return what is to be said of the end, after ``number`` frames; the last one is still at hand."""
        import cv2

        if not self.expected:
            return None
        length, read = self.expected / self.fps, f"{self.end:.1f}"
        if self._counted:
            if number >= _SHORT * self.expected or self.end >= _SHORT * length:
                return None
            return (
                f"{self.name}: breaks off after {read} of {length:.1f} s (frame {number:,} of {self.expected:,}); "
                "what comes before it was read"
            )
        begun = self._capture.get(cv2.CAP_PROP_PTS) / self.fps - (self.end - 1 / self.fps)  # which the length may hold
        late = max(0.0, begun) if math.isfinite(begun) else 0.0
        if self.end + late >= _SHORT * length - _SLACK:
            return None
        return f"{self.name}: its pictures end after {read} of {length:.1f} s; is it whole? What is there was read"

    def _picture(self) -> RGB:
        import cv2

        done, picture = self._capture.retrieve()
        if not done:
            raise ImageError(f"{self.name}: a frame cannot be unpacked")
        if self._flip is not None:
            picture = cv2.flip(picture, self._flip)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def checked_part(start: Any, end: Any) -> tuple[float, float]:
    """Return both as float, with infinity for an end that is None.

    Raises:
        OptionError: They are not seconds, or the part that they mean is empty.
    """
    try:
        part = float(start), math.inf if end is None else float(end)
    except (TypeError, ValueError, OverflowError):
        part = math.nan, math.nan
    if not 0 <= part[0] < part[1] or isinstance(start, str) or isinstance(end, str):
        raise OptionError(f"a part begins at 0 seconds or later and ends after that, got {start!r} to {end!r}")
    return part


def _head(path: Path) -> bytes:
    """Return how ``path`` begins, or raise the error that says why it cannot be opened: FFmpeg says only that."""
    head, kind = None, stat.S_IFREG
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind in {stat.S_IFREG, stat.S_IFDIR}:  # a pipe would be waited for
            with path.open("rb") as file:
                head = file.read(1024)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # of a name with a null character
        raise ImageError(f"{str(path)!r}: cannot be read ({error})") from None
    if not head:
        got = "an empty file" if kind == stat.S_IFREG else "a pipe or a device"
        raise ImageError(f"{path}: expected a video, got {got}")
    return head
