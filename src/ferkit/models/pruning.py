"""Leaves out of a trained network the channels that bring least, so that a narrower one begins with the rest.

Structured pruning: whole channels between the two convolutions of a residual block, which nothing outside the block
sees. A channel counts for what it is expected to bring to the block's output: the mean square of its activation,
which batch norm's own weights tell where its input is normal, times the weights that read it (after Li et al., 2017,
https://arxiv.org/abs/1608.08710, who count weights alone).
"""

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ferkit.models.one_plane import Block


def pruned(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return ``weights`` of a network as ``model`` takes them, whose blocks are narrower inside.

    Blocks as wide as the model's stay as they are, and so does everything else, fitting or not.

    Args:
        weights: A ``state_dict``; unchanged.
        model: On any device, ``meta`` too; only shapes are read.
    """
    kept = dict(weights)
    for name, block in model.named_modules():
        if isinstance(block, Block):
            kept |= _narrowed(weights, f"{name}.body", block.body)
    return kept


def _narrowed(weights: Mapping[str, Tensor], name: str, body: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a block's two convolutions and the norm between them, where they are to be narrower."""
    layers = {f"{name}.{place}": layer for place, layer in body.named_children() if list(layer.parameters())}
    if [type(layer) for layer in layers.values()] != [nn.Conv2d, nn.BatchNorm2d, nn.Conv2d, nn.BatchNorm2d]:
        return {}
    first, norm, second, after = layers
    needed = {f"{first}.weight", f"{second}.weight"}
    needed |= {f"{one}.{part}" for one in (norm, after) for part in ("weight", "bias", "running_mean", "running_var")}
    width = cast("nn.Conv2d", layers[first]).out_channels
    if not needed <= weights.keys() or len(weights[f"{first}.weight"]) <= width:
        return {}
    eps = cast("nn.BatchNorm2d", layers[after]).eps
    brought = _mean_square(weights[f"{norm}.weight"], weights[f"{norm}.bias"]) * _read(weights, second, after, eps)
    best = brought.topk(width).indices.sort().values
    narrowed = {key: weights[key][best] for key in needed if key.startswith((f"{first}.", f"{norm}."))}
    return {**narrowed, f"{second}.weight": weights[f"{second}.weight"][:, best]}


def _mean_square(scale: Tensor, shift: Tensor) -> Tensor:
    """Return the mean of the square of max(0, z) for normal z of mean ``shift`` and deviation ``scale``, ``(C,)``."""
    scale, shift = scale.double().abs().clamp_min(1e-12), shift.double()
    ratio = shift / scale
    density = torch.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    square: Tensor = (shift**2 + scale**2) * torch.special.ndtr(ratio) + shift * scale * density
    return square


def _read(weights: Mapping[str, Tensor], convolution: str, norm: str, eps: float) -> Tensor:
    """Return the sum of squares of the weights that read each channel, after the norm behind them, ``(C,)``."""
    gain = weights[f"{norm}.weight"].double() / (weights[f"{norm}.running_var"].double() + eps).sqrt()
    read = weights[f"{convolution}.weight"].double() * gain[:, None, None, None]
    return read.square().sum((0, 2, 3))
