"""How readings are printed: a table for people, JSON lines and CSV for machines."""

import csv
import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ferkit.cli.jobs import Job
from ferkit.cli.terminal import shown

if TYPE_CHECKING:
    from ferkit.errors import ImageError
    from ferkit.inference.boxes import Box
    from ferkit.inference.recognizer import Face

_NAME = 24  # cells that a file's name has at least where it needs them: the beginning is cut, the end tells files apart
_DIGITS = 6  # of probabilities in JSON and CSV


STDOUT = "standard output"
"""As it is named in errors."""


@contextmanager
def named_stdout() -> Iterator[None]:
    """Tell an output that cannot be written to from a folder that cannot."""
    try:
        yield
    except OSError as error:
        error.filename = STDOUT
        raise


@dataclass(frozen=True, slots=True)
class Done:
    """A picture that was read, or why it was not."""

    job: Job
    size: tuple[int, int] | None = None
    """Width and height in pixels; None where it could not be read."""
    faces: "Sequence[Face]" = ()
    error: "ImageError | None" = None
    drawn: bytes | None = None
    """The annotated copy, where one was asked for ..."""
    undrawn: str = ""
    """... or why there is none."""


class Printer(ABC):
    """Prints pictures one after another."""

    def begin(self) -> None:  # noqa: B027
        """Print what comes before the first picture."""

    @abstractmethod
    def picture(self, done: Done) -> None:
        """Print one picture."""


def printer(output: str, jobs: Sequence[Job], classes: Sequence[str]) -> Printer:
    """Return what prints ``jobs`` as ``table``, ``json`` or ``csv``."""
    if output == "json":
        return _Json()
    if output == "csv":
        return _Csv(classes)
    return _Bars() if len(jobs) == 1 else _Table([job.name for job in jobs])


def bar(share: float, width: int, encoding: str | None = None) -> str:
    """Return a bar for ``share``, 0 to 1, of at most ``width`` letters of ``encoding``; ``None``: stdout's."""
    try:
        "█".encode(encoding or sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#" * round(share * width)
    return "█" * round(share * width)


def _cells(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes: two a letter in some scripts."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(faces: int) -> str:
    return "no face found" if not faces else "1 face" if faces == 1 else f"{faces} faces"


class _Bars(Printer):
    """One picture: each of its faces with every class."""

    def picture(self, done: Done) -> None:
        if done.size is None:
            return
        width, height = done.size
        typer.echo(f"{shown(done.job.name)}, {width} x {height} pixels: {_count(len(done.faces))}")
        for number, face in enumerate(done.faces, start=1):
            typer.echo(f"\nface {number}: {_answer(face)}; {_place(face.box)}")
            wide = max(map(len, face.probabilities))
            for name, share in face.probabilities.items():
                typer.echo(f"  {name:{wide}} {100 * share:5.1f} %  {bar(share, 50)}".rstrip())


def _place(box: "Box") -> str:
    turned = f", turned {abs(box.angle):.0f} degrees {'clockwise' if box.angle > 0 else 'anticlockwise'}"
    return f"x {box.x}, y {box.y}, size {box.size}{turned if box.angle else ''}"


def _answer(face: "Face") -> str:
    if face.expression == face.likeliest:
        return f"{face.expression}, {_percent(face.confidence)}"
    return f"{face.expression} (likeliest: {face.likeliest}, {_percent(face.confidence)})"


class _Table(Printer):
    """Several pictures: a line for each face."""

    def __init__(self, names: Sequence[str]) -> None:
        widest = max((_cells(shown(name)) for name in names), default=0)
        room = (
            shutil.get_terminal_size().columns - len(self._line("", "", "", "", "")) if sys.stdout.isatty() else 10**6
        )
        self._width = max(len("picture"), min(widest, max(room, _NAME)))

    def begin(self) -> None:
        typer.echo(self._line("picture".ljust(self._width), "face", "expression", "confidence", "x, y, size"))

    def picture(self, done: Done) -> None:
        name = shown(done.job.name)
        if _cells(name) > self._width:
            while _cells(name) > self._width - 3:
                name = name[1:]
            name = "..." + name
        name += " " * (self._width - _cells(name))
        if done.error is not None:
            typer.echo(self._line(name, "-", "cannot be read", "", ""))
        elif not done.faces:
            typer.echo(self._line(name, "-", "no face found", "", ""))
        for number, face in enumerate(done.faces, start=1):
            place = f"{face.box.x}, {face.box.y}, {face.box.size}"
            certain = face.expression == face.likeliest
            confidence = _percent(face.confidence) if certain else f"{face.likeliest} {_percent(face.confidence)}"
            typer.echo(self._line(name, str(number), face.expression, confidence, place))

    @staticmethod
    def _line(name: str, face: str, expression: str, confidence: str, place: str) -> str:
        return f"{name}  {face:>4}  {expression:14} {confidence:>13}  {place:16}".rstrip() if name else " " * 54


class _Json(Printer):
    """A line for each picture, for those that cannot be read too."""

    def picture(self, done: Done) -> None:
        found: dict[str, Any] = {"picture": "-" if done.job.path is None else done.job.name}
        if done.size is None:
            found["error"] = str(done.error)
        else:
            found["width"], found["height"] = done.size
            found["faces"] = rounded([face.to_dict() for face in done.faces])
            if done.job.copy is not None:
                found["annotated"] = str(done.job.copy)
        typer.echo(json.dumps(found))


def rounded(value: Any) -> Any:
    """Return plain values with six digits behind the point; more would say nothing."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


class _Csv(Printer):
    """A line for each face; a picture without faces has none."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes

    def begin(self) -> None:
        self._row(["picture", "face", "x", "y", "size", "angle", "expression", "confidence", *self._classes])

    def picture(self, done: Done) -> None:
        name = "-" if done.job.path is None else done.job.name.encode(errors="backslashreplace").decode()
        if sys.stdout.isatty():  # which would obey; a program gets the name as it is
            name = shown(name)
        for number, face in enumerate(done.faces, start=1):
            shares = [f"{share:.{_DIGITS}f}" for share in (face.confidence, *face.probabilities.values())]
            box = (face.box.x, face.box.y, face.box.size, f"{face.box.angle:g}")
            self._row([name, number, *box, face.expression, *shares])

    @staticmethod
    def _row(values: Sequence[object]) -> None:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        if any("\r" in str(value) for value in values):  # which csv quotes from Python 3.13 on
            lines = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        lines.writerow(values)
