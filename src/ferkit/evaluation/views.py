"""Several views of each face, and what a network says of them all: test-time augmentation.

Letters: N faces, H height, W width, K classes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ferkit.errors import UnknownNameError
from ferkit.evaluation.score import predict

VIEWS = {
    "mirror": "the mirror image",
    "shifts": "moved two pixels up, down, left and right, the edge going on",
}
"""Name to what it adds; ``mirror`` mirrors moved faces too."""

SHIFT = 2
"""Pixels."""


def check_views(views: Sequence[str]) -> None:
    """Raise an UnknownNameError unless every one of ``views`` is one of :data:`VIEWS`."""
    for name in views:
        if name not in VIEWS:
            raise UnknownNameError("view", name, VIEWS)


def predict_views(
    model: nn.Module, images: NDArray[np.uint8], views: Sequence[str] = (), device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Return log-probabilities ``(N, K)``: of the mean of the probabilities over every view.

    Args:
        model: Left in evaluation mode.
        images: ``(N, H, W)`` uint8, N at least 1.
        views: Names of :data:`VIEWS`; the face as it is is always one.
        device: Where the model is.

    Raises:
        UnknownNameError: There is no such view.
    """
    check_views(views)
    return mean_of([predict(model, seen, device) for seen in _seen(images, views)])


def mean_of(log_probs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the logarithm of the mean of probabilities that are given as logarithms, each ``(N, K)``."""
    together: NDArray[np.float32] = np.logaddexp.reduce(np.stack(log_probs), axis=0) - np.float32(
        np.log(len(log_probs))
    )
    return together


def _seen(images: NDArray[np.uint8], views: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    for moved in _moved(images) if "shifts" in views else [images]:
        yield moved
        if "mirror" in views:
            yield np.ascontiguousarray(moved[:, :, ::-1])


def _moved(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    yield images
    height, width = images.shape[1:]
    wide = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    for top, left in ((0, SHIFT), (2 * SHIFT, SHIFT), (SHIFT, 0), (SHIFT, 2 * SHIFT)):
        yield wide[:, top : top + height, left : left + width]
