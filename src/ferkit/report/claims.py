"""Decides the report's conclusions from our runs: a paired test over seeds, and the sentence that says it.

A seed fixes initialisation, shuffling and augmentation, so runs of two rows with the same seed make a pair. The test is
Student's t over the seeds' differences; with few seeds it decides only what is large beside the spread, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal, Protocol

from ferkit.report.table import Claim, Table

LEVEL = 0.05
"""Of the test, two-sided; intervals are its counterpart, 95 %."""

MARGIN = 1.5
"""Points of accuracy below which a difference counts as none: half the 95 % interval of 3,589 faces near 68 %."""

Verdict = Literal["supported", "not supported", "not decidable with these runs"]


class Scored(Protocol):
    """A finished run, as far as a claim asks."""

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    def score(self, part: str, of_class: str) -> float | None:
        """Return accuracy, or the F1 of a class, in percent; ``None`` where the part had no faces."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """A claim and what the runs say of it."""

    claim: Claim
    verdict: Verdict
    why: str

    def __str__(self) -> str:
        return f"{self.claim.text} **{self.verdict.capitalize()}**: {self.why}."


def decide(claim: Claim, table: Table, runs: Mapping[str, Sequence[Scored]]) -> Decision:
    """Return whether the runs support ``claim``.

    Args:
        claim: One of the table's.
        table: Where its rows are.
        runs: Finished runs by slug of the row.
    """
    keys = {row.slug: row.recipe.key() for row in table.every}
    if all(":" not in a + b and keys[a] == keys[b] for a, b in claim.pairs):
        why = "both settings train the same function, so the report's difference is the spread between runs"
        return Decision(claim, "not supported", why)
    differences = _differences(claim, table.part, runs)
    if not differences:
        return Decision(claim, "not decidable with these runs", "no seed has a run of every row it is about")
    return _test(claim, differences)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What runs of one row reach beside those of another with the same seeds, in points."""

    mean: float
    interval: tuple[float, float] | None
    """95 %; ``None`` with one seed."""

    verdict: Literal["better", "worse", "not decidable with these runs"]


def compare(ones: Sequence[Scored], others: Sequence[Scored], part: str) -> Comparison | None:
    """Return how much higher the accuracy of ``ones`` is; ``None`` where no seed has a run of both."""
    other = _scores(others, part)
    differences = [score - other[seed] for seed, score in _scores(ones, part).items() if seed in other]
    if not differences:
        return None
    if len(differences) < 2:
        return Comparison(differences[0], None, "not decidable with these runs")
    low, high = _interval(differences)
    verdict: Literal["better", "worse", "not decidable with these runs"] = "not decidable with these runs"
    if low > 0 or high < 0:
        verdict = "better" if low > 0 else "worse"
    return Comparison(mean(differences), (low, high), verdict)


def _scores(runs: Sequence[Scored], part: str, of_class: str = "") -> dict[int, float]:
    """Return seed to score of the runs that have one."""
    return {run.seed: score for run in runs if (score := run.score(part, of_class)) is not None}


def _differences(claim: Claim, part: str, runs: Mapping[str, Sequence[Scored]]) -> list[float]:
    """Return one number a seed that has every run: the mean, or the least, of its differences in points."""

    def scores(side: str) -> dict[int, float]:
        slug, _, of_class = side.partition(":")
        return _scores(runs.get(slug, ()), part, of_class)

    pairs = [(scores(a), scores(b)) for a, b in claim.pairs]
    seeds = set.intersection(*(set(a) & set(b) for a, b in pairs))
    over = min if claim.kind == "each" else mean
    return [float(over([a[seed] - b[seed] for a, b in pairs])) for seed in sorted(seeds)]


def _test(claim: Claim, differences: list[float]) -> Decision:
    ours = mean(differences)
    what = {"mean": "mean difference", "each": "smallest difference", "none": "mean difference"}[claim.kind]
    found = f"{what} {ours:+.1f} points over {len(differences)} seed{'s' * (len(differences) > 1)}"
    if len(differences) < 2:
        return Decision(claim, "not decidable with these runs", f"{found}, one seed shows no spread")
    low, high = _interval(differences)
    found += f", 95 % interval {low:+.1f} to {high:+.1f}"
    if claim.kind == "none":
        if low > -MARGIN and high < MARGIN:
            return Decision(claim, "supported", f"{found}, within ±{MARGIN} points")
        if low > 0 or high < 0:
            return Decision(claim, "not supported", found)
    elif low > 0:
        return Decision(claim, "supported", found)
    elif high < 0:
        return Decision(claim, "not supported", found)
    return Decision(claim, "not decidable with these runs", found)


def _interval(values: list[float]) -> tuple[float, float]:
    from scipy.stats import sem, t

    spread = float(sem(values))
    if spread == 0:
        return mean(values), mean(values)
    low, high = t.interval(1 - LEVEL, len(values) - 1, loc=mean(values), scale=spread)
    return float(low), float(high)
