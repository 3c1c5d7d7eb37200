"""What a network costs, counted without computing it.

Counted is what PyTorch counts: convolutions and matrix products, which is all but everything; a multiplication with its
addition is two operations.
"""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from ferkit.data.faces import SIDE
from ferkit.inference.preprocess import CHANNELS
from ferkit.models.registry import build_model


def forward_flops(name: str, **options: object) -> int:
    """Return the floating-point operations of a forward pass over one face.

    Args:
        name: One of :func:`ferkit.models.model_names`.
        options: Of the network; numbers, words, and lists or tuples of them.

    Raises:
        UnknownNameError: There is no such model, or it has no such option.
        RecipeError: An option has a value the model cannot take.

    Example:
        >>> forward_flops("layers", depth=4)
        11612608
    """
    return _count(name, _hashable(options), training=False)


def training_flops(name: str, **options: object) -> int:
    """Return the floating-point operations of the forward and backward pass of one face.

    Arguments and errors as :func:`forward_flops`.

    Example:
        >>> training_flops("model3") / training_flops("layers", depth=4) > 100
        True
    """
    return _count(name, _hashable(options), training=True)


def _hashable(options: dict[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in options.items()))


@cache
def _count(name: str, options: tuple[tuple[str, object], ...], *, training: bool) -> int:
    faces = 2  # as batch norm needs
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        said = build_model(name, **dict(options))(torch.empty(faces, CHANNELS, SIDE, SIDE))
        if training:
            said.sum().backward()
    return int(counter.get_total_flops()) // faces
