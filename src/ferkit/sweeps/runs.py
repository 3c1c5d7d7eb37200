"""Trains what is planned, by way of an executor: saves, stops and goes on, and takes up every result."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ferkit.errors import FerkitError, RunError
from ferkit.files import expanded, write_json, write_text
from ferkit.report.results import add_run
from ferkit.report.table import Table
from ferkit.sweeps.plan import PlannedRun, State
from ferkit.sweeps.processes import Executor, Job, Outcome, Progress
from ferkit.training.environment import choose_device, choose_precision
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import make_recipe
from ferkit.training.speed import peak_flops
from ferkit.training.stopping import StopRequest

_SAVING_SHARE, _SAVING_MINUTES = 0.1, 0.5  # of --max-minutes, kept for the last batch and the checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A round begins: what is to be done now, after what was done before."""

    runs: Sequence[PlannedRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run begins or goes on."""

    run: PlannedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """A run is under way."""

    run: PlannedRun
    share: float
    """Done, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A run is finished and its result taken up."""

    run: PlannedRun
    result: dict[str, Any]
    """The content of ``result.json``."""
    path: Path
    """Where the result stands now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """A run ended before its end."""

    run: PlannedRun
    kind: Literal["stopped", "failed", "again"]
    """``again``: it was killed, and gets another try after the others."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing runs any more."""

    left: int
    """Runs that are not finished."""
    reason: str
    """Why it stopped before its end; empty where it did not."""
    signal: int
    """Number of the signal that stopped it, 0 if none."""


Event = Planned | Begun | Advanced | Done | Halted | Ended


def in_rounds(
    planned: Sequence[PlannedRun],
    plan_again: Callable[[], Sequence[PlannedRun]],
    train: Callable[[Sequence[PlannedRun]], Iterator[Event]],
) -> Iterator[Event]:
    """Train what is planned, then what had waited for it, until nothing is left that can begin.

    What failed is not tried again.

    Args:
        planned: The first round.
        plan_again: Returns what there is to do after a round.
        train: Does a round: :func:`reproduce`.

    Yields:
        A :class:`Planned` a round, then its events.
    """
    failed: set[str] = set()
    stopped = False
    while True:
        yield Planned(runs=planned)
        for event in train(planned):
            if isinstance(event, Halted) and event.kind == "failed":
                failed.add(event.run.name)
            stopped = stopped or (isinstance(event, Ended) and bool(event.reason))
            yield event
        if stopped or not any(run.state is State.WAITS for run in planned):
            return
        planned = [run for run in plan_again() if run.name not in failed]
        if not any(run.state in {State.NEW, State.BEGUN} for run in planned):
            return


def reproduce(
    planned: Sequence[PlannedRun],
    data: Path,
    executor: Executor,
    tables: Iterable[Table],
    *,
    results: Path,
    runs: Path,
    threads: int | None = None,
    votes: Path | None = None,
    max_minutes: float | None = None,
    peaks: Mapping[str, float] | None = None,
) -> Iterator[Event]:
    """Train what is not done; everything happens while the events are consumed.

    Ctrl-C, SIGTERM and ``max_minutes`` stop it: what runs is saved after the batch it is at. A second Ctrl-C ends it at
    once.

    Args:
        planned: What :func:`plan` returned, in order; runs that wait for others are left.
        data: The data set.
        executor: Where to run; closed at the end.
        tables: All tables; a result goes to the folder of the first row it belongs to.
        results: Folder of result files.
        runs: Folder of run folders.
        threads: Of one run on a processor; as PyTorch chooses if ``None``.
        votes: FER+ votes, for rows that learn from them.
        max_minutes: Stop cleanly within so long.
        peaks: Of :func:`quiet_peaks`, where runs share a device.

    Yields:
        What happens, at last :class:`Ended`.
    """
    tables = tuple(tables)
    if max_minutes is not None:
        max_minutes -= min(_SAVING_SHARE * max(max_minutes, 0), _SAVING_MINUTES)
    with ExitStack() as stack:
        stack.callback(executor.close)
        stop = stack.enter_context(StopRequest(max_minutes))
        left, asked = sum(run.state is not State.DONE for run in planned), False
        for told in _settled(planned, results, runs, tables):
            left += isinstance(told, Halted) and told.run.state is State.DONE
            yield told
        waiting = deque(run for run in planned if run.state in {State.NEW, State.BEGUN})
        running: dict[str, PlannedRun] = {}
        killed: set[str] = set()
        while running or (waiting and not stop.reason):
            while waiting and len(running) < executor.slots and not stop.reason:
                run = waiting.popleft()
                yield Begun(run=run)
                try:
                    executor.start(_job(run, data, runs, threads, votes, peaks or {}))
                except RunError as error:  # its folder cannot be written to: no fault of the others
                    yield Halted(run=run, kind="failed", reason=str(error))
                    continue
                running[run.name] = run
            if stop.reason and not asked:
                asked = True
                executor.stop()
            for event in executor.poll():
                run = running[event.name]
                if isinstance(event, Progress):
                    yield Advanced(run=run, share=event.share)
                    continue
                del running[run.name]
                if event.kind == "finished" and event.result is not None:
                    try:
                        path = _take_up(runs / run.name, event.result, results, tables)
                    except RunError as error:  # it stays in its own folder
                        yield Halted(run=run, kind="failed", reason=str(error))
                        continue
                    left -= 1
                    yield Done(run=run, result=event.result, path=path)
                    continue
                again = not asked and event.kind in {"killed", "stopped"} and run.name not in killed
                if again:
                    killed.add(run.name)
                    waiting.append(run)
                yield Halted(run=run, kind="again" if again else _kind(event, asked=asked), reason=event.reason)
        yield Ended(left=left, reason=stop.reason if left else "", signal=stop.signal if left else 0)


def _settled(
    planned: Iterable[PlannedRun], results: Path, runs: Path, tables: Sequence[Table]
) -> Iterator[Done | Halted]:
    """Take up what was finished by a process that was killed before it could, and tell of damaged results."""
    for run in planned:
        if run.state is State.DAMAGED:
            yield Halted(run=run, kind="failed", reason=f"{run.problem}; put a copy in its place, or remove it")
        if run.state is State.DONE and not run.taken_up:
            try:
                content = RunFolder(runs / run.name).read_result()
                path = _take_up(runs / run.name, content, results, tables)
            except FerkitError as error:  # it stays in its own folder
                yield Halted(run=run, kind="failed", reason=str(error))
            else:
                yield Done(run=run, result=content, path=path)


def quiet_peaks(planned: Iterable[PlannedRun]) -> dict[str, float]:
    """Return the operations a second of this machine's device in each precision that the runs ahead train in.

    To be measured before the first of them begins.
    """
    ahead = [run for run in planned if run.state not in {State.DONE, State.DAMAGED}]
    return {_precision(run): peak_flops(choose_device(run.recipe.device), _precision(run)) for run in ahead}


def folder_for_figures(runs: Path, first: Iterable[str]) -> Path:
    """Return the finished run folder below ``runs`` to draw figures from.

    Args:
        runs: Folder of run folders.
        first: Keys of recipes; their runs come before all others. Among equals the best on the validation split.

    Raises:
        RunError: No run below ``runs`` is finished.
    """
    preferred, found = set(first), []
    for result in sorted(runs.glob("*/result.json")):
        try:
            content = RunFolder(result.parent).read_result(("key", "evaluation"))
        except FerkitError:  # damaged; others can be drawn
            continue
        if (result.parent / "weights.safetensors").exists():
            accuracy = content["evaluation"]["validation"]["accuracy"]
            found.append((content["key"] in preferred, accuracy, result.parent))
    if not found:
        raise RunError(f"{runs}: expected a finished run to draw figures from, found none")
    return max(found)[2]


def _precision(run: PlannedRun) -> str:
    return choose_precision(run.recipe.precision, choose_device(run.recipe.device))[0]


def _job(
    run: PlannedRun, data: Path, runs: Path, threads: int | None, votes: Path | None, peaks: Mapping[str, float]
) -> Job:
    return Job(
        name=run.name,
        recipe=run.recipe.to_dict(),
        data=expanded(data).resolve(),
        folder=(runs / run.name).resolve(),
        threads=threads,
        teachers=tuple((runs / name).resolve() for name in run.teachers),
        init=(runs / run.init).resolve() if run.init else None,
        votes=expanded(votes).resolve() if votes else None,
        tested=run.tested,
        peak=peaks.get(_precision(run)) if peaks else None,
    )


def _take_up(folder: Path, content: dict[str, Any], results: Path, tables: Sequence[Table]) -> Path:
    """Copy a result to its place, by way of the run folder, which a run on another machine may have left empty."""
    run = RunFolder(folder)
    try:
        if not run.result.exists():
            write_text(run.recipe, make_recipe(content["recipe"]).to_toml())
            write_json(run.result, content)
        return add_run(folder, results, tables)
    except OSError as error:
        raise RunError(f"{error.filename or results}: cannot be written to ({error.strerror or error})") from None


def _kind(outcome: Outcome, *, asked: bool) -> Literal["stopped", "failed"]:
    return "stopped" if asked and outcome.kind != "failed" else "failed"
