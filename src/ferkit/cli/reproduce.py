"""``ferkit reproduce``: every row of the report's tables, trained."""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.options import Data, Device
from ferkit.cli.screen import Screen
from ferkit.cli.terminal import no_nan
from ferkit.processors import usable_processors

if TYPE_CHECKING:
    from ferkit.report.table import Table
    from ferkit.sweeps.plan import PlannedRun
    from ferkit.sweeps.processes import Executor
    from ferkit.sweeps.runs import Event

ALL, FIGURES, FINAL = "all", "figures", "final"

RESULTS = Path("results")
"""Of a checkout."""


class Spread(StrEnum):
    """How runs are spread."""

    LOCAL = "local"
    RAY = "ray"


def reproduce(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="table-1 to table-7, final, figures (of a finished run), all (all of these), champion, ablations, "
            "ablations-residual."
        ),
    ],
    data: Data,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row", help="Only this row, by the name of its folder in results, such as layers-6-*; may be repeated."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each row, with the seeds 0, 1, ...")] = 1,
    device: Annotated[
        Device, typer.Option("--device", help="Where to train; auto: cuda if there is one.")
    ] = Device.AUTO,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs side by side; with Ray, on each node.")] = 1,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            min=0,
            callback=no_nan,
            help="Stop cleanly within so many minutes; the same command continues.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would run, and how long it would take.")
    ] = False,
    variations: Annotated[
        bool,
        typer.Option(
            "--variations",
            help="Also run the variations: rows that the report does not have, and our own made for two cores.",
        ),
    ] = False,
    votes: Annotated[
        Path | None, typer.Option("--votes", metavar="FILE", help="FER+ votes, for the row that learns from them.")
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="Folder of result files.")] = RESULTS,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of run folders.")] = Path("runs/reproduce"),
    executor: Annotated[
        Spread, typer.Option("--executor", help="local: processes of this machine; ray: a Ray cluster.")
    ] = Spread.LOCAL,
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", envvar="RAY_ADDRESS", help="Of a Ray cluster; one on this machine if left out."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Folder of the target figures, which show faces; the run's own if left out."),
    ] = None,
) -> None:
    """Train every row of the report's tables and collect the results; continues wherever it was stopped or killed.

    Finished runs are skipped. Every row gets seed 0 before any gets seed 1, and cheap runs come first.
    When it is stopped by Ctrl-C, SIGTERM or --max-minutes, runs in progress are saved. A run that fails does not stop
    the others.
    """
    began = time.monotonic()  # what follows loads PyTorch, which takes a while on a busy machine
    from ferkit.experiments import TABLES

    run(
        TABLES,
        targets,
        data,
        rows=row or (),
        seeds=seeds,
        device=device,
        jobs=jobs,
        max_minutes=max_minutes,
        dry_run=dry_run,
        variations=variations,
        votes=votes,
        results=results,
        runs=runs,
        executor=executor,
        ray_address=ray_address,
        figures=figures,
        began=began,
    )


