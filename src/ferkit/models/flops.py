"""What a network costs, counted without computing it."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from ferkit.models.registry import build_model


def forward_flops(name: str, **options: object) -> int:
    """Return the floating-point operations of a forward pass over one face: multiplications and additions.

    Counts what PyTorch counts: convolutions and matrix products, which is all but everything.

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
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return _count(name, tuple(sorted(plain.items())))


@cache
def _count(name: str, options: tuple[tuple[str, object], ...]) -> int:
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        build_model(name, **dict(options)).eval()(torch.empty(1, 3, 48, 48))
    return int(counter.get_total_flops())
