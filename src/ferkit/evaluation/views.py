"""What a network says of several views of each face together.

Letters: N faces, H height, W width, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ferkit.evaluation.score import predict
from ferkit.inference.views import check_views, views_of


def predict_views(
    model: nn.Module, images: NDArray[np.uint8], views: Sequence[str] = (), device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Return log-probabilities ``(N, K)``: of the mean of the probabilities over every view.

    Args:
        model: Left in evaluation mode.
        images: ``(N, H, W)`` uint8, N at least 1.
        views: Names of :data:`ferkit.inference.views.VIEWS`; the face as it is is always one.
        device: Where the model is.

    Raises:
        UnknownNameError: There is no such view.
    """
    check_views(views)
    return mean_of([predict(model, seen, device) for seen in views_of(images, views)])


def mean_of(log_probs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the logarithm of the mean of probabilities that are given as logarithms, each ``(N, K)``."""
    together: NDArray[np.float32] = np.logaddexp.reduce(np.stack(log_probs), axis=0) - np.float32(
        np.log(len(log_probs))
    )
    return together
