"""A model and a split to numbers."""

from ferkit.evaluation.metrics import Evaluation, Metrics, evaluate_predictions, metrics_of, wilson_interval
from ferkit.evaluation.score import network_input, predict

__all__ = [
    "Evaluation",
    "Metrics",
    "evaluate_predictions",
    "metrics_of",
    "network_input",
    "predict",
    "wilson_interval",
]
