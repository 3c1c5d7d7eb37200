"""What recognising a video leaves in a folder: every reading, a timeline and the annotated video.

Letters: H height, W width.
"""

import csv
import math
import struct
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from shutil import disk_usage
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from ferkit.errors import ImageError
from ferkit.files import replacing, write_bytes
from ferkit.inference.annotate import SIGNED, draw, is_replaceable, mark
from ferkit.inference.history import History
from ferkit.inference.images import RGB, for_opencv
from ferkit.inference.quiet import quiet_opencv
from ferkit.inference.recognizer import Face
from ferkit.inference.sources import Source, VideoFile
from ferkit.inference.timeline import draw_timeline
from ferkit.inference.video import Frame

_FASTEST = 120.0  # frames a second of an annotated video
_LONGEST = 60.0  # seconds for which one picture is repeated
_FULL = "cannot be written (the disk is full)"
_RESERVE = 2 << 20  # bytes of a disk that a video leaves free, for the readings beside it


HEAD = ("frame", "seconds", "track", "x", "y", "size", "angle", "expression", "confidence")
"""Names of the columns before those of the classes."""


class ReadingsCsv:
    """Readings as CSV, a line each."""

    def __init__(self, file: TextIO, classes: Sequence[str]) -> None:
        """Write the names of the columns.

        Args:
            file: Open for writing, with ``newline=""`` where it is a file.
            classes: In the order of their columns.
        """
        self._classes = classes
        self._lines = csv.writer(file, lineterminator="\n")
        self._lines.writerow((*HEAD, *classes))

    def add(self, frame: Frame) -> None:
        """Write a line for each reading of ``frame``, with six digits as in JSON; none if there is no face."""
        for reading in frame.readings:
            face = reading.face
            place = (face.box.x, face.box.y, face.box.size, f"{face.box.angle:g}")
            values = (f"{face.probabilities[name]:.6f}" for name in self._classes)
            start = (frame.number, f"{frame.seconds:.6f}", reading.track)
            self._lines.writerow((*start, *place, face.expression, f"{face.confidence:.6f}", *values))


