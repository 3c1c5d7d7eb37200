"""A table of the report as a value: rows of settings, the numbers the report gives for them, what it concludes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ferkit.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    slug: str
    """Name of the row's folder in ``results/<table>/``."""

    label: str
    """First column, close to the report's words."""

    recipe: Recipe
    """What to run."""

    accuracy: float | None
    """The report's accuracy in percent; ``None`` where it gives none."""

    loss: float | None
    """The report's loss; ``None`` where it gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A conclusion the report draws from a table; :mod:`ferkit.report.claims` decides it."""

    text: str
    """One sentence, in our words."""

    pairs: tuple[tuple[str, str], ...]
    """Slugs of rows; the report says that the first of each pair reaches the higher accuracy.

    ``slug:class`` stands for the F1 of that class instead, on the split of the table.
    """

    kind: Literal["mean", "each", "none"] = "mean"
    """``mean``: the first are better on average over the pairs; ``each``: in every pair; ``none``: no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the report."""

    name: str
    """Such as ``table-1``; also the folder of its results and its page."""

    title: str
    source: str
    """Where the report prints it, precise enough to find."""

    unclear: tuple[str, ...]
    """What the source leaves open, and what was chosen; a sentence each."""

    rows: tuple[Row, ...]

    part: Literal["validation", "test"] = "validation"
    """What its numbers were measured on."""

    claims: tuple[Claim, ...] = ()
    """What the report concludes from it."""

    classes: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """Reported precision, recall and F1 of each class, where the report gives them (Figure 3)."""

    picture: tuple[str, str] | None = None
    """What it shows, and where it lies beside the page."""

    remarks: tuple[str, ...] = ()
    """Why ours differs where it does, without numbers of ours; a sentence or two each."""

    variations: tuple[Row, ...] = ()
    """Rows the report does not have, run to find out why; their reported numbers are those of the row they vary."""

    def __post_init__(self) -> None:
        slugs = [row.slug for row in self.every]
        if len(set(slugs)) != len(slugs):
            raise RuntimeError(f"{self.name} repeats a row")
        named = {side.partition(":")[0] for claim in self.claims for pair in claim.pairs for side in pair}
        if not named <= set(slugs):
            raise RuntimeError(f"{self.name}: a claim names rows that are not there: {sorted(named - set(slugs))}")

    @property
    def every(self) -> tuple[Row, ...]:
        """The report's rows, then the variations."""
        return (*self.rows, *self.variations)
