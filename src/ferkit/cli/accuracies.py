"""How accuracies are printed, with their intervals."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferkit.evaluation import Evaluation

WITHOUT_COPIES = "  without copies of Training"
"""Stands below a split, for those of its faces that do not also appear in Training."""


def accuracies(found: Iterable[tuple[str, "Evaluation"]]) -> str:
    """Return a table: a line for each set of faces with its name, loss, and accuracy with its interval."""
    lines = [f"{'':29}{'faces':>8}{'loss':>9}{'accuracy':>10}   95 % interval"]
    for name, evaluation in found:
        low, high = evaluation.interval
        numbers = f"{evaluation.faces:8,}{evaluation.loss:9.4f}{evaluation.accuracy:10.2%}"
        lines.append(f"{name:29}{numbers}   {100 * low:.2f} to {high:.2%}")
    return "\n".join(lines)
