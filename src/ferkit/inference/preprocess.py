"""From grey crops to network input: the one definition for training, recognition and export."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import DataError

WHITE = 255.0
"""Grey level that becomes 1."""

CHANNELS = 3
"""Input planes of the report's networks (Figures 9 to 11): the grey plane, repeated."""

Array = TypeVar("Array")


def scale(grey: Array) -> Array:
    """Map grey levels 0..255 to [0, 1]; NumPy arrays and torch tensors of float32 alike.

    The report does not say how it scaled its pixels; [0, 1] is our choice.
    """
    return grey / WHITE  # type: ignore[operator, return-value]


def to_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn grey crops into the input of a network.

    Args:
        crops: ``(N, H, W)`` uint8, grey levels 0 to 255.

    Returns:
        ``(N, 3, H, W)`` float32 in [0, 1], the three planes equal.

    Raises:
        DataError: ``crops`` does not have three axes.

    Example:
        >>> to_input(np.zeros((2, 48, 48), np.uint8)).shape
        (2, 3, 48, 48)
    """
    if crops.ndim != 3:
        raise DataError(f"crops must have shape (N, H, W), got {crops.shape}")
    return np.repeat(scale(crops.astype(np.float32))[:, None], CHANNELS, axis=1)
