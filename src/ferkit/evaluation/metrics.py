"""Predictions to numbers: loss, accuracy with its interval, precision, recall, F1, confusion matrix.

Counting is scikit-learn's, the interval SciPy's. Shares lie in [0, 1]; a precision without predictions counts as 0.

Letters: N faces, K classes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.labels import EXPRESSIONS, NUM_CLASSES

_CLASSES = list(range(NUM_CLASSES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The five numbers of an epoch; precision, recall and F1 are means over the classes (macro)."""

    loss: float
    """Mean negative log-likelihood, in nats."""

    accuracy: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one network does on one set of faces."""

    faces: int
    loss: float
    """Mean negative log-likelihood, in nats."""

    accuracy: float
    interval: tuple[float, float]
    """Wilson interval of the accuracy, 95 %: the sampling of faces alone, not the spread between runs."""

    classes: dict[str, dict[str, float]]
    """Precision, recall, F1 and support of each expression, then ``macro avg`` and ``weighted avg``."""

    confusion: list[list[int]]
    """``K`` rows (true class) of ``K`` counts (predicted class)."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evaluation":
        """Return what :meth:`to_dict` gave, whatever stands beside it."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def to_text(self) -> str:
        """Return the table of the report's Figure 3, with names for the numbers of the classes."""
        lines = [f"{'':>14} {'precision':>9} {'recall':>9} {'f1-score':>9} {'support':>9}", ""]
        for name, row in self.classes.items():
            if name == "macro avg":
                lines += ["", f"{'accuracy':>14} {'':>9} {'':>9} {self.accuracy:9.2f} {self.faces:9d}"]
            numbers = f"{row['precision']:9.2f} {row['recall']:9.2f} {row['f1-score']:9.2f} {row['support']:9.0f}"
            lines.append(f"{name:>14} {numbers}")
        return "\n".join(lines)


def evaluate_predictions(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Evaluation:
    """Compare predictions with labels.

    Args:
        log_probs: ``(N, K)`` log-probabilities, N at least 1.
        labels: ``(N,)`` true classes.
    """
    from sklearn.metrics import classification_report, confusion_matrix

    predicted = log_probs.argmax(axis=1)
    table = classification_report(
        labels, predicted, labels=_CLASSES, target_names=list(EXPRESSIONS), output_dict=True, zero_division=0
    )
    right = int((predicted == labels).sum())
    return Evaluation(
        faces=len(labels),
        loss=float(-log_probs[np.arange(len(labels)), labels].mean(dtype=np.float64)),
        accuracy=right / len(labels),
        interval=wilson_interval(right, len(labels)),
        classes={name: {k: float(v) for k, v in table[name].items()} for name in (*EXPRESSIONS, *_AVERAGES)},
        confusion=confusion_matrix(labels, predicted, labels=_CLASSES).tolist(),
    )


_AVERAGES = ("macro avg", "weighted avg")


def metrics_of(confusion: NDArray[np.int64], loss_sum: float) -> Metrics:
    """Return the metrics of faces that were counted batch by batch.

    Args:
        confusion: ``(K, K)`` counts, rows true, columns predicted; at least one face.
        loss_sum: Sum of the faces' negative log-likelihoods, in nats.
    """
    from sklearn.metrics import precision_recall_fscore_support

    total = int(confusion.sum())
    true, predicted = np.indices(confusion.shape).reshape(2, -1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=_CLASSES, average="macro", sample_weight=confusion.ravel(), zero_division=0
    )
    return Metrics(
        loss=loss_sum / total,
        accuracy=float(np.trace(confusion)) / total,
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
    )


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of ``right`` out of ``total``.

    Example:
        >>> low, high = wilson_interval(2466, 3589)
        >>> f"{low:.3f} {high:.3f}"
        '0.672 0.702'
    """
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