class AnnotatedVideo(AbstractContextManager["AnnotatedVideo"]):
    """An MP4 with boxes and expressions drawn in, without sound; whole when the block ends well, otherwise absent.

    So it is where no picture came.
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Remember what to write.

        Args:
            path: Ends in ``.mp4``.
            fps: Frames a second; a picture is repeated until the next one, at most for a minute, or left out, to keep
                their times.
        """
        self._path = path
        self._fps = max(0.01, round(min(fps, _FASTEST), 2))  # MPEG-4 counts time in at most 65,535 parts of a second
        self._stack = ExitStack()
        self._writer: Any = None
        self._written = 0
        self._last: RGB
        self._left_out = 0  # frames of pauses longer than a minute
        self._refusal: ImageError | None = None

    @property
    def begun(self) -> bool:
        """Whether a picture has come."""
        return self._writer is not None

    def __enter__(self) -> "AnnotatedVideo":
        """Open a temporary file beside the one to be written."""
        self._part = self._stack.enter_context(replacing(self._path, ending=self._path.suffix))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove it.

        Raises:
            ImageError: It was not written whole: the disk is full, or no such video can be written.
        """
        if self._writer is not None:
            self._writer.release()
        if kind is None and self._writer is None:
            kind, error = (
                ImageError,
                ImageError("without a picture there is no video"),
            )  # which drops the temporary file
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._refusal is not None:
                raise self._refusal
            self._check()

    def add(self, picture: RGB, seconds: float, faces: Iterable[tuple[int, Face]], classes: Sequence[str]) -> None:
        """Append a picture; of a video that cannot be written nothing is, which is told in the end.

        Args:
            picture: ``(H, W, 3)``; those after the first are brought to its size.
            seconds: When it is shown, since the first.
            faces: With the numbers of their tracks.
            classes: In the order of the network's card.
        """
        import cv2

        if self._refusal is not None:
            return
        if self._writer is None:
            if not self._open(picture):
                return
            self._left_out = round(seconds * self._fps)
        due = round(seconds * self._fps) - self._left_out
        pause = min(due - self._written, int(_LONGEST * self._fps))
        self._left_out += max(0, due - self._written - pause)
        for _ in range(pause):
            self._write(self._last)
        if picture.shape[:2] != self._shape:
            picture = np.asarray(cv2.resize(picture, self._shape[::-1]), np.uint8)
        self._last = np.ascontiguousarray(draw_tracks(picture, faces, classes)[..., ::-1])
        if due >= self._written:
            self._write(self._last)

    def _write(self, drawn: RGB) -> None:
        if self._refusal is None and _room(self._path.parent) < _RESERVE:
            self._refuse(_FULL)
            self._writer.release()
            with suppress(OSError):
                self._part.write_bytes(b"")  # which leaves its room to the other files
        if self._refusal is None:
            self._writer.write(drawn)
            self._written += 1

    def _refuse(self, why: str) -> None:
        self._refusal = ImageError(f"{self._path}: {why}")

    def _open(self, picture: RGB) -> bool:
        import cv2

        self._shape = picture.shape[:2]
        code = cv2.VideoWriter.fourcc(*"mp4v")
        with quiet_opencv():
            self._writer = cv2.VideoWriter(for_opencv(self._part), cv2.CAP_FFMPEG, code, self._fps, self._shape[::-1])
        if not self._writer.isOpened():
            size = f"{self._shape[1]} x {self._shape[0]}"
            full = _room(self._path.parent) < _RESERVE
            self._refuse(_FULL if full else f"a video of {size} pixels cannot be written")
        return self._refusal is None

    def _check(self) -> None:
        """Sign what was written and open it: OpenCV does not tell when a disk is full."""
        found = 0
        with suppress(OSError), self._part.open("ab") as file:
            file.write(struct.pack(">I4s", 8 + len(SIGNED), b"free") + SIGNED)  # a box that players pass over
            file.flush()
            with suppress(ImageError), VideoFile(self._part) as video:
                found = video.expected or 0
        if found != self._written:
            raise ImageError(f"{self._path}: could not be written whole; is the disk full?")


class Recording(AbstractContextManager["Recording"]):
    """Writes ``NAME.csv``, ``NAME-timeline.png`` and ``NAME-annotated.mp4``, each whole or not at all."""

    def __init__(self, folder: Path, name: str, source: Source, history: History) -> None:
        """Remember what to write.

        Args:
            folder: Made if it does not exist.
            name: With which the files' names begin.
            source: Whose frames will come.
            history: Filled by the caller and closed before the block ends.
        """
        self.csv = folder / f"{name}.csv"
        self.timeline = folder / f"{name}-timeline.png"
        self.video = folder / f"{name}-annotated.mp4"
        self.written: list[Path] = []
        """What is there, when the block has ended."""
        self._name = name
        self._fps = source.fps
        self._history = history
        self._table, self._film = ExitStack(), ExitStack()

    def __enter__(self) -> "Recording":
        """Open temporary files.

        Raises:
            OSError: The folder cannot be written to.
            ImageError: There is a file of one of these names that is not of an earlier recording.
        """
        _check_csv(self.csv, self._history.classes)
        for picture in (self.timeline, self.video):
            if not is_replaceable(picture):
                raise ImageError(
                    f"{picture}: exists, was not written by ferkit, and would be replaced; choose another folder"
                )
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.csv))
            for target in (self.timeline, self.video):
                with suppress(FileNotFoundError):
                    target.lstat()  # a name that is too long is told before the video is read, not after
            file = stack.enter_context(part.open("w", encoding="utf-8", newline=""))
            self._lines = ReadingsCsv(file, self._history.classes)
            self._video = self._film.enter_context(AnnotatedVideo(self.video, self._fps))
            self._table = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish each file that can be, or remove them.

        Raises:
            OSError: One cannot be written whole; the others are finished.
            ImageError: It is the video, or there are several such.
        """
        problems: list[OSError | ImageError] = []
        told: list[str] = []
        try:
            if kind is None:
                for path, finish in (
                    (self.csv, self._table.close),
                    (self.timeline, self._write_timeline),
                    (self.video, self._film.close),
                ):
                    try:
                        finish()
                        if path != self.video or self._video.begun:
                            self.written.append(path)
                    except (OSError, ImageError) as problem:
                        problems.append(problem)
                        told.append(_told(path, problem))
        except BaseException as stop:
            self._drop(type(stop), stop, None)
            raise
        if kind is not None:
            self._drop(kind, error, trace)
        if len(problems) > 1:
            raise ImageError("; ".join(told)) from problems[0]
        if problems:
            raise problems[0]

    def _drop(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove what is not finished."""
        self._film.__exit__(kind, error, trace)
        self._table.__exit__(kind, error, trace)

    def _write_timeline(self) -> None:
        write_bytes(self.timeline, _png(draw_timeline(self._history, self._name)) + SIGNED)

    def add(self, frame: Frame) -> None:
        """Write the readings of a frame."""
        self._lines.add(frame)

    def draw(self, picture: RGB, seconds: float, faces: Iterable[tuple[int, Face]]) -> None:
        """Append a picture to the annotated video."""
        self._video.add(picture, seconds, faces, self._history.classes)


def _room(folder: Path) -> float:
    """Return how many bytes can be written, or infinity where nobody knows."""
    try:
        return disk_usage(folder).free
    except OSError:
        return math.inf


def _told(path: Path, problem: OSError | ImageError) -> str:
    """Return why ``path`` is not written."""
    if isinstance(problem, ImageError):
        return str(problem)
    return f"{path}: cannot be written ({problem.strerror or problem})"


def _check_csv(file: Path, classes: Sequence[str]) -> None:
    """Refuse to take the place of what is not ours, or is no longer as we wrote it."""
    if not file.exists():
        return
    first = b""
    if file.is_file():  # a pipe would be waited for
        with file.open("rb") as old:
            first = old.readline(10_000).rstrip(b"\r\n")
    if first != ",".join((*HEAD, *classes)).encode():
        raise ImageError(
            f"{file}: exists, does not hold ferkit's readings, and would be replaced; choose another folder"
        )


def draw_tracks(picture: RGB, faces: Iterable[tuple[int, Face]], classes: Sequence[str] = ()) -> RGB:
    """Return a copy of ``picture`` with a box around each face, its track, expression and confidence above it."""
    return draw(picture, [mark(face, classes, number) for number, face in faces], enlarge=False)


def _png(picture: RGB) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", picture[..., ::-1])[1])
