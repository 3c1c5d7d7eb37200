"""Gives a trained network more channels, so that a wider one begins as the same function.

Channels are repeated, and what reads a repeated channel reads each copy in part, the parts adding up to one (Net2Net:
Chen et al., 2016, https://arxiv.org/abs/1511.05641). The parts are drawn by chance, for each reader anew: with equal
ones the copies would get equal gradients and stay copies.

Shape letters: O channels written, I channels read.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def widened(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return ``weights`` of a network as ``model`` takes them, whose layers have as many channels or more.

    Weights of the model's shape stay as they are, and so do those that are larger or of another kind, which do not fit.
    Where layer norm averages over channels the function stays the same only if each is repeated as often.

    Args:
        weights: A ``state_dict``; unchanged.
        model: On any device, ``meta`` too; only shapes are read.
    """
    draws = torch.Generator().manual_seed(0)
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    return {name: _repeated(value, wanted.get(name, value.shape), draws) for name, value in weights.items()}


def _repeated(value: Tensor, shape: torch.Size, draws: torch.Generator) -> Tensor:
    """Return one weight with its channels, ``(O, ...)`` or ``(O, I, ...)``, repeated to ``shape``."""
    fits = value.ndim == len(shape) and value.shape[2:] == shape[2:]
    if not fits or any(narrow > wide for narrow, wide in zip(value.shape, shape, strict=True)):
        return value
    if value.shape[:1] != shape[:1]:
        value = value[torch.arange(shape[0]) % len(value)]
    if value.shape[1:] != shape[1:]:
        source_I = torch.arange(shape[1]) % value.shape[1]
        parts_OI = torch.rand(shape[0], shape[1], generator=draws, dtype=torch.float64) + 1e-3
        whole_OI = torch.zeros(shape[0], value.shape[1], dtype=torch.float64).index_add_(1, source_I, parts_OI)
        share_OI = (parts_OI / whole_OI[:, source_I]).to(value)
        value = value[:, source_I] * share_OI.reshape(*share_OI.shape, *(1 for _ in value.shape[2:]))
    return value
