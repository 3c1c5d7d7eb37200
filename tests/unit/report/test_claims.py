"""What runs say of a conclusion: supported, not supported, or not decidable."""

from dataclasses import dataclass, replace

import pytest

from ferkit.experiments import TABLES
from ferkit.report.claims import MARGIN, decide
from ferkit.report.table import Claim, Row, Table
from ferkit.training.recipe import Recipe

RECIPE = Recipe(model="layers")
ROWS = tuple(
    Row(slug=slug, label=slug, recipe=replace(RECIPE, lr=rate), accuracy=60.0, loss=1.0)
    for slug, rate in (("a", 0.1), ("b", 0.2), ("c", 0.3))
)
TABLE = Table(name="x", title="X", source="x", unclear=(), rows=ROWS)
HIGHER = Claim(text="A is better than B.", pairs=(("a", "b"),))


@dataclass
class Score:
    """A run with an accuracy, and its double as the F1 of every class."""

    seed: int
    accuracy: float
    conditions: tuple[str, str] = ("a machine", "bf16")

    def score(self, part, of_class):
        return 2 * self.accuracy if of_class else self.accuracy


def runs(**accuracies):
    return {slug: [Score(seed, value) for seed, value in enumerate(values)] for slug, values in accuracies.items()}


def verdict(claim, **accuracies):
    return decide(claim, TABLE, runs(**accuracies)).verdict


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([62, 63, 64], [60, 61, 62.1], "supported", id="always about two points better"),
        pytest.param([60, 61, 62.1], [62, 63, 64], "not supported", id="always about two points worse"),
        pytest.param([62, 60, 61], [60, 62, 61], "not decidable with these runs", id="now better, now worse"),
        pytest.param([62], [60], "not decidable with these runs", id="one seed"),
        pytest.param([], [60], "not decidable with these runs", id="no run"),
    ],
)
def test_a_difference_is_tested_against_its_spread(a, b, expected):
    assert verdict(HIGHER, a=a, b=b) == expected


@pytest.mark.parametrize("lower", [60.0, 60.003], ids=["equal differences", "a tenth of a face apart"])
def test_two_seeds_that_happen_to_differ_by_as_much_prove_nothing(lower):
    decision = decide(HIGHER, TABLE, runs(a=[60.1, 61.1], b=[lower, 61.0]))
    assert decision.verdict == "not decidable with these runs"
    assert verdict(HIGHER, a=[62, 63], b=[60, 61]) == "supported", "two points are more than chance"


def test_the_test_is_students_over_the_differences_of_equal_seeds():
    from scipy.stats import ttest_rel

    a, b = [62.0, 63.5, 61.0, 64.0], [61.0, 61.5, 60.5, 61.0]
    low, high = ttest_rel(a, b).confidence_interval(0.95)
    why = decide(HIGHER, TABLE, runs(a=a, b=b)).why
    assert f"over 4 seeds, 95 % interval {low:+.1f} to {high:+.1f}" in why


def test_only_seeds_that_both_rows_have_are_compared():
    found = {"a": [Score(0, 70.0), Score(7, 90.0)], "b": [Score(0, 60.0), Score(8, 10.0)]}
    assert "+10.0 points over 1 seed," in decide(HIGHER, TABLE, found).why


def test_only_seeds_that_every_row_of_the_claim_has_are_compared():
    claim = Claim(text="A is the best.", pairs=(("a", "b"), ("a", "c")), kind="each")
    found = runs(a=[62, 63, 64], b=[60, 61, 62.1], c=[50, 51])
    assert "over 2 seeds" in decide(claim, TABLE, found).why


@pytest.mark.parametrize(
    ("middle", "expected"), [(1.20, "not decidable with these runs"), (1.28, "supported")], ids=["-0.04", "+0.04"]
)
def test_a_difference_is_one_where_its_interval_leaves_out_nought(middle, expected):
    spread = 0.5  # whose interval reaches 1.242 to either side, with three seeds
    a = [60 + middle - spread, 61 + middle, 62 + middle + spread]
    assert verdict(HIGHER, a=a, b=[60, 61, 62]) == expected


