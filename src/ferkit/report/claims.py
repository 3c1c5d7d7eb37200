"""Decides the report's conclusions from our runs: a paired test over seeds, and the sentence that says it.

A seed fixes initialisation, shuffling and augmentation, so runs of two rows with the same seed make a pair. The test is
Student's t over the seeds' differences; with few seeds it decides only what is large beside the spread, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Literal, Protocol

from ferkit.report.table import Claim, Table

LEVEL = 0.05
"""Of the test, two-sided; intervals are its counterpart, 95 %."""

MARGIN = 1.5
"""Points of accuracy below which a difference counts as none: half the 95 % interval of 3,589 faces near 68 %."""

ONE_FACE = 100 / 3589
"""Points that one face of a test split makes. Seeds never count as spreading less: equal differences are chance."""

Verdict = Literal["supported", "not supported", "not decidable with these runs"]


class Scored(Protocol):
    """A finished run, as far as a claim asks."""

    @property
    def seed(self) -> int:
        """Its seed."""
        ...

    @property
    def conditions(self) -> tuple[str, str]:
        """Device and precision."""
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
    pairs = {tuple(_of_key(side, keys) for side in pair): pair for pair in claim.pairs}  # two names of a run are one
    differences = _differences(list(pairs.values()), table.part, runs)
    if not differences[0]:
        return Decision(claim, "not decidable with these runs", "no seed has a run of every row it is about")
    decision = _test(claim, differences)
    unlike = _unlike(list(pairs.values()), table.part, runs)
    return replace(decision, why=f"{decision.why}; {unlike}") if unlike else decision


def scores_by_seed(runs: Sequence[Scored], part: str, of_class: str = "") -> dict[int, float]:
    """Return seed to score of the runs that have one."""
    return {run.seed: score for run in runs if (score := run.score(part, of_class)) is not None}


def _of_key(side: str, keys: Mapping[str, str]) -> tuple[str, str]:
    """Return the key of the recipe that a side of a pair is about, and the class."""
    slug, _, of_class = side.partition(":")
    return keys.get(slug, slug), of_class


Pairs = Sequence[tuple[str, str]]


def _differences(pairs: Pairs, part: str, runs: Mapping[str, Sequence[Scored]]) -> list[list[float]]:
    """Return the differences of each pair in points, one for each seed that has every run."""
    sides = _sides(pairs, part, runs)
    return [[a[seed] - b[seed] for seed in _seeds(sides)] for a, b in sides]


def _sides(
    pairs: Pairs, part: str, runs: Mapping[str, Sequence[Scored]]
) -> list[tuple[dict[int, float], dict[int, float]]]:
    """Return for both sides of each pair the scores by seed."""

    def scores(side: str) -> dict[int, float]:
        slug, _, of_class = side.partition(":")
        return scores_by_seed(runs.get(slug, ()), part, of_class)

    return [(scores(a), scores(b)) for a, b in pairs]


def _seeds(sides: Sequence[tuple[dict[int, float], dict[int, float]]]) -> list[int]:
    """Return the seeds that every run has: those that are compared."""
    return sorted(set.intersection(*(set(a) & set(b) for a, b in sides)))


def _unlike(pairs: Pairs, part: str, runs: Mapping[str, Sequence[Scored]]) -> str:
    """Return how many of the pairs that are compared differ in device or precision too; empty where none does."""
    seeds = _seeds(_sides(pairs, part, runs))
    of = {slug: {run.seed: run.conditions for run in found} for slug, found in runs.items()}
    slugs = [tuple(side.partition(":")[0] for side in pair) for pair in pairs]
    unlike = sum(of[a][seed] != of[b][seed] for a, b in slugs for seed in seeds)
    return f"{unlike} of {len(pairs) * len(seeds)} pairs of runs differ in device or precision too" if unlike else ""


def _test(claim: Claim, pairs: list[list[float]]) -> Decision:
    """Decide from the mean over all pairs, or, where a claim is about each of them, from one pair after another.

    All must hold for the claim to be supported, so each is tested at the full level; one is enough against it, so there
    each has its share of the level. The sentence tells the pair that decided.
    """
    over_pairs = claim.kind == "mean"
    tested = [[mean(of_seed) for of_seed in zip(*pairs, strict=True)]] if over_pairs else pairs
    means = [mean(differences) for differences in tested]
    weight = [abs(each) if claim.kind == "none" else -each for each in means]  # the heavier, the more against it
    heaviest, seeds = max(range(len(means)), key=weight.__getitem__), len(tested[0])
    over = f"points over {seeds} seed{'s' * (seeds > 1)}"
    extreme = {"mean": "mean", "each": "smallest", "none": "largest"}[claim.kind]
    if seeds < 2:
        found = f"{extreme} difference {means[heaviest]:+.1f} {over}"
        return Decision(claim, "not decidable with these runs", f"{found}, one seed shows no spread")
    intervals = [_interval(differences) for differences in tested]
    holds = [low > -MARGIN and high < MARGIN if claim.kind == "none" else low > 0 for low, high in intervals]
    against = [  # what lies within the margin counts as no difference, however clear it is
        not held and _speaks_against(claim, _interval(each, LEVEL / len(tested)))
        for held, each in zip(holds, tested, strict=True)
    ]
    deciding = [n for n in range(len(tested)) if (against[n] if any(against) else not holds[n])]
    told = max(deciding, key=weight.__getitem__) if deciding else heaviest
    found = f"{extreme if told == heaviest else 'one'} difference {means[told]:+.1f} {over}"
    found += ", 95 % interval {:+.1f} to {:+.1f}".format(*intervals[told])
    if all(holds):
        return Decision(claim, "supported", found + (f", within ±{MARGIN} points" if claim.kind == "none" else ""))
    if any(against):
        return Decision(claim, "not supported", found)
    if _speaks_against(claim, intervals[told]):
        found += f", too little against it for one of {len(tested)} pairs"
    return Decision(claim, "not decidable with these runs", found)


def _speaks_against(claim: Claim, interval: tuple[float, float]) -> bool:
    low, high = interval
    return high < 0 or (claim.kind == "none" and low > 0)


def _interval(values: list[float], level: float = LEVEL) -> tuple[float, float]:
    from scipy.stats import t

    error = max(stdev(values), ONE_FACE) / len(values) ** 0.5
    low, high = t.interval(1 - level, len(values) - 1, loc=mean(values), scale=error)
    return float(low), float(high)
