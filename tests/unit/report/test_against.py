"""Rows held against one: what Dunnett's test says of them, and what it needs."""

from dataclasses import dataclass
from statistics import mean, variance

import pytest

from ferkit.report.against import UNDECIDED, compare


@dataclass
class Score:
    """A run with an accuracy."""

    seed: int
    accuracy: float
    conditions: tuple[str, str] = ("a machine", "bf16")

    def score(self, part, of_class=""):
        return self.accuracy if part == "validation" else None


def runs(**accuracies):
    return {name: [Score(seed, value) for seed, value in enumerate(values)] for name, values in accuracies.items()}


BASE = [60.0, 61.0, 60.5]


def test_one_row_is_tested_as_by_student():
    from scipy.stats import ttest_ind

    other = [61.5, 63.0, 62.6]
    found = compare(runs(base=BASE, other=other), "base", "validation")["other"]
    expected = ttest_ind(other, BASE).confidence_interval(0.95)
    assert found.mean == pytest.approx(mean(other) - 60.5)
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.005)
    assert found.verdict == "better"


def test_intervals_of_several_rows_are_those_of_dunnetts_table():
    rows = {"a": [61.0, 62.0, 61.2], "b": [59.0, 59.6, 59.9], "c": [60.1, 60.9, 60.2]}
    found = compare(runs(base=BASE, **rows), "base", "validation")
    error = (mean(map(variance, [BASE, *rows.values()])) * 2 / 3) ** 0.5
    for low, high in (each.interval for each in found.values()):
        assert (high - low) / 2 / error == pytest.approx(2.88, abs=0.01), "three rows, 8 degrees of freedom, 5 %"
    assert found == compare(runs(base=BASE, **rows), "base", "validation"), "the same numbers each time"


def test_the_spread_is_that_of_all_rows_together():
    other = [61.1, 62.1, 61.6]
    rows = {f"row {n}": [60.2 + n / 50, 60.8, 60.5] for n in range(10)}
    one = compare(runs(base=BASE, other=other), "base", "validation")["other"]
    among_many = compare(runs(base=BASE, other=other, **rows), "base", "validation")
    assert one.verdict == UNDECIDED, "six runs tell little of it"
    assert among_many["other"].verdict == "better", "36 runs spread less, and show it"
    assert {name for name, each in among_many.items() if each.verdict != UNDECIDED} == {"other"}


def test_worse_is_the_reverse_of_better():
    found = compare(runs(base=[62.1, 63.0, 62.5], other=BASE), "base", "validation")["other"]
    assert (found.verdict, found.interval[1] < 0) == ("worse", True)


def test_the_f1_of_a_class_is_compared_where_asked():
    @dataclass
    class WithClass(Score):
        def score(self, part, of_class=""):
            return 100 - self.accuracy if of_class == "macro avg" else super().score(part)

    rows = {
        name: [WithClass(n, v) for n, v in enumerate(of)]
        for name, of in {"base": BASE, "other": [62, 63, 62.5]}.items()
    }
    accuracy, f1 = (compare(rows, "base", "validation", of_class)["other"] for of_class in ("", "macro avg"))
    assert (accuracy.verdict, f1.verdict) == ("better", "worse")
    assert f1.mean == pytest.approx(-accuracy.mean)


@pytest.mark.parametrize(
    ("base", "other"),
    [
        pytest.param(BASE, [64.0, 65.0], id="a seed is missing"),
        pytest.param([60.0], [64.0, 65.0, 64.5], id="one run to hold it against"),
        pytest.param([60.0] * 3, [60.02] * 3, id="no spread at all"),
    ],
)
def test_a_row_that_cannot_be_tested_has_its_difference_alone(base, other):
    found = compare(runs(base=base, other=other), "base", "validation")["other"]
    shared = min(len(base), len(other))
    assert found.mean == pytest.approx(mean(other[:shared]) - mean(base[:shared]))
    assert (found.interval, found.verdict) == (None, UNDECIDED)


def test_seeds_that_the_first_row_lacks_do_not_count():
    other = [61.5, 63.0, 62.6]
    shared = compare(runs(base=BASE, other=other), "base", "validation")["other"]
    assert compare(runs(base=BASE, other=[*other, 99.0]), "base", "validation")["other"] == shared


def test_a_row_without_a_common_seed_or_that_part_is_left_out():
    found = runs(base=BASE, other=[61.0])
    found["apart"] = [Score(7, 61.0)]
    assert compare(found, "base", "validation").keys() == {"other"}
    assert compare(found, "base", "test") == {}
