"""Video files, opened by OpenCV with FFmpeg: frames and when they are shown.

Only files are opened, never addresses. A phone's rotation is applied. The time of a frame is the one in the file, so
that a variable frame rate does no harm.

Letters: H height, W width.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ferkit.errors import ImageError
from ferkit.inference.images import MAX_PIXELS, RGB, for_opencv, quiet_opencv

_FASTEST = 1000.0  # frames a second; a file that says more says nothing
_USUAL = 25.0  # frames a second where the file says nothing
_SHORT = 0.98  # share of the announced frames and seconds below which a video counts as broken off


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
    """Frames there will be, about; None where nobody knows."""
    live: bool = False
    """Whether frames come as they happen and end when the reader likes, as a camera's."""
    remark: str | None = None
    """After the last frame: why there were no more, if that was not to be expected."""

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

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
    """A video, open for reading once from its beginning."""

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            ImageError: It is missing, no video, damaged, or its pictures are too large.
        """
        import cv2

        self.name = str(path)
        _check_file(path)
        with quiet_opencv():  # with an absolute path FFmpeg cannot take a file's name for an address
            self._capture = cv2.VideoCapture(for_opencv(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise ImageError(f"{path}: expected a video, got something else, or one that is cut off or damaged")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if self.width * self.height > MAX_PIXELS:
            raise ImageError(f"{path}: expected at most {MAX_PIXELS:,} pixels, got {self.width} x {self.height}")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= _FASTEST else _USUAL
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(count) if math.isfinite(count) and 0 < count < 1e9 else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._capture.release()

    def __iter__(self) -> Iterator[Shot]:
        """Yield the frames in order; their times rise.

        Raises:
            ImageError: There is not one.
        """
        import cv2

        number, seconds = 0, -math.inf
        while self._capture.grab():
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = number == 0
            if not math.isfinite(told) or told <= seconds:
                told = 0.0 if first else seconds + 1 / self.fps
            seconds = told
            yield Shot(number, seconds, self._picture)
            number += 1
        if not number:
            raise ImageError(f"{self.name}: expected a video, got one without a frame that can be read")
        if self.expected and number < _SHORT * self.expected and seconds + 1 / self.fps < _SHORT * self._announced:
            self.remark = (
                f"{self.name}: breaks off after {seconds + 1 / self.fps:.1f} of {self._announced:.1f} s "
                f"(frame {number:,} of {self.expected:,}); what comes before it was read"
            )

    @property
    def _announced(self) -> float:
        return (self.expected or 0) / self.fps

    def _picture(self) -> RGB:
        import cv2

        done, picture = self._capture.retrieve()
        if not done:
            raise ImageError(f"{self.name}: a frame cannot be unpacked")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _check_file(path: Path) -> None:
    """Raise the error that says why ``path`` cannot be opened; FFmpeg would only say that it cannot."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:  # of a name with a null character
        raise ImageError(f"{str(path)!r}: cannot be read ({error})") from None
    if empty:
        raise ImageError(f"{path}: expected a video, got an empty file")
