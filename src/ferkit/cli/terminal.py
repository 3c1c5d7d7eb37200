"""Words for a terminal of 80 columns, and from one."""

import math
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from ferkit.errors import on_one_line

if TYPE_CHECKING:
    from ferkit.data import Fer2013


def notice(line: str) -> None:
    """Say on stderr, to a person and not to a log file, what takes its time; once, however many processes train."""
    if sys.stderr.isatty() and os.environ.get("LOCAL_RANK", "0") == "0":
        typer.echo(line, err=True)


def with_notes(data: "Fer2013") -> "Fer2013":
    """Return a data set after saying on stderr what is to be known of it before numbers are believed; once, too."""
    from ferkit.data.audit import only_copies

    if os.environ.get("LOCAL_RANK", "0") != "0":
        return data
    copies = [
        f"Every face of {split} also stands in Training: what is measured on it says nothing of other faces."
        for split in only_copies(data)
    ]
    for note in (*data.notes, *copies):
        typer.echo(f"note: {shown(note)}", err=True)
    return data


def shown(text: str) -> str:
    """Return ``text`` on one line, without what a terminal would obey or cannot print."""
    return on_one_line(text)


def list_errors(lines: Sequence[str], what: str, *, several: bool) -> None:
    """Say on stderr what went wrong.

    Args:
        lines: Why, one for each thing.
        what: ``could not be read``, say.
        several: Whether there could have been more lines than there are: a single one is counted, too.
    """
    if len(lines) > 1 or (lines and several):
        typer.echo("\n  ".join([f"error: {len(lines)} {what}:", *map(shown, lines)]), err=True)
    elif lines:
        typer.echo(f"error: {shown(lines[0])}", err=True)


def no_nan(value: float | None) -> float | None:
    """Return the value of an option, unless it is no number: ``nan`` slips through every range."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("expected a number, got nan")
    return value


def as_option(value: object) -> str:
    """Return a setting as ``--set`` takes it: parts of a tuple with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def beside(label: str, text: str) -> str:
    """Return ``text`` to the right of ``label``, broken into lines of at most 80 characters."""
    return textwrap.fill(text, 80, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False)


class Progress:
    """How many pictures are done with: one line of stderr on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._on = total > 1 and sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Write the line anew."""
        if self._on:
            self._write(f"{done} of {self._total} pictures")

    def clear(self) -> None:
        """Make room for other output."""
        if self._on:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
