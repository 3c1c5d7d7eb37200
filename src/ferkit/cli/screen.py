"""What a command that takes long shows meanwhile, on stderr."""

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PERCENT = "{task.percentage:>3.0f}%"

_BAR = 20
_BESIDE = 24
"""Columns right of a bar: how far, the time left, and room for the ^C that the terminal adds."""


class Screen:
    """Lines and, on a terminal, bars below them with the time left.

    Args:
        beside: What stands beside a bar, of its ``task`` as Rich fills it in.
    """

    def __init__(self, beside: str = PERCENT) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._beside = beside
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._unseen = False  # nobody reads stderr any more: what is told there costs no result

    @property
    def is_terminal(self) -> bool:
        """Whether there are bars."""
        return self._console.is_terminal

    def say(self, line: str, *, whole: bool = False) -> None:
        """Show a line, broken between words by a narrow terminal, unless ``whole``, as what is to be copied."""
        if self._unseen:
            return
        try:
            if self.is_terminal:
                self._console.print(line, markup=False, soft_wrap=whole)
            else:  # which Rich would end where a pipe's reader has gone
                typer.echo(line, err=True)
        except OSError:
            self._unseen = True

    def begin(self, name: str, text: str, whole: float | None, done: float = 0, **fields: Any) -> None:
        """Show a bar under this name, of unknown length where ``whole`` is None; nothing where there is no terminal."""
        if not self.is_terminal or self._unseen:
            return
        if self._progress is None:
            self._progress = self._started()
        counted: Any = done  # Rich asks for a whole number here, and for any in update
        self._bars[name] = self._progress.add_task(self._fitting(text), total=whole, completed=counted, **fields)

    def advance(self, name: str, done: float, text: str | None = None, **fields: Any) -> None:
        """Move the bar of this name, with another text and fields where given; nothing where there is no terminal."""
        if self._progress is not None:
            self._progress.update(self._bars[name], completed=done, description=text and self._fitting(text), **fields)

    def end(self, name: str) -> None:
        """Take the bar of this name away, if there is one."""
        bar = self._bars.pop(name, None)
        if self._progress is not None and bar is not None:
            self._progress.remove_task(bar)

    def close(self) -> bool:
        """Take all bars away; return whether any had been shown since the last time."""
        shown, self._progress, self._bars = self._progress, None, {}
        if shown is not None:
            shown.stop()
        return shown is not None

    def _fitting(self, text: str) -> str:
        """Return the end of ``text``, which tells runs apart, where it is too long to stand beside a bar."""
        room = self._console.width - _BAR - _BESIDE
        return text if len(text) <= room else f"…{text[len(text) - room + 1 :]}"

    def _started(self) -> "Progress":
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR),
            TextColumn(self._beside),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            transient=True,
        )
        progress.start()
        return progress
