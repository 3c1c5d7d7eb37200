"""Rows that each change one in one thing, held against it: Dunnett's test over their runs.

The spread between seeds is taken from the runs of all rows together, so that three of each tell more than by
themselves; the intervals hold together, however many rows there are.

Source: Dunnett, 1955, "A multiple comparison procedure for comparing several treatments with a control".
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, variance
from typing import Literal

from ferkit.report.claims import LEVEL, ONE_FACE, Scored, scores_by_seed

Verdict = Literal["better", "worse", "not decidable with these runs"]

UNDECIDED: Verdict = "not decidable with these runs"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What runs of a row reach beside those of the first one with the same seeds, in points."""

    mean: float
    interval: tuple[float, float] | None = None
    """95 % for all rows together; ``None`` where the row lacks a seed of the first one, or that has but one, or where
    all runs of each row are alike."""

    verdict: Verdict = UNDECIDED


def compare(rows: Mapping[str, Sequence[Scored]], first: str, part: str, of_class: str = "") -> dict[str, Comparison]:
    """Return how much more each row reaches than the first one; those without a common seed are left out.

    Args:
        rows: Their finished runs.
        first: Name of the row that the others are held against.
        part: Of the evaluation.
        of_class: The F1 of this class is compared, ``macro avg`` that of all; the accuracy if left out.
    """
    scores = {name: scores_by_seed(runs, part, of_class) for name, runs in rows.items()}
    base = scores.pop(first)
    found = {
        name: Comparison(mean(score - base[seed] for seed, score in own.items() if seed in base))
        for name, own in scores.items()
        if own.keys() & base.keys()
    }
    whole = [name for name in found if len(base) > 1 and base.keys() <= scores[name].keys()]
    samples = {name: [scores[name][seed] for seed in base] for name in whole}
    return found | _tested(samples, list(base.values()))


def _tested(samples: Mapping[str, list[float]], base: list[float]) -> dict[str, Comparison]:
    if not samples or mean(map(variance, [base, *samples.values()])) < ONE_FACE**2:  # equal by chance, or the same runs
        return {}
    import numpy as np
    from scipy.stats import dunnett

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows whose runs are alike; the spread is that of all
        chance = np.random.default_rng(0)  # it integrates at random points
        test = dunnett(*samples.values(), control=base, random_state=chance)
    between = test.confidence_interval(1 - LEVEL)
    found = {}
    for name, low, high in zip(samples, between.low.tolist(), between.high.tolist(), strict=True):
        verdict: Verdict = "better" if low > 0 else "worse" if high < 0 else UNDECIDED
        found[name] = Comparison(mean(samples[name]) - mean(base), (low, high), verdict)
    return found
