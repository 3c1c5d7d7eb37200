"""A network as a chain of blocks, read off its own layers: what a diagram of it shows.

A block is a layer that changes the shape (convolution, pooling, linear) with what only works on its output (batch norm,
activation, dropout, log-softmax). A layer of a kind that is not known here is a block of its own, under its own name.
A part whose layers do not simply follow each other, as one with a shortcut, is one block: a row cannot show its inside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from torch import nn

from ferkit.models.convnext import ChannelNorm
from ferkit.models.one_plane import Mean
from ferkit.models.trace import ACTIVATIONS, INPUT, Layer, trace

_HEADS: dict[type[nn.Module], str] = {
    nn.Conv2d: "convolution",
    nn.MaxPool2d: "max pooling",
    nn.AvgPool2d: "average pooling",
    nn.AdaptiveAvgPool2d: "average pooling",
    Mean: "mean over the picture",
    nn.AdaptiveMaxPool2d: "max pooling",
    nn.Linear: "linear",
}
_SILENT = (nn.Flatten, nn.Identity)  # change how numbers lie, not the numbers


def _words(name: str) -> Callable[[Any], str]:
    return lambda _module: name


_FOLLOWERS: dict[type[nn.Module], Callable[[Any], str]] = {
    nn.BatchNorm2d: _words("batch norm"),
    nn.BatchNorm1d: _words("batch norm"),
    ChannelNorm: _words("layer norm"),
    nn.Dropout: lambda module: f"dropout {module.p:g}" if module.p else "",
    nn.Dropout2d: lambda module: f"dropout {module.p:g}" if module.p else "",
    nn.LogSoftmax: _words("log-softmax"),
    nn.Softmax: _words("softmax"),
    **{kind: _words(kind.__name__) for kind in ACTIVATIONS},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of a diagram."""

    kind: str
    """Such as ``convolution``; ``input`` for the image."""

    size: str = ""
    """Of the window and how it moves, such as ``3 × 3``; empty where there is none."""

    then: tuple[str, ...] = ()
    """What works on the output, in order, such as ``("batch norm", "ReLU")``."""

    shape: tuple[int, ...]
    """Of the output of one image: ``(C, H, W)`` or ``(features,)``."""


def blocks(model: nn.Module) -> list[Block]:
    """Return the blocks of ``model`` in the order of a forward pass, from the input; it is left in evaluation mode.

    Example:
        >>> from ferkit.models import build_model
        >>> blocks(build_model("model3"))[1]
        Block(kind='convolution', size='3 × 3', then=('ReLU', 'batch norm'), shape=(32, 48, 48))
    """
    layers = trace(model)
    parts = _branching(layers)
    chain: list[tuple[str, str, list[str], tuple[int, ...]]] = [("input", "", [], INPUT)]
    open_part = None
    for layer in layers:
        kind = type(layer.module)
        part = next((part for part in parts if _inside(layer.name, part)), None)
        if part is not None:
            if part == open_part:
                chain.pop()
            inside = [one for one in layers if _inside(one.name, part)]
            number = sum(isinstance(one.module, nn.Conv2d) for one in inside)
            name = f"{type(model.get_submodule(part)).__name__.lower()} of {number} convolutions, branching"
            chain.append((name, "", [], layer.shape))
        elif kind in _FOLLOWERS:
            word = _FOLLOWERS[kind](layer.module)
            chain[-1][2].extend([word] if word else [])
        elif kind not in _SILENT:
            chain.append((_HEADS.get(kind, kind.__name__), _size(layer.module), [], layer.shape))
        open_part = part
    return [Block(kind=kind, size=size, then=tuple(then), shape=shape) for kind, size, then, shape in chain]


def _branching(layers: list[Layer]) -> list[str]:
    """Return the names of the smallest parts that hold a whole branch, none inside another."""
    found = set()
    for n, layer in enumerate(layers):
        if layer.source is not None and layer.source != n - 1:
            pairs = zip(layer.name.split("."), layers[n - 1].name.split("."), strict=False)
            found.add(".".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return [part for part in found if not any(part != other and _inside(part, other) for other in found)]


def _inside(name: str, part: str) -> bool:
    return not part or f"{name}.".startswith(f"{part}.")


def _size(module: nn.Module) -> str:
    """Return the window of a layer, and its stride where it is not the usual one of its kind."""
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return ""
    height, width = _pair(kernel)
    strides = _pair(module.stride)
    usual = (1, 1) if isinstance(module, nn.Conv2d) else (height, width)
    return f"{height} × {width}" + (f", stride {strides[0]}" if strides != usual else "")


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
