"""What ``ferkit reproduce`` shows: what is to run, and the runs meanwhile and at the end."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ferkit.cli.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferkit.sweeps.plan import PlannedRun
    from ferkit.sweeps.runs import Event

RESULTS = Path("results")
"""Of a checkout."""


def duration(seconds: float) -> str:
    """Return seconds for people, not more exact than they are.

    Example:
        >>> duration(42), duration(900), duration(10_000)
        ('1 min', '15 min', '2 h 47 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def print_plan(planned: "Sequence[PlannedRun]", jobs: int, *, beside: bool) -> None:
    """Print a line a run and the time of all.

    Args:
        planned: At least one.
        jobs: Runs side by side.
        beside: It is known how long they take side by side: they share out the processors of this machine.
    """
    from rich.console import Console
    from rich.table import Table as Sheet

    from ferkit.sweeps.estimate import side_by_side
    from ferkit.sweeps.plan import State

    sheet = Sheet("table", "row", "seed", "state", "time left", box=None, pad_edge=False)
    sheet.columns[2].justify = sheet.columns[4].justify = "right"
    for run in planned:
        state = f"epoch {run.epochs}/{run.recipe.epochs}" if run.state is State.BEGUN else ""
        sheet.add_row(
            ", ".join(run.tables),
            run.rows[0][1].label,
            str(run.recipe.seed),
            f"{run.state}{f', {state}' if state else ''}",
            _left(run),
        )
    Console(width=140, highlight=False).print(sheet)
    damaged = sum(run.state is State.DAMAGED for run in planned)
    open_runs = [run for run in planned if run.state not in {State.DONE, State.DAMAGED}]
    known = [run.left for run in open_runs if run.left is not None]
    text = f"{len(planned)} runs, {len(planned) - len(open_runs) - damaged} done, {len(open_runs)} to go"
    text += f", {damaged} with a damaged result" if damaged else ""
    if known:
        total = duration(side_by_side([each.seconds for each in known], jobs if beside else 1))
        how = "" if jobs == 1 else f", {jobs} side by side" if beside else ", if they ran one after another"
        unknown = len(open_runs) - len(known)
        text += f": about {total}{how}{f', and {unknown} of unknown length' if unknown else ''}"
    typer.echo(text)
    if any(each.scaled for each in known):
        typer.echo("~ no run of these settings has finished on this device: scaled by operations from the same network")
    if len(known) < len(open_runs):
        typer.echo("- no run of this network in this precision has finished on this device")


def _left(run: "PlannedRun") -> str:
    from ferkit.sweeps.plan import State

    if run.left is None:
        return "" if run.state in {State.DONE, State.DAMAGED} else "-"
    return f"{'~ ' if run.left.scaled else ''}{duration(run.left.seconds)}"


class View:
    """Shows runs: a line when one begins or ends and, on a terminal, a bar for each that runs; all on stderr."""

    def __init__(self) -> None:
        self._screen = Screen()
        self._total = self._done = self._left_out = 0
        self._lines: list[str] = []  # of what failed
        self._ended: Any = None

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop before its end."""
        return bool(self._ended and self._ended.reason)

    def show(self, event: "Event") -> None:
        """Show what happened."""
        from ferkit.sweeps.plan import State
        from ferkit.sweeps.runs import Advanced, Begun, Done, Ended, Halted, Planned

        match event:
            case Planned():
                self._left_out = len(self._lines)
                now = sum(run.state is not State.DONE or not run.taken_up for run in event.runs)
                self._total = self._done + self._left_out + now
            case Begun():
                left = f" (about {_left(event.run).removeprefix('~ ')})" if event.run.left else ""
                self._screen.say(f"begins: {event.run.label}{left}")
                done = event.run.epochs / event.run.recipe.epochs
                self._screen.begin(event.run.name, event.run.label, whole=1, done=done)
            case Advanced():
                self._screen.advance(event.run.name, event.share)
            case Done():
                self._done += 1
                self._screen.end(event.run.name)
                self._screen.say(f"done {self._done}/{self._total}: {event.run.label}: {_numbers(event.result)}")
            case Halted():
                self._screen.end(event.run.name)
                line = f"{event.run.label}: {event.reason}"
                if event.kind == "failed":
                    self._lines.append(line)
                word = "tried again later" if event.kind == "again" else event.kind
                self._screen.say(f"{word}: {line}", whole=True)
            case Ended():
                self._ended = event

    def close(self) -> None:
        """Take all bars away."""
        self._screen.close()

    def fail(self, line: str) -> None:
        """Take up what failed though no run did."""
        self._lines.append(line)

    def summarise(self, results: Path) -> None:
        """Say what came of it all, and leave with an exit code where something is left."""
        ended = self._ended
        for line in self._lines:
            self._screen.say(f"failed: {line}", whole=True)
        left = ended.left + self._left_out
        if left:
            why = f"stopped ({ended.reason}): " if ended.reason else ""
            again = shlex.join(["ferkit", *sys.argv[1:]])
            self._screen.say(f"{why}{left} of {self._total} runs are left; go on with: {again}", whole=True)
            raise typer.Exit(128 + ended.signal if ended.signal else int(bool(self._lines)))
        if self._lines:
            raise typer.Exit(1)
        command = ["ferkit", "results", *(() if results == RESULTS else ("--results", str(results)))]
        typer.echo(f"every run is done; set them beside the report's numbers with: {shlex.join(command)}")


def _numbers(result: dict[str, Any]) -> str:
    shares = [
        f"{name} {100 * result['evaluation'][name]['accuracy']:.1f} %"
        for name in ("validation", "test")
        if name in result["evaluation"]
    ]
    seconds = result["seconds"]
    took = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
    return f"accuracy {', '.join(shares)}, {took}"
