"""A table of the report as a value: rows of settings and the numbers the report gives for them."""

from dataclasses import dataclass

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

    remarks: tuple[str, ...] = ()
    """Why ours differs where it does, without numbers of ours; a sentence or two each."""

    variations: tuple[Row, ...] = ()
    """Rows the report does not have, run to find out why; their reported numbers are those of the row they vary."""

    def __post_init__(self) -> None:
        slugs = [row.slug for row in self.every]
        if len(set(slugs)) != len(slugs):
            raise RuntimeError(f"{self.name} repeats a row")

    @property
    def every(self) -> tuple[Row, ...]:
        """The report's rows, then the variations."""
        return (*self.rows, *self.variations)
