"""Calibration: temperature, error and the accuracy of the most confident, against numbers worked out by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from ferkit.evaluation.calibration import COVERAGES, accuracy_at, calibration_error, fit_temperature


def honest_scores(n=20_000, seed=0):
    """Return logits ``(N, 7)`` and labels that are drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 7))
    return logits, (softmax(logits, axis=1).cumsum(1) < rng.random((n, 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
def test_the_temperature_undoes_what_made_scores_too_sure(temperature):
    logits, labels = honest_scores()
    told = log_softmax(logits * temperature, axis=1).astype(np.float32)
    found = fit_temperature(told, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    mended = softmax(told / found, axis=1)
    assert calibration_error(mended, labels) < 0.02
    if temperature == 3:
        assert calibration_error(np.exp(told), labels) > 0.2


def test_shares_fit_the_temperature_as_labels_do():
    logits, labels = honest_scores()
    told = log_softmax(logits * 2, axis=1).astype(np.float32)
    assert fit_temperature(told, np.eye(7)[labels]) == pytest.approx(fit_temperature(told, labels), rel=1e-6)
    assert fit_temperature(told, softmax(logits, axis=1)) == pytest.approx(2, rel=0.001)  # what labels are drawn from


@pytest.mark.parametrize(("faces", "least", "most"), [(1, 0.8, 1.0), (6, 0.6, 0.8), (400, 0.2, 0.5)])
def test_no_great_sureness_follows_from_a_handful_of_faces(faces, least, most):
    told = np.tile(log_softmax(np.array([3.0, 0, 0, 0, 0, 0, 0])), (faces, 1)).astype(np.float32)
    assert least <= fit_temperature(told, np.zeros(faces, np.int64)) <= most


def test_the_error_is_the_gap_of_each_bin_weighted_by_its_faces():
    confidence = np.array([0.55, 0.55, 0.9, 0.9, 0.9, 0.9, 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 0, 0, 1, 0])
    expected = (2 * abs(0.5 - 0.55) + 4 * abs(0.75 - 0.9) + 1 * 0) / 7
    assert calibration_error(probabilities, labels) == pytest.approx(expected)
    gaps_that_cancel = abs((3 / 6) - (2 * 0.55 + 4 * 0.9) / 6)
    assert calibration_error(probabilities[:6], labels[:6], bins=1) == pytest.approx(abs(4 / 6 - 4.7 / 6))
    assert calibration_error(probabilities[:6], labels[:6]) != pytest.approx(gaps_that_cancel)


def test_with_shares_confidence_is_compared_with_that_of_the_likeliest_class():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7]])
    shares = np.array([[0.6, 0.4], [0.1, 0.9]])
    assert calibration_error(probabilities, shares) == pytest.approx((0.3 + 0.2) / 2)
    labels = np.array([0, 0])
    assert calibration_error(probabilities, np.eye(2)[labels]) == calibration_error(probabilities, labels)


def test_a_confidence_of_one_is_in_the_last_bin():
    probabilities = np.array([[0.0, 1.0], [0.9, 0.1]])  # wrong, and right: the gaps of one bin cancel
    assert calibration_error(probabilities, np.array([0, 0]), bins=3) == pytest.approx(0.9 / 2)


def test_the_most_confident_are_answered_first():
    confidence = np.array([0.9, 0.6, 0.8, 0.7, 0.95])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 1, 0])
    assert [accuracy_at(share, probabilities, labels) for share in (1.0, 0.8, 0.6)] == [0.6, 0.75, 1.0]
    assert accuracy_at(0.01, probabilities, np.array([1, 0, 0, 0, 0])) == 1.0  # one face is kept
    assert COVERAGES == (1.0, 0.8, 0.6)  # what model cards have
