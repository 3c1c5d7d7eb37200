"""``ferkit reproduce``: every row of the report's tables, trained."""

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ferkit.cli.options import Data, Device
from ferkit.cli.reproduce_view import RESULTS, View, print_plan
from ferkit.cli.terminal import no_nan
from ferkit.processors import usable_processors

if TYPE_CHECKING:
    from ferkit.report.table import Table
    from ferkit.sweeps.plan import PlannedRun
    from ferkit.sweeps.processes import Executor
    from ferkit.sweeps.runs import Event

ALL, FIGURES, FINAL = "all", "figures", "final"


class Spread(StrEnum):
    """How runs are spread."""

    LOCAL = "local"
    RAY = "ray"


def reproduce(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="table-1 to table-7; final; figures (of a finished run); all: everything named so far; champion, "
            "ablations, ablations-residual: our own tables, not part of all."
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
    from ferkit.data import read_fer2013
    from ferkit.data.votes import read_votes
    from ferkit.errors import FerkitError
    from ferkit.experiments import TABLES
    from ferkit.report.ensembles import take_up_ensembles
    from ferkit.report.results import sound_results
    from ferkit.sweeps.plan import check_faces, plan
    from ferkit.sweeps.runs import in_rounds, quiet_peaks
    from ferkit.sweeps.runs import reproduce as train_all
    from ferkit.training.environment import choose_device

    names, draw = _chosen(targets, TABLES)
    if row and not names:
        raise typer.BadParameter("--row chooses rows of tables: name a table")
    threads = max(1, usable_processors() // jobs) if jobs > 1 else None
    chosen = [TABLES[name] for name in names]

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
                only=row or (),
                timed=RESULTS,
            )

        for problem in sound_results(results)[1].values():
            typer.echo(f"warning: {problem}; it is left alone", err=True)
        planned = planned_now()
        check_faces(planned, faces, results=results, runs=runs)
        where = choose_device(device)
        print_plan(planned, jobs, beside=executor is Spread.LOCAL and where == "cpu")
        if dry_run:
            return
        _check_writable(results)  # better told before hours of training
        view = View()
        shared = jobs > 1 and where == "cuda" and executor is Spread.LOCAL
        peaks = quiet_peaks(planned) if shared else {}

        def train(planned: "Sequence[PlannedRun]") -> "Iterator[Event]":
            return train_all(
                planned,
                data,
                _executor(executor, jobs, ray_address, device),
                TABLES.values(),
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
                except (FerkitError, OSError) as error:
                    view.fail(f"{table.name}, ensembles: {error}")
        view.summarise(results)
    if draw and not dry_run:
        keys = [each.recipe.key() for each in TABLES[FINAL].rows] if FINAL in TABLES else []
        typer.echo(_draw_figures(data, runs, figures, keys, needed=FIGURES in targets))


def _check_writable(results: Path) -> None:
    from ferkit.errors import RunError
    from ferkit.files import check_writable

    try:
        check_writable(results)
    except OSError as error:
        raise RunError(f"{results}: cannot be written to ({error.strerror or error})") from None


def _chosen(targets: Sequence[str], tables: "Mapping[str, Table]") -> tuple[list[str], bool]:
    """Return the tables to run, and whether to draw figures."""
    from ferkit.errors import UnknownNameError

    for target in targets:
        if target not in {*tables, FIGURES, ALL}:
            raise UnknownNameError("target", target, [*tables, FIGURES, ALL])
    of_the_report = [name for name, table in tables.items() if not table.published and not table.baseline]
    names = [name for name in tables if name in targets or (ALL in targets and name in of_the_report)]
    return names, FIGURES in targets or ALL in targets


def _draw_figures(data: Path, runs: Path, out: Path | None, first: Sequence[str], *, needed: bool) -> str:
    """Draw the figures of one run and return what to say; with no finished run, fail if ``needed``."""
    from ferkit.data import read_fer2013
    from ferkit.errors import RunError
    from ferkit.report.explain import draw_report_figures
    from ferkit.sweeps.runs import folder_for_figures

    try:
        folder = folder_for_figures(runs, first)
    except RunError as error:  # all rows may have been trained elsewhere
        if needed:
            raise
        return f"no figures: {error}"
    files = draw_report_figures(folder, read_fer2013(data), out)
    return f"{len(files)} figures of {folder}: {files[0].parent}"


def _executor(spread: Spread, jobs: int, address: str | None, device: Device) -> "Executor":
    if spread is Spread.RAY:
        from ferkit.sweeps.cluster import RayCluster

        return RayCluster(jobs, address, gpu=device is not Device.CPU)
    from ferkit.sweeps.processes import LocalProcesses

    return LocalProcesses(jobs)
