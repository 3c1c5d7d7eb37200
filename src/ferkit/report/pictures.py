"""Pictures of finished runs, for the pages that `ferkit results` renders."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ferkit.report import figures
from ferkit.report.results import Run, runs_of
from ferkit.report.table import Row, Table
from ferkit.training.result import shown_part

_ENDS = {".png": b"\0\0\0\0IEND\xaeB`\x82", ".svg": b"</svg>"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of finished runs, drawn when it is written."""

    path: Path
    draw: Callable[[], Figure]
    shows: str
    """SHA-256 of what it shows. It stands in the file, so whether that shows something else is known without drawing:
    another release of matplotlib draws other pixels."""

    @property
    def is_stale(self) -> bool:
        """Whether the file is missing, cut off or shows something else."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return True
        return self.shows.encode() not in content or not content.rstrip().endswith(_ENDS.get(self.path.suffix, b""))

    def write(self) -> None:
        """Write the file.

        Raises:
            RunError: It cannot be written to.
        """
        with figures.writing(self.path):
            figures.save(self.draw(), self.path, remark=self.shows)


def pictures(runs: Sequence[Run], overview: Path, tables: Mapping[str, Table]) -> list[Picture]:
    """Return the pictures of all pages, of those tables that have runs.

    Args:
        runs: Every finished run.
        overview: File of the README's; the others lie beside it.
        tables: By name.
    """
    found = [
        _overview(runs, overview, tables["table-2"]),
        _losses(runs, overview.with_name("figure-1.png"), tables["table-2"]),
        _losses(runs, overview.with_name("compact.png"), tables["champion"], "compact"),
    ]
    return [picture for picture in found if picture is not None]


def _losses(runs: Sequence[Run], path: Path, table: Table, model: str = "") -> Picture | None:
    """Return the validation loss of the first seed of each row of ``table``, as the report's Figure 1 does for Table 2.

    With ``model`` of all its rows, variations among them, those of this network that learnt from labels: what learns
    from votes is off the labels by more the better it learns.
    """
    rows = [row for row in table.every if row.recipe.model == model and not row.recipe.votes] if model else table.rows
    series = _series(_firsts(rows, table, runs))
    return _picture(path, figures.losses, series) if series else None


def _overview(runs: Sequence[Run], path: Path, table: Table) -> Picture | None:
    """Return validation losses of the runs of ``table`` and the confusion matrix of the best of them on the test split.

    The validation split where that run had no faces to test on.
    """
    firsts = _firsts(table.every, table, runs)
    if not firsts:
        return None
    row, best = max(firsts, key=lambda pair: pair[1].content["evaluation"]["validation"]["accuracy"])
    shown = best.content["evaluation"][shown_part(best.content)]
    title = f"{row.label}\n{shown['split']}, accuracy {100 * shown['accuracy']:.1f} %"
    return _picture(path, figures.overview, _series(firsts), shown["confusion"], title)


def _picture(path: Path, draw: Callable[..., Figure], *what: Any) -> Picture:
    shows = hashlib.sha256(json.dumps([draw.__name__, *what]).encode()).hexdigest()
    return Picture(path, partial(draw, *what), shows)


def _firsts(rows: Iterable[Row], table: Table, runs: Sequence[Run]) -> list[tuple[Row, Run]]:
    """Return each row that has a run, with that of the lowest seed."""
    owned = [(row, runs_of(row, table, runs)) for row in rows]
    return [(row, min(mine, key=lambda run: run.seed)) for row, mine in owned if mine]


def _series(firsts: Iterable[tuple[Row, Run]]) -> dict[str, list[float]]:
    return {row.label: [epoch["valid"]["loss"] for epoch in run.content["epochs"]] for row, run in firsts}
