"""A camera that always gives its latest picture: a reader that is slow misses pictures, but never lags behind."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, OptionError
from ferkit.inference.images import RGB
from ferkit.inference.quiet import quiet_opencv
from ferkit.inference.sources import Shot, Source, checked_part

SILENCE = 5.0
"""Seconds without a picture after which a camera counts as gone."""

_USUAL = 30.0  # frames a second where the camera says nothing
_PAUSE = 0.05  # seconds until a camera that gave no picture is asked again


def open_capture(number: int) -> Any:
    """Return OpenCV's capture of a camera.

    Raises:
        OptionError: ``number`` is below 0, for which some builds of OpenCV end the whole program.
        ImageError: There is none, or another program has it.
    """
    import cv2

    if number < 0:
        raise OptionError(f"expected the number of a camera, 0 or more, got {number}")

    try:
        with quiet_opencv():
            capture = cv2.VideoCapture(number)
        opened = capture.isOpened()
    except cv2.error:  # the number is none that OpenCV takes
        opened = False
    if not opened:
        raise ImageError(f"camera {number}: expected a camera, found none, or one that another program uses")
    return capture


class Camera(Source):
    """A camera, filmed by a thread of its own."""

    live = True

    def __init__(self, number: int, opener: Callable[[int], Any] = open_capture, *, end: float | None = None) -> None:
        """Open a camera.

        Args:
            number: 0 for the first one.
            opener: Returns something with ``read``, ``get`` and ``release`` as OpenCV's captures have them.
            end: Seconds of film after which there are no more pictures; None: it goes on.

        Raises:
            ImageError: There is no such camera.
            OptionError: ``number`` or ``end`` is out of range.
        """
        import cv2

        _, self.until = checked_part(0.0, end)
        self.name = f"camera {number}"
        self._capture = opener(number)
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 240 else _USUAL
        self._news = threading.Condition()
        self._latest: tuple[int, float, NDArray[np.uint8]] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._film, name=self.name, daemon=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the camera go."""
        with self._news:
            self._closed = True
        if self._thread.is_alive():
            self._thread.join(SILENCE)
        if not self._thread.is_alive():  # a capture that hangs in read() must not be released under it
            self._capture.release()

    def __iter__(self) -> Iterator[Shot]:
        """Yield the latest picture each time; ``number`` counts those that were missed too.

        Raises:
            ImageError: The camera does not give a single picture, or was read before.
        """
        self.begin()
        self._thread.start()
        number = -1
        while True:
            with self._news:
                while self._latest is None or self._latest[0] == number:
                    if self._closed or not self._news.wait(SILENCE):
                        if number < 0:
                            raise ImageError(f"{self.name}: expected pictures, got none")
                        self.remark = f"{self.name}: gives no more pictures"
                        return
                number, seconds, picture = self._latest
            if seconds >= self.until:
                return
            yield Shot(number, seconds, lambda picture=picture: _rgb(picture))  # type: ignore[misc]

    def _film(self) -> None:
        import cv2

        start, number, good = None, 0, time.monotonic()
        while not self._closed:
            try:
                done, picture = self._capture.read()
            except cv2.error:
                done = False
            now = time.monotonic()
            if not done:  # while it starts, and now and then later, a camera has none
                if now - good >= SILENCE:
                    break
                time.sleep(_PAUSE)
                continue
            start, good = now if start is None else start, now
            with self._news:
                self._latest = (number, now - start, picture)
                self._news.notify()
            number += 1
        with self._news:
            self._closed = True
            self._news.notify()


def _rgb(picture: NDArray[np.uint8]) -> RGB:
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
