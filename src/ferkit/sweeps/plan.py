"""What is to run: every row of the tables with every seed, and how far each is.

A run is a setting (the key of a recipe) and a seed; rows with the same setting, whatever their tables, share it. It is
done where its result stands anywhere below the results folder, part done where its run folder
``<runs>/<key>-seed-<n>`` holds a checkpoint. So whatever is killed, the next call goes on. A damaged file in the place
of a result is left alone, and so is its run, which others may have learnt from: whoever has a copy puts it back.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import mean
from typing import Literal

from ferkit.data import Fer2013, Split
from ferkit.errors import RunError, UnknownNameError
from ferkit.report.results import Run, runs_of, sound_results
from ferkit.report.table import Row, Table
from ferkit.sweeps.estimate import Estimate, Estimates, Machine
from ferkit.training.environment import choose_device, choose_precision
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe, make_recipe
from ferkit.training.result import fits, load_result
from ferkit.training.surroundings import describe

Device = Literal["auto", "cpu", "cuda"]


class State(StrEnum):
    """How far a run is."""

    DONE = "done"
    BEGUN = "part done"
    NEW = "to do"
    WAITS = "waits for other runs"
    DAMAGED = "damaged result"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A setting and a seed, and every row that asks for them."""

    recipe: Recipe
    rows: tuple[tuple[str, Row], ...]
    """Name of a table and a row of it; at least one."""
    state: State
    taken_up: bool
    """Its result stands below the results folder."""
    epochs: int
    """Epochs that are done."""
    left: Estimate | None
    """Time to its end; ``None`` where no finished run says it, or where nothing is left."""
    teachers: tuple[str, ...] = ()
    """Names of the run folders of its teachers."""
    init: str = ""
    """Name of the run folder whose weights it begins with."""
    tested: bool = True
    """Whether it may read the test split."""
    problem: str = ""
    """What is wrong with its damaged result; empty if nothing is."""

    @property
    def name(self) -> str:
        """Of its run folder."""
        return run_name(self.recipe)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that ask for it, the first first."""
        return tuple(dict.fromkeys(table for table, _ in self.rows))

    @property
    def label(self) -> str:
        """What people call it."""
        table, row = self.rows[0]
        return f"{table}, {row.label}, seed {self.recipe.seed}"


def run_name(recipe: Recipe) -> str:
    """Return the name of the folder of a run."""
    return f"{recipe.key()}-seed-{recipe.seed}"


def plan(
    tables: Iterable[Table],
    seeds: int,
    data: Fer2013,
    *,
    results: Path,
    runs: Path,
    device: Device = "auto",
    threads: int | None = None,
    variations: bool = False,
    only: Sequence[str] = (),
    timed: Path | None = None,
) -> list[PlannedRun]:
    """Return the runs of ``tables`` in the order in which they are to run.

    Every setting with seed 0 comes before any with seed 1; of one seed, those that were begun come first, then the
    cheapest, last those that wait for other runs: plan again when these are done.

    Args:
        tables: Whose rows are to run.
        seeds: Each row runs with seeds 0 to ``seeds - 1``.
        data: The data set; its size enters the estimates.
        results: Folder of result files; it may be missing.
        runs: Folder of run folders; it may be missing.
        device: Where to train.
        threads: Of one run on a processor, as PyTorch chooses if ``None``; enters the estimates.
        variations: Run the rows the report does not have, too.
        only: Run the rows with these names alone, variations among them; ``*`` and ``?`` stand for characters.
        timed: Folder of more result files, which count as nothing but say how long runs take; it may be missing.

    Raises:
        UnknownNameError: No row has one of the names in ``only``.
        RecipeError: ``device`` is cuda and there is none.
    """
    asked = _asked(tuple(tables), only, variations=variations)
    finished, damaged = sound_results(results)
    here = choose_device(device)
    known = finished if timed in {None, results} else [*finished, *sound_results(timed)[0]]
    estimates = Estimates(known, _machine(here, threads), len(data.split(Split.TRAINING)))
    planner = _Planner(finished=finished, damaged=damaged, runs=runs, device=device, here=here, estimates=estimates)
    shared: dict[str, list[tuple[Table, Row]]] = {}
    for table, row in asked:
        if not row.before:
            shared.setdefault(row.recipe.key(), []).append((table, row))
    planned = []
    for seed in range(seeds):
        planned += [planner.alone(rows, seed) for rows in shared.values()]
        planned += [planner.after_others(table, row, seed, seeds) for table, row in asked if row.before]
    rank = {State.BEGUN: 0, State.DONE: 1, State.NEW: 1, State.DAMAGED: 1, State.WAITS: 2}
    return sorted(planned, key=lambda run: (run.recipe.seed, rank[run.state], estimates.work(run.recipe)))


def check_faces(planned: Iterable[PlannedRun], data: Fer2013, *, results: Path, runs: Path) -> None:
    """Raise a RunError where a run that counts as done was trained or evaluated on other faces than ``data``'s."""
    done = {(run.recipe.key(), run.recipe.seed): run for run in planned if run.state is State.DONE}
    places = sorted({path.parent for path in results.rglob("seed-*.json")})
    copies = [run for place in places for run in sound_results(place)[0]]  # one by one, to see every copy of a run
    found = [(each.path, each.content) for each in copies if (each.key, each.seed) in done]
    folders = [RunFolder(runs / run.name) for run in done.values() if not run.taken_up]
    found += [(folder.result, folder.read_result(("evaluation",))) for folder in folders]
    for path, content in found:
        if not fits(content, data, *Split):
            raise RunError(
                f"{path}: the run was trained or evaluated on other faces than those of {data.source}; "
                "name other folders with --results and --runs"
            )


