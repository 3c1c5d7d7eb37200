"""Pictures of finished runs, for the pages that `ferkit results` renders."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ferkit.report import figures
from ferkit.report.results import Run, runs_of
from ferkit.report.table import Row, Table
from ferkit.training.result import shown_part


def draw_losses(runs: Sequence[Run], picture: Path, table: Table, model: str = "") -> Path | None:
    """Draw the validation loss of the first seed of each row of ``table``, as the report's Figure 1 does for Table 2.

    Args:
        runs: Every finished run.
        picture: The file to write.
        table: Whose runs to draw.
        model: Of all its rows, variations among them, those of this network that learnt from labels: what learns from
            votes is off the labels by more the better it learns.

    Returns:
        ``picture``, or ``None`` where there is no such run.
    """
    rows = [row for row in table.every if row.recipe.model == model and not row.recipe.votes] if model else table.rows
    series = _losses(_firsts(rows, table, runs))
    if not series:
        return None
    figures.save(figures.losses(series), picture)
    return picture


def draw_overview(runs: Sequence[Run], picture: Path, table: Table) -> Path | None:
    """Draw validation losses of the runs of ``table`` and the confusion matrix of the best of them on the test split.

    The validation split where that run had no faces to test on.

    Returns:
        ``picture``, or ``None`` where the table has no run.
    """
    firsts = _firsts(table.every, table, runs)
    if not firsts:
        return None
    row, best = max(firsts, key=lambda pair: pair[1].content["evaluation"]["validation"]["accuracy"])
    shown = best.content["evaluation"][shown_part(best.content)]
    title = f"{row.label}\n{shown['split']}, accuracy {100 * shown['accuracy']:.1f} %"
    figures.save(figures.overview(_losses(firsts), shown["confusion"], title), picture)
    return picture


def _firsts(rows: Iterable[Row], table: Table, runs: Sequence[Run]) -> list[tuple[Row, Run]]:
    """Return each row that has a run, with that of the lowest seed."""
    owned = [(row, runs_of(row, table, runs)) for row in rows]
    return [(row, min(mine, key=lambda run: run.seed)) for row, mine in owned if mine]


def _losses(firsts: Iterable[tuple[Row, Run]]) -> dict[str, list[float]]:
    return {row.label: [epoch["valid"]["loss"] for epoch in run.content["epochs"]] for row, run in firsts}
