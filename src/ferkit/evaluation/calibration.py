"""How far probabilities can be trusted, and how to mend them with one temperature.

Source: Guo et al., 2017, https://arxiv.org/abs/1706.04599 (temperature scaling, expected calibration error).

Letters: N faces, K classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of the expected calibration error, evenly wide; the number of the paper."""

_SPREAD = 0.5  # of the logarithm of temperatures, before anything is known

COVERAGES = (1.0, 0.8, 0.6)
"""Shares of the faces that are answered, the most confident first."""


def fit_temperature(log_probs: NDArray[np.float32], labels: NDArray[np.int64] | NDArray[np.floating[Any]]) -> float:
    """Return the temperature that makes ``softmax(log_probs / T)`` likeliest, between 0.05 and 20.

    Before a face is seen its logarithm is taken to lie about 0, with a standard deviation of a half: from a handful of
    faces, or from some that are all read right, no sureness follows. With thousands of faces this changes nearly
    nothing.

    Args:
        log_probs: ``(N, K)`` log-probabilities, N at least 1.
        labels: ``(N,)`` true classes, or ``(N, K)`` shares of them, as of votes.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    shares = np.eye(log_probs.shape[1])[labels] if labels.ndim == 1 else labels
    scores = log_probs.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-(shares * scaled).sum() + 0.5 * (log_temperature / _SPREAD) ** 2)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64] | NDArray[np.floating[Any]], bins: int = BINS
) -> float:
    """Return the expected calibration error, 0 to 1: how far confidence and accuracy lie apart, on average.

    Args:
        probabilities: ``(N, K)``.
        labels: ``(N,)`` true classes, or ``(N, K)`` shares of them, as of votes: then how far confidence lies from the
            share of votes for the likeliest class.
        bins: Of confidence, evenly wide.

    Example:
        >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
        0.0
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    likeliest = probabilities.argmax(axis=1)
    right = likeliest == labels if labels.ndim == 1 else labels[np.arange(len(labels)), likeliest]
    number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(number, minlength=bins)
    gaps = np.bincount(number, weights=right, minlength=bins) - np.bincount(number, weights=confidence, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def accuracy_at(coverage: float, probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Return the accuracy on the share ``coverage`` of the faces with the highest confidence.

    Args:
        coverage: Above 0, at most 1; at least one face is kept.
        probabilities: ``(N, K)``.
        labels: ``(N,)`` true classes.
    """
    confidence = probabilities.max(axis=1)
    kept = np.argsort(-confidence, kind="stable")[: max(1, round(coverage * len(labels)))]
    return float((probabilities.argmax(axis=1)[kept] == labels[kept]).mean())