def test_better_in_each_pair_looks_at_the_smallest_difference():
    claim = Claim(text="A is the best.", pairs=(("a", "b"), ("a", "c")), kind="each")
    assert verdict(claim, a=[62, 63, 64], b=[60, 61, 62.1], c=[50, 51, 52]) == "supported"
    assert verdict(claim, a=[62, 63, 64], b=[50, 51, 52], c=[64, 65, 66.1]) == "not supported"


def test_a_supported_claim_tells_its_smallest_difference_and_one_of_none_its_margin():
    each = Claim(text="A is the best.", pairs=(("a", "b"), ("a", "c")), kind="each")
    why = decide(each, TABLE, runs(a=[62, 63, 64], b=[60, 61, 62.1], c=[50, 51, 52])).why
    assert why.startswith("smallest difference +2.0 points over 3 seeds")
    assert "within" not in why
    none = replace(each, kind="none")
    why = decide(none, TABLE, runs(a=[60, 61, 62], b=[60.1, 61, 62], c=[60, 61.1, 62])).why
    assert why.endswith(f"within ±{MARGIN} points")


def test_the_best_is_the_best_though_now_another_now_that_row_came_near_it():
    claim = Claim(text="A is the best.", pairs=(("a", "b"), ("a", "c"), ("a", "d")), kind="each")
    best = [62.0, 62.2, 61.9, 62.1]
    others = {"b": [62.1, 61.0, 60.9, 61.0], "c": [61.0, 62.3, 60.9, 61.1], "d": [61.1, 61.0, 62.0, 61.0]}
    assert verdict(claim, a=best, **others) == "not decidable with these runs"  # the least of each seed is below 0


def test_one_pair_of_many_must_be_clearer_than_one_alone_to_speak_against_a_claim():
    pairs = tuple(("a", name) for name in "bcdef")
    a, b = [60.0, 60.0, 60.0], [61.0, 61.5, 62.0]
    same = {name: [60.0, 60.1, 59.9] for name in "cdef"}
    for kind in ("each", "none"):
        assert verdict(Claim(text="", pairs=pairs[:1], kind=kind), a=a, b=b) == "not supported"
        assert verdict(Claim(text="", pairs=pairs, kind=kind), a=a, b=b, **same) == "not decidable with these runs"


def test_effects_that_cancel_each_other_are_effects():
    claim = Claim(text="No relation.", pairs=(("a", "b"), ("c", "d")), kind="none")
    found = {"a": [64, 65, 66.1], "b": [60, 61, 62], "c": [60, 61, 62.1], "d": [64, 65, 66]}
    assert verdict(claim, **found) == "not supported"


def test_better_on_average_looks_at_the_mean_of_the_pairs():
    claim = Claim(text="A is better.", pairs=(("a", "b"), ("a", "c")))
    assert verdict(claim, a=[62, 63, 64], b=[50, 51, 52.1], c=[64, 65, 66]) == "supported"


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        pytest.param(0.0, "supported", id="none"),
        pytest.param(MARGIN - 0.5, "supported", id="less than the margin"),
        pytest.param(MARGIN + 0.5, "not supported", id="more than the margin"),
    ],
)
def test_no_difference_means_one_within_the_margin(shift, expected):
    claim = Claim(text="A is as good as B.", pairs=(("a", "b"),), kind="none")
    assert verdict(claim, a=[60 + shift, 61 + shift, 62.1 + shift], b=[60, 61, 62]) == expected


def test_a_clear_difference_within_the_margin_does_not_speak_against_none():
    claim = Claim(text="No relation.", pairs=(("a", "b"), ("a", "c")), kind="none")
    a, near = [60.0, 60.0, 60.0], [59.7, 59.68, 59.66]
    assert verdict(claim, a=a, b=near, c=[59.9, 59.88, 59.89]) == "supported"
    assert verdict(claim, a=a, b=near, c=[62.0, 59.0, 57.5]) == "not decidable with these runs"


def test_no_difference_is_not_decided_by_a_wide_spread():
    claim = Claim(text="A is as good as B.", pairs=(("a", "b"),), kind="none")
    assert verdict(claim, a=[60, 64, 62], b=[62, 61, 62]) == "not decidable with these runs"


