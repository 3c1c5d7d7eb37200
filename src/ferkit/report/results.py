"""Finished runs where they are kept: ``results/<table>/<row>/seed-<n>.json``.

A run belongs to a row by the key of its recipe, so a row whose settings change loses its old runs by itself.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkit.data import Protocol
from ferkit.errors import RecipeError, RunError, UnknownNameError
from ferkit.files import replacing
from ferkit.report.table import Row, Table
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import WEIGHTS_DIGITS, make_recipe, others_in
from ferkit.training.result import PAGES, load_result

OTHER = "other"
"""Folder of runs that are no row of a table."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run, as its JSON file holds it."""

    path: Path
    key: str
    """Of its recipe, computed anew: what a key is made of may have changed since the run."""
    content: dict[str, Any]

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.content["seed"])

    @property
    def network(self) -> str:
        """How a recipe names its network."""
        return str(self.content["weights_sha256"])[:WEIGHTS_DIGITS]

    @property
    def conditions(self) -> tuple[str, str]:
        """Device and precision, which may change numbers beside the settings."""
        return str(self.content["device"]), str(self.content["precision"])

    @property
    def teachers(self) -> frozenset[str]:
        """Names of the networks it learnt from."""
        return frozenset(self.content["recipe"].get("teachers", ()))

    @property
    def init(self) -> str:
        """Name of the network it began with; empty if none."""
        return str(self.content["recipe"].get("init", ""))

    def own_key(self) -> str:
        """Return the key of its recipe without the names of other networks."""
        return make_recipe({**self.content["recipe"], "teachers": (), "init": ""}).key()

    def measured(self, part: str) -> dict[str, Any] | None:
        """Return what it does on ``part``: validation, test or test_without_copies; ``None`` where no faces were."""
        found: dict[str, Any] | None = self.content["evaluation"].get(part)
        return found

    def score(self, part: str, of_class: str = "") -> float | None:
        """Return the accuracy, or the F1 of a class, on ``part`` in percent; ``None`` where no faces were."""
        found = self.measured(part)
        if found is None:
            return None
        return 100 * float(found["classes"][of_class]["f1-score"] if of_class else found["accuracy"])


def read_results(folder: Path) -> list[Run]:
    """Return every run below ``folder``, however deep, in the order of their paths.

    Of several files with one recipe and seed, as a folder copied from another machine may bring, the first counts.

    Raises:
        RunError: A file is not the result of a run, or of the same one as another file with another recipe or seed; the
            message names it and the field.
    """
    runs, damaged = sound_results(folder)
    for problem in damaged.values():
        raise RunError(problem)
    return runs


def sound_results(folder: Path) -> tuple[list[Run], dict[Path, str]]:
    """Return what :func:`read_results` returns, and the files that it would refuse, each with its message."""
    runs: dict[tuple[str, int], Run] = {}
    trained: dict[str, Run] = {}
    damaged: dict[Path, str] = {}
    for path in sorted(folder.rglob("seed-*.json")):
        try:
            run = _read(path)
        except RunError as error:
            damaged[path] = str(error)
            continue
        same = trained.setdefault(str(run.content["weights_sha256"]), run)
        if (same.key, same.seed) != (run.key, run.seed):
            damaged[path] = f"{path}: holds the network of {same.path}, but another recipe or seed"
            continue
        runs.setdefault((run.key, run.seed), run)
    return list(runs.values()), damaged


def _read(path: Path) -> Run:
    """Return the run of a result file; a RunError where it is none."""
    content = load_result(path, PAGES)
    try:
        recipe = make_recipe(content["recipe"])
    except (RecipeError, UnknownNameError) as error:
        raise RunError(f"{path}: not the result of a run (recipe: {error})") from None
    whole = {**content, "recipe": {**recipe.to_dict(), **content["recipe"]}}  # settings that came after the run
    return Run(path, recipe.key(), whole)


def runs_of(row: Row, table: Table, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are runs of ``row``.

    A run with teachers, or that began with the weights of another, belongs to a row if it would without them, and they
    are runs of the rows that teach it and begin it.
    """
    key = row.recipe.key()
    if not row.before:
        return [run for run in runs if run.key == key]
    names = {
        other.slug: {run.network for run in runs_of(other, table, runs)}
        for other in table.every
        if other.slug in row.before
    }
    teaching = {name for slug in row.taught_by for name in names[slug]}
    return [
        run
        for run in runs
        if bool(run.teachers) == bool(row.taught_by)
        and run.teachers <= teaching
        and (run.init in names[row.begun_by] if row.begun_by else not run.init)
        and run.own_key() == key
    ]


def add_run(run: Path, results: Path, tables: Iterable[Table]) -> Path:
    """Copy the result of a finished run to its place below ``results``, and return that place.

    Raises:
        RunError: The run is not finished, or ``results`` has another run of its recipe and seed, or in its table one of
            other faces.
    """
    content, key = RunFolder(run).read_result(), RunFolder(run).read_recipe().key()
    before, _ = sound_results(results)
    for other in before:
        if (other.key, other.seed) == (key, content["seed"]):
            if other.content["weights_sha256"] == content["weights_sha256"]:
                return other.path
            raise RunError(
                f"{run}: {other.path} is another run of the same recipe and seed; to replace it, remove it first"
            )
    known = [*before, Run(RunFolder(run).result, key, content)]
    places = [Path(t.name, row.slug) for t in tables for row in t.every if known[-1] in runs_of(row, t, known)]
    place = places[0] if places else Path(OTHER, f"{content['recipe']['model']}-{key}")
    target = results / place / f"seed-{content['seed']}.json"
    for other in before:
        if other.path.parent.parent == target.parent.parent and not _same_faces(other.content, content):
            raise RunError(f"{run}: was trained or evaluated on other faces than {other.path}")
    if target.exists():  # of other teachers, or of another network to begin with
        target = target.with_stem(f"{target.stem}-{key}")
    with replacing(target) as part:
        shutil.copyfile(RunFolder(run).result, part)
    return target


def _same_faces(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two runs may be compared, as far as what they noted tells."""
    noted = [run.get("data", {}).get("faces_sha256", {}) for run in (one, other)]
    counted = [_classes(run) for run in (one, other)]
    return all(a[split] == b[split] for a, b in (noted, counted) for split in a.keys() & b.keys())


def _classes(run: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return how many faces of each class it was evaluated on, by split."""
    roles, parts = Protocol(run["recipe"]["protocol"]).roles, run["evaluation"]
    return {split.value: list(map(sum, parts[role]["confusion"])) for role, split in roles.items() if role in parts}


def run_label(recipe: Mapping[str, Any]) -> str:
    """Return the settings that tell a run apart from others of its network.

    Example:
        >>> run_label({"model": "compact", "options": {"stem": "full"}, "epochs": 60, "batch_size": 128, "mixup": 0.2})
        'compact (stem full), 60 epochs, batch 128, mixup 0.2'
    """
    options = ", ".join(f"{name} {value}" for name, value in recipe.get("options", {}).items())
    parts = [f"{recipe['model']}{f' ({options})' if options else ''}"]
    parts += [f"{recipe['epochs']} epoch{'s' * (recipe['epochs'] > 1)}", f"batch {recipe['batch_size']}"]
    parts += [f"{name.replace('_', ' ')} {recipe[name]:g}" for name in ("label_smoothing", "mixup") if recipe.get(name)]
    parts += others_in(recipe)
    return ", ".join(parts)