def _asked(tables: Sequence[Table], only: Sequence[str], *, variations: bool) -> list[tuple[Table, Row]]:
    """Return the rows that are asked for, each with its table."""
    rows = [(table, row) for table in tables for row in table.every]
    if not only:
        return [(table, row) for table, row in rows if variations or row in table.rows]
    for name in only:
        if not any(fnmatch.fnmatchcase(row.slug, name) for _, row in rows):
            raise UnknownNameError("row", name, [row.slug for _, row in rows])
    return [(table, row) for table, row in rows if any(fnmatch.fnmatchcase(row.slug, name) for name in only)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planner:
    """Plans one run, knowing what is finished and what the device can do."""

    finished: Sequence[Run]
    damaged: Mapping[Path, str]
    """Files in the results folder that are no results, each with what is wrong with it."""
    runs: Path
    device: Device
    here: str
    """What ``device`` is on this machine."""
    estimates: Estimates

    def alone(self, rows: Sequence[tuple[Table, Row]], seed: int) -> PlannedRun:
        """Return the run of rows that have the same settings and need no other run."""
        recipe = replace(rows[0][1].recipe, seed=seed, device=self.device)
        taken_up = any((run.key, run.seed) == (recipe.key(), seed) for run in self.finished)
        return self._run(recipe, rows, taken_up)

    def after_others(self, table: Table, row: Row, seed: int, seeds: int) -> PlannedRun:
        """Return the run of a row that learns from runs of other rows, or begins with one; it waits for them."""
        before = _before(row, table, self.finished, seeds)
        teachers = [run for slug in row.taught_by for run in before.get(slug, ())]
        begun = before.get(row.begun_by, [])[:1]
        recipe = replace(
            row.recipe,
            seed=seed,
            device=self.device,
            teachers=tuple(sorted(run.network for run in teachers)),
            init="".join(run.network for run in begun),
        )
        taken_up = any(run.seed == seed for run in runs_of(row, table, self.finished))
        run = self._run(recipe, [(table, row)], taken_up)
        if not before and not taken_up:  # its folder is named after its teachers, so what lies there is another's
            run = replace(run, state=State.WAITS)
        return replace(run, teachers=tuple(map(_folder_of, teachers)), init="".join(map(_folder_of, begun)))

    def _run(self, recipe: Recipe, rows: Sequence[tuple[Table, Row]], taken_up: bool) -> PlannedRun:
        folder = RunFolder(self.runs / run_name(recipe))
        problem = "" if taken_up else self._problem(folder, rows, recipe.seed)
        state = State.DAMAGED if problem else _state(folder, taken_up)
        seconds: list[float] = []
        if state is State.BEGUN:
            with suppress(RunError):  # damaged; written anew as the run goes on
                seconds = folder.read_metric("seconds")
        whole = None
        if state in {State.NEW, State.BEGUN}:
            whole = self.estimates.estimate(recipe, choose_precision(recipe.precision, self.here)[0])
        if seconds and (whole is None or whole.scaled):  # the run itself knows better
            whole = Estimate(seconds=mean(seconds) * recipe.epochs, scaled=False)
        return PlannedRun(
            recipe=recipe,
            rows=tuple((table.name, row) for table, row in rows),
            state=state,
            taken_up=taken_up,
            epochs=recipe.epochs if state is State.DONE else len(seconds),
            left=whole.part(1 - len(seconds) / recipe.epochs) if whole is not None else None,
            tested=not any(table.baseline for table, _ in rows),
            problem=problem,
        )

    def _problem(self, folder: RunFolder, rows: Sequence[tuple[Table, Row]], seed: int) -> str:
        """Return what is wrong with the result of a run that is not taken up: its own, or one in its place."""
        if folder.result.exists():
            try:
                load_result(folder.result)
            except RunError as error:
                return str(error)
            return ""
        places = {(table.name, row.slug) for table, row in rows}
        found = (path for path in self.damaged if path.parts[-3:-1] in places and path.stem.split("-")[1] == str(seed))
        return "".join(self.damaged[path] for path in list(found)[:1])


def _folder_of(run: Run) -> str:
    """Return the name of the folder of a run that is finished."""
    return run_name(make_recipe(run.content["recipe"]))


def _before(row: Row, table: Table, finished: Sequence[Run], seeds: int) -> dict[str, list[Run]]:
    """Return the runs that ``row`` needs, by slug and in the order of seeds; nothing where one is not finished."""
    found: dict[str, list[Run]] = {}
    for other in table.every:
        if other.slug in row.before:
            by_seed = {run.seed: run for run in runs_of(other, table, finished)}
            wanted = range(seeds) if other.slug in row.taught_by else range(1)
            if not set(wanted) <= set(by_seed):
                return {}
            found[other.slug] = [by_seed[seed] for seed in wanted]
    return found


def _machine(here: str, threads: int | None) -> Machine:
    found = describe(here)
    return Machine(device=str(found["device"]), on_gpu=here == "cuda", threads=threads or int(found["threads"]))


def _state(folder: RunFolder, taken_up: bool) -> State:
    if taken_up or folder.result.exists():
        return State.DONE
    return State.BEGUN if folder.last.exists() else State.NEW