def test_two_names_of_one_setting_need_no_run():
    claim = TABLES["table-4"].claims[0]
    decision = decide(claim, TABLES["table-4"], {})
    assert decision.verdict == "not supported"
    assert "the same function" in decision.why


def test_a_class_stands_for_its_f1():
    claim = Claim(text="Happy beats the accuracy.", pairs=(("a:happy", "a"),))
    assert "+60.0 points" in decide(claim, TABLE, runs(a=[60])).why


def test_a_claim_about_a_row_that_is_not_there_is_a_bug():
    claims = (Claim(text="A is better than D.", pairs=(("a", "d"),)),)
    with pytest.raises(RuntimeError, match=r"rows that are not there: \['d'\]"):
        replace(TABLE, claims=claims)


def test_the_sentence_tells_the_pair_that_decided():
    pairs = (("a", "b"), ("a", "c"))
    a, noisy = [60.0, 60.0, 60.0], [57.5, 60.5, 63.5]
    for kind, more in (("each", 0), ("none", 2)):
        steady = [60.3 + more, 60.4 + more, 60.5 + more]
        why = decide(Claim(text="", pairs=pairs, kind=kind), TABLE, runs(a=a, b=noisy, c=steady))
        told = f"difference {-0.4 - more:.1f} points over 3 seeds, 95 % interval {-0.6 - more:.1f} to {-0.2 - more:.1f}"
        assert (why.verdict, why.why.partition(" ")[2]) == ("not supported", told)
    best = decide(
        Claim(text="", pairs=pairs, kind="each"), TABLE, runs(a=a, b=[56.4, 59.4, 62.4], c=[59.7, 59.6, 59.5])
    )
    assert best.verdict == "not decidable with these runs"
    assert best.why.startswith("one difference +0.6 points over 3 seeds, 95 % interval -6.9 to")


def test_what_is_clear_but_not_for_one_of_many_pairs_says_so():
    pairs = tuple(("a", name) for name in "bcdef")
    same = {name: [60.0, 60.1, 59.9] for name in "cdef"}
    found = decide(Claim(text="", pairs=pairs, kind="none"), TABLE, runs(a=[60.0] * 3, b=[61.0, 61.5, 62.0], **same))
    assert found.verdict == "not decidable with these runs"
    assert found.why.endswith("95 % interval -2.7 to -0.3, too little against it for one of 5 pairs")


def test_pairs_of_the_same_runs_under_two_names_are_one_pair():
    table = replace(TABLE, rows=(*ROWS, replace(ROWS[0], slug="d"), replace(ROWS[1], slug="e")))
    found = runs(a=[60.0] * 3, b=[61.0, 61.5, 62.0], d=[60.0] * 3, e=[61.0, 61.5, 62.0])
    for pairs in ((("a", "b"),), (("a", "b"), ("d", "e"))):
        assert decide(Claim(text="", pairs=pairs, kind="each"), table, found).verdict == "not supported"


def test_pairs_that_differ_in_device_or_precision_are_counted():
    found = runs(a=[62, 63, 64], b=[60, 61, 62])
    assert "pairs of runs" not in decide(HIGHER, TABLE, found).why
    found["a"][1] = Score(1, 63, ("a machine", "float32"))
    assert decide(HIGHER, TABLE, found).why.endswith("; 1 of 3 pairs of runs differ in device or precision too")
    del found["b"][1]  # a seed that is not compared does not count
    assert "pairs of runs" not in decide(HIGHER, TABLE, found).why


@pytest.mark.parametrize("name", ["table-1", "table-3"])
def test_what_rises_and_falls_does_not_rise_at_each_step(name):
    """The mean over neighbours is the difference of the ends: it hides a valley between them."""
    for claim in TABLES[name].claims:
        if "at each step" in claim.text:
            highest = [b for a, b in claim.pairs if b not in {a for a, _ in claim.pairs}]
            order = [a for a, _ in claim.pairs]
            scores = {slug: [60.0 - 5 * k, 60.2 - 5 * k, 60.1 - 5 * k] for k, slug in enumerate([*highest, *order])}
            assert decide(claim, TABLES[name], runs(**scores)).verdict == "not supported"
