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

    remark: str = ""
    """What a reader should know of this row, a sentence or two."""


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

    def __post_init__(self) -> None:
        keys = [row.recipe.key() for row in self.rows]
        slugs = [row.slug for row in self.rows]
        if len(set(keys)) != len(keys) or len(set(slugs)) != len(slugs):
            raise RuntimeError(f"{self.name} repeats a row")