def run(
    tables: "Mapping[str, Table]",
    targets: Sequence[str],
    data: Path,
    *,
    rows: Sequence[str] = (),
    seeds: int = 1,
    device: Device = Device.AUTO,
    jobs: int = 1,
    max_minutes: float | None = None,
    dry_run: bool = False,
    variations: bool = False,
    votes: Path | None = None,
    results: Path = Path("results"),
    runs: Path = Path("runs/reproduce"),
    executor: Spread = Spread.LOCAL,
    ray_address: str | None = None,
    figures: Path | None = None,
    began: float | None = None,
) -> None:
    """Do what ``ferkit reproduce`` does, with the given tables.

    ``began`` is the time on the monotonic clock from which the minutes count; now, if left out.

    Raises:
        UnknownNameError: A target is neither a table nor another known name, or no row has a name that is in ``rows``.
        typer.BadParameter: ``rows`` without a table.
        typer.Exit: Not everything is done: a run failed, or it was stopped.
    """
    began = time.monotonic() if began is None else began
    from ferkit.data import read_fer2013
    from ferkit.data.votes import read_votes
    from ferkit.errors import RunError
    from ferkit.report.ensembles import take_up_ensembles
    from ferkit.report.results import sound_results
    from ferkit.sweeps.plan import check_faces, plan
    from ferkit.sweeps.runs import in_rounds, quiet_peaks
    from ferkit.sweeps.runs import reproduce as train_all
    from ferkit.training.environment import choose_device

    names, draw = _chosen(targets, tables)
    if rows and not names:
        raise typer.BadParameter("--row chooses rows of tables: name a table")
    threads = max(1, usable_processors() // jobs) if jobs > 1 else None
    chosen = [tables[name] for name in names]

    if names:
        faces = read_fer2013(data)
        if votes is not None:
            read_votes(votes, faces)  # what is wrong with it is better told before hours of training

        def planned_now() -> "list[PlannedRun]":
            return plan(
                chosen,
                seeds,
                faces,
                results=results,
                runs=runs,
                device=device.value,
                threads=threads,
                variations=variations,
                only=rows,
                timed=RESULTS,
            )

        for problem in sound_results(results)[1].values():
            typer.echo(f"warning: {problem}; it is left alone", err=True)
        planned = planned_now()
        check_faces(planned, faces, results=results, runs=runs)
        where = choose_device(device)
        _print_plan(planned, jobs, beside=executor is Spread.LOCAL and where == "cpu")
        if dry_run:
            return
        view = _View()
        shared = jobs > 1 and where == "cuda" and executor is Spread.LOCAL
        peaks = quiet_peaks(planned) if shared else {}

        def train(planned: "Sequence[PlannedRun]") -> "Iterator[Event]":
            return train_all(
                planned,
                data,
                _executor(executor, jobs, ray_address, device),
                tables.values(),
                results=results,
                runs=runs,
                threads=threads,
                votes=votes,
                peaks=peaks,
                max_minutes=None if max_minutes is None else max_minutes - (time.monotonic() - began) / 60,
            )

        try:
            for event in in_rounds(planned, planned_now, train):
                view.show(event)
        finally:
            view.close()
        if not view.stopped:
            for table in chosen:
                try:
                    for path in take_up_ensembles(table, seeds, faces, results=results, runs=runs, device=where):
                        typer.echo(f"measured together: {path}")
                except RunError as error:
                    view.fail(f"{table.name}, ensembles: {error}")
        view.summarise(results)
    if draw and not dry_run:
        keys = [row.recipe.key() for row in tables[FINAL].rows] if FINAL in tables else []
        typer.echo(_draw_figures(data, runs, figures, keys))


def duration(seconds: float) -> str:
    """Return seconds for people, not more exact than they are.

    Example:
        >>> duration(42), duration(900), duration(10_000)
        ('1 min', '15 min', '2 h 47 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _chosen(targets: Sequence[str], tables: "Mapping[str, Table]") -> tuple[list[str], bool]:
    """Return the tables to run, and whether to draw figures."""
    from ferkit.errors import UnknownNameError

    for target in targets:
        if target not in {*tables, FIGURES, ALL}:
            raise UnknownNameError("target", target, [*tables, FIGURES, ALL])
    of_the_report = [name for name, table in tables.items() if not table.published and not table.baseline]
    names = [name for name in tables if name in targets or (ALL in targets and name in of_the_report)]
    return names, FIGURES in targets or ALL in targets


def _draw_figures(data: Path, runs: Path, out: Path | None, first: Sequence[str]) -> str:
    from ferkit.data import read_fer2013
    from ferkit.report.explain import draw_report_figures
    from ferkit.sweeps.runs import folder_for_figures

    folder = folder_for_figures(runs, first)
    files = draw_report_figures(folder, read_fer2013(data), out)
    return f"{len(files)} figures of {folder}: {files[0].parent}"


def _executor(spread: Spread, jobs: int, address: str | None, device: Device) -> "Executor":
    if spread is Spread.RAY:
        from ferkit.sweeps.cluster import RayCluster

        return RayCluster(jobs, address, gpu=device is not Device.CPU)
    from ferkit.sweeps.processes import LocalProcesses

    return LocalProcesses(jobs)


def _print_plan(planned: "Sequence[PlannedRun]", jobs: int, *, beside: bool) -> None:
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


class _View:
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
