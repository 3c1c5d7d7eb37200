"""How grey levels become the input of a network: in training, evaluation and, inside the exported file, recognition."""

from typing import TypeVar

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
