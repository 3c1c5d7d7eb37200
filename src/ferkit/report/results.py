"""Finished runs where they are kept: ``results/<table>/<row>/seed-<n>.json``.

A run belongs to a row by the key of its recipe, so a row whose settings change loses its old runs by itself.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkit.errors import RecipeError, RunError, UnknownNameError
from ferkit.files import replacing, write_text
from ferkit.report import figures
from ferkit.report.table import Row, Table
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import WEIGHTS_DIGITS, make_recipe
from ferkit.training.result import PAGES, load_result, shown_part

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

    def accuracies(self, part: str) -> float | None:
        """Return the accuracy on ``part`` in percent; ``None`` where no faces were."""
        return self.score(part)


def read_results(folder: Path) -> list[Run]:
    """Return every run below ``folder``, however deep, in the order of their paths.

    Of several files with one recipe and seed, as a folder copied from another machine may bring, the first counts.

    Raises:
        RunError: A file is not the result of a run; the message names it and the field.
    """
    runs: dict[tuple[str, int], Run] = {}
    for path in sorted(folder.rglob("seed-*.json")):
        content = load_result(path, PAGES)
        try:
            recipe = make_recipe(content["recipe"])
        except (RecipeError, UnknownNameError) as error:
            raise RunError(f"{path}: not the result of a run (recipe: {error})") from None
        whole = {**content, "recipe": {**recipe.to_dict(), **content["recipe"]}}  # settings that came after the run
        runs.setdefault((recipe.key(), content["seed"]), Run(path, recipe.key(), whole))
    return list(runs.values())


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
        RunError: The run is not finished.
    """
    content, key = RunFolder(run).read_result(), RunFolder(run).read_recipe().key()
    known = [*read_results(results), Run(RunFolder(run).result, key, content)]
    places = [Path(t.name, row.slug) for t in tables for row in t.every if known[-1] in runs_of(row, t, known)]
    place = places[0] if places else Path(OTHER, f"{content['recipe']['model']}-{key}")
    target = results / place / f"seed-{content['seed']}.json"
    with replacing(target) as part:
        shutil.copyfile(RunFolder(run).result, part)
    return target


def draw_losses(results: Path, picture: Path, table: Table) -> Path | None:
    """Draw the validation loss of the rows of ``table``, as the report's Figure 1 does for Table 2.

    Returns:
        ``picture``, or ``None`` where no row has a run of seed 0.
    """
    runs = read_results(results)
    series = {
        row.label: [epoch["valid"]["loss"] for epoch in run.content["epochs"]]
        for row in table.rows
        for run in runs
        if run in runs_of(row, table, runs) and run.seed == 0
    }
    if not series:
        return None
    figures.save(figures.losses(series), picture)
    return picture


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
    if recipe.get("teachers"):
        parts.append(f"taught by {', '.join(name[:8] for name in recipe['teachers'])}")
    if recipe.get("votes"):
        parts.append(f"FER+ votes {recipe['votes'][:8]}")
    return ", ".join(parts)


def draw_network(results: Path, picture: Path, table: Table, model: str) -> Path | None:
    """Draw the validation loss of the runs of one network, the first seed of each row of ``table``.

    Returns:
        ``picture``, or ``None`` where there is no such run.
    """
    runs = read_results(results)
    series = {}
    for row in table.every:
        mine = sorted(runs_of(row, table, runs), key=lambda run: run.seed)
        if row.recipe.model == model and mine:
            series[row.label] = [epoch["valid"]["loss"] for epoch in mine[0].content["epochs"]]
    if not series:
        return None
    figures.save(figures.losses(series), picture)
    return picture


def draw(results: Path, picture: Path, table: Table) -> Path | None:
    """Draw validation losses of the runs of ``table`` and the confusion matrix of the best of them on the test split.

    The validation split where that run had no faces to test on.

    Returns:
        ``picture``, or ``None`` where the table has no run.
    """
    runs = read_results(results)
    firsts = [(row, run) for row in table.every for run in runs_of(row, table, runs) if run.seed == 0]
    if not firsts:
        return None
    series = {row.label: [epoch["valid"]["loss"] for epoch in run.content["epochs"]] for row, run in firsts}
    row, best = max(firsts, key=lambda pair: pair[1].content["evaluation"]["validation"]["accuracy"])
    shown = best.content["evaluation"][shown_part(best.content)]
    title = f"{row.label}\n{shown['split']}, accuracy {100 * shown['accuracy']:.1f} %"
    figures.save(figures.overview(series, shown["confusion"], title), picture)
    return picture


def write(pages: Mapping[Path, str]) -> list[Path]:
    """Write the pages that are not as they should be, and return them.

    Raises:
        RunError: One cannot be written to.
    """
    changed = stale(pages)
    for page in changed:
        with figures.writing(page):
            write_text(page, pages[page])
    return changed


def stale(pages: Mapping[Path, str]) -> list[Path]:
    """Return the pages that are missing or differ from what the runs say."""
    return [page for page, text in pages.items() if not page.exists() or page.read_text(encoding="utf-8") != text]
