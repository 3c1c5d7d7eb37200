"""A table as a value: rows of settings, what the report or others reach with them, what the report concludes."""

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

    accuracy: float | None = None
    """The report's accuracy in percent; ``None`` where it gives none."""

    loss: float | None = None
    """The report's loss; ``None`` where it gives none."""

    taught_by: tuple[str, ...] = ()
    """Slugs of rows of the same table: all their runs are the teachers of each run of this one."""

    begun_by: str = ""
    """Slug of a row of the same table: each run begins with the weights of one of its runs, where `reproduce` trains it
    of that with seed 0."""

    @property
    def before(self) -> tuple[str, ...]:
        """Slugs of the rows that must be finished before this one can begin."""
        return (*self.taught_by, self.begun_by) if self.begun_by else self.taught_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Networks that answer together: the mean of their probabilities."""

    slug: str
    """Name of its folder in ``results/<table>/``."""

    label: str

    members: tuple[str, ...]
    """Slugs of rows of the same table; all their runs are members."""

    views: tuple[str, ...] = ()
    """What each member sees besides the face as it is: names of :data:`ferkit.inference.views.VIEWS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What others report on FER2013."""

    label: str
    networks: int
    accuracy: float
    """In percent."""

    split: str
    """What it was measured on."""

    outside: str
    """Images or weights from elsewhere; empty if none."""

    source: str
    """Authors, year, and where to read it."""

    remark: str = ""


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
    """A table: of the report; of ours beside published ones; or, with a ``baseline``, of what each change brings."""

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

    ensembles: tuple[Ensemble, ...] = ()
    """Of its rows' runs."""

    published: tuple[Published, ...] = ()
    """What its rows stand beside, where that is not the report."""

    baseline: str = ""
    """Slug of the row that all others differ from in one thing, where the table asks what each thing brings.

    Such a table is for choosing: its runs never read the test split.
    """

    variations: tuple[Row, ...] = ()
    """Rows that run only where asked for: in a table of the report, rows it does not have, run to find out why, whose
    reported numbers are those of the row they vary."""

    def __post_init__(self) -> None:
        slugs = [row.slug for row in self.every]
        if len(set(slugs)) != len(slugs):
            raise RuntimeError(f"{self.name} repeats a row")
        named = {slug for row in self.every for slug in row.before}
        named |= {slug for ensemble in self.ensembles for slug in ensemble.members}
        named |= {self.baseline} - {""}
        if not named <= set(slugs):
            raise RuntimeError(f"{self.name} names rows that are not there: {sorted(named - set(slugs))}")
        named = {side.partition(":")[0] for claim in self.claims for pair in claim.pairs for side in pair}
        if not named <= set(slugs):
            raise RuntimeError(f"{self.name}: a claim names rows that are not there: {sorted(named - set(slugs))}")

    @property
    def every(self) -> tuple[Row, ...]:
        """The rows, then the variations."""
        return (*self.rows, *self.variations)
