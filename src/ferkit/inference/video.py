"""Videos, cameras and streams of pictures to smoothed readings, one frame after another; memory stays constant.

Three ways in, the same readings out: :func:`read_video` for a file or a camera, :func:`recognize_stream` for pictures
that come from elsewhere, :class:`VideoRecognizer` for a program that is handed one picture at a time.

Letters: H height, W width.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferkit.errors import ImageError, OptionError
from ferkit.inference.camera import Camera
from ferkit.inference.find import is_address
from ferkit.inference.images import RGB
from ferkit.inference.recognizer import Face, Recognizer, check_several
from ferkit.inference.sources import Source, VideoFile
from ferkit.inference.tracks import SMOOTHING, Reading, Tracker

LARGE = 640 * 480
"""Pixels of a frame above which not every frame is looked at unless one asks for it ..."""

LOOKS = 10
"""... but so many a second."""

Draw = Callable[[RGB, float, tuple[tuple[int, Face], ...]], None]
"""Takes a picture ``(H, W, 3)``, its time in seconds, and the faces in it with the numbers of their tracks."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What was read at one moment."""

    number: int
    """Of the frame, from 0; frames that are not looked at count too."""

    seconds: float
    """Since the first frame of all of a video."""

    readings: tuple[Reading, ...]
    """In the order of track numbers."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        faces = [reading.to_dict() for reading in self.readings]
        return {"frame": self.number, "seconds": round(self.seconds, 6), "faces": faces}


class VideoRecognizer:
    """Recognises the faces of one stream of pictures, remembering who is who; not for several threads."""

    def __init__(
        self, recognizer: Recognizer, *, smoothing: float = SMOOTHING, min_confidence: float | None = None
    ) -> None:
        """Start a stream.

        Args:
            recognizer: Finds and reads faces; several streams may share it.
            smoothing: Time constant in seconds; 0 for none. See :mod:`ferkit.inference.tracks`.
            min_confidence: Below it a smoothed expression is ``uncertain``; the recognizer's own if left out.

        Raises:
            OptionError: One of them is out of range, or of another kind.
        """
        if not hasattr(recognizer, "recognize"):
            raise OptionError(f"expected a Recognizer, got {recognizer!r}")
        self._recognizer = recognizer
        self._tracker = Tracker(smoothing, recognizer.min_confidence if min_confidence is None else min_confidence)

    def recognize(self, picture: Any, seconds: float) -> tuple[Reading, ...]:
        """Return the readings of one picture.

        Args:
            picture: As :meth:`ferkit.Recognizer.recognize` takes it, the bytes of a JPEG among others.
            seconds: When it was taken; only differences count, and they must not be negative.

        Raises:
            ImageError: It is no picture, or ``seconds`` goes back.
            OptionError: ``seconds`` is no number.
        """
        return self._tracker.update(self._recognizer.recognize(picture), seconds)

    def between(self, seconds: float) -> tuple[tuple[int, Face], ...]:
        """Return track number and face of those seen just now; see :meth:`Tracker.between`."""
        return self._tracker.between(seconds)


def read_video(
    source: str | os.PathLike[str] | int | Source,
    recognizer: Recognizer,
    every: int | None = 1,
    *,
    start: float = 0.0,
    end: float | None = None,
    smoothing: float = SMOOTHING,
    min_confidence: float | None = None,
    draw: Draw | None = None,
) -> Iterator[Frame]:
    """Return an iterator over what a video or a camera shows, frame by frame.

    A video that breaks off ends with a warning, or with the ``remark`` of the source if it was opened before. A camera
    gives its latest picture and goes on until the caller stops.

    Args:
        source: A file, the number of a camera, or what :func:`open_source` returned; closed in the end.
        recognizer: Finds and reads faces.
        every: Look at each so many-th frame only; None: see :func:`usual_every`.
        start: Seconds of a video before which frames are left out; times go on as they are in the whole video.
        end: Seconds of a video, or of a camera's film, from which on frames are left out; None: none are.
        smoothing: Time constant in seconds; 0 for none.
        min_confidence: Below it a smoothed expression is ``uncertain``; the recognizer's own if left out.
        draw: Called for every frame, looked at or not, before it is yielded.

    Raises:
        ImageError: It is no video or no camera; or, while it is read, it has no frames.
        OptionError: An argument is out of range, or of another kind.
    """
    stream = VideoRecognizer(recognizer, smoothing=smoothing, min_confidence=min_confidence)
    step = None if every is None else _checked(every)
    if isinstance(source, Source) and (start, end) != (0, None):
        raise OptionError("start and end are for open_source where the source is opened before")
    opened = source if isinstance(source, Source) else open_source(source, start=start, end=end)
    return _read(opened, stream, step or usual_every(opened), draw, tell=opened is not source)


def _read(source: Source, stream: VideoRecognizer, step: int, draw: Draw | None, *, tell: bool) -> Iterator[Frame]:
    with source as opened:
        due = 0  # a camera's numbers have gaps
        for shot in opened:
            look = shot.number >= due
            picture = shot.picture() if look or draw is not None else None
            try:
                readings = stream.recognize(picture, shot.seconds) if look else ()
            except ImageError as error:
                raise ImageError(f"{opened.name}: {error}") from None
            if draw is not None and picture is not None:
                draw(picture, shot.seconds, stream.between(shot.seconds))
            if look:
                due = shot.number - shot.number % step + step
                yield Frame(shot.number, shot.seconds, readings)
        if opened.remark is not None and tell:
            warnings.warn(opened.remark, stacklevel=2)


def recognize_stream(
    frames: Iterable[Any],
    recognizer: Recognizer,
    every: int = 1,
    *,
    fps: float | None = None,
    smoothing: float = SMOOTHING,
    min_confidence: float | None = None,
) -> Iterator[Frame]:
    """Yield what a stream of pictures shows.

    Args:
        frames: Pairs of seconds and picture; or pictures alone, if ``fps`` is given. Pictures are what
            :meth:`ferkit.Recognizer.recognize` takes: RGB arrays ``(H, W, 3)`` uint8 (OpenCV's are BGR: give
            ``frame[..., ::-1]``), bytes of a file and others.
            A video's file is no stream: :func:`read_video` reads it.
        recognizer: Finds and reads faces.
        every: Look at each so many-th picture only.
        fps: Pictures a second.
        smoothing: Time constant in seconds; 0 for none.
        min_confidence: Below it a smoothed expression is ``uncertain``; the recognizer's own if left out.

    Raises:
        ImageError: A picture cannot be read, or times go back.
        OptionError: An argument is out of range, or of another kind.
    """
    if isinstance(frames, str | os.PathLike):
        raise OptionError(f"expected an iterable of pictures, got the name {str(frames)!r}; read_video reads a file")
    check_several(frames)
    stream = VideoRecognizer(recognizer, smoothing=smoothing, min_confidence=min_confidence)
    return _stream(frames, stream, _checked(every), None if fps is None else _rate(fps))


def _rate(fps: Any) -> float:
    try:
        rate = math.nan if isinstance(fps, str) else float(fps)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 < rate < math.inf:
        raise OptionError(f"fps must be a number above 0, got {fps!r}")
    return rate


def _stream(frames: Iterable[Any], stream: VideoRecognizer, every: int, fps: float | None) -> Iterator[Frame]:
    start: float | None = None
    for number, item in enumerate(frames):
        seconds, picture = _timed(item) if fps is None else (number / fps, item)
        start = seconds if start is None else start
        if number % every == 0:
            yield Frame(number, seconds - start, stream.recognize(picture, seconds))


def _timed(item: Any) -> tuple[float, Any]:
    try:
        seconds, picture = item
        return float(seconds), picture
    except (TypeError, ValueError):
        raise ImageError("expected pairs of seconds and picture, or pictures alone and their fps") from None


def open_source(source: str | os.PathLike[str] | int, *, start: float = 0.0, end: float | None = None) -> Source:
    """Return a video file, or the camera of that number.

    Args:
        source: A file, or the number of a camera.
        start: Seconds of a video before which frames are left out; a camera begins with its first picture.
        end: Seconds of a video, or of a camera's film, from which on frames are left out; None: none are.

    Raises:
        ImageError: There is none, or it cannot be read.
        OptionError: ``source`` is neither a name nor a number, or ``start`` and ``end`` are not the seconds of a part.
    """
    if isinstance(source, int | np.integer):
        if start != 0:
            raise OptionError(f"start is for a video; a camera begins with its first picture, got {start!r}")
        return Camera(int(source), end=end)
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise OptionError(f"expected the file of a video, or the number of a camera, got {source!r}")
    if isinstance(source, str) and is_address(source):
        raise ImageError(
            f"{source}: an address is not opened; save the video and name the file, or open it yourself and give its "
            "frames to recognize_stream"
        )
    return VideoFile(Path(source), start=start, end=end)


def usual_every(source: Source) -> int:
    """Return at which frames to look where nobody said: each, or in large videos ten a second."""
    if source.live or source.width * source.height <= LARGE:
        return 1
    return max(1, round(source.fps / LOOKS))


def _checked(every: int) -> int:
    if not isinstance(every, int | np.integer) or every < 1:
        raise OptionError(f"every must be a whole number, 1 or more, got {every!r}")
    return every
