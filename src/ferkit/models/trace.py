"""What a network does, layer by layer, seen in one forward pass: nothing here knows any one architecture.

Shape letters: B batch, C channels, H height, W width.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ferkit.data.faces import SIDE
from ferkit.inference.preprocess import CHANNELS

INPUT = (CHANNELS, SIDE, SIDE)
"""Shape of an image as the networks take it."""

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish)
"""Layers whose output is an activated map."""

_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)  # layers that slide a window over the map


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the image the cells of a map look: cell n at pixel ``first + n * step``, along both sides."""

    first: float
    step: float

    def through(self, layer: nn.Module) -> "Place | None":
        """Return the place of what ``layer`` makes of this map; ``None`` where the two sides differ."""
        if not isinstance(layer, _WINDOWS):
            return self
        kernel, stride, dilation = (_side(getattr(layer, name, 1)) for name in ("kernel_size", "stride", "dilation"))
        if kernel is None or stride is None or dilation is None:
            return None
        reach = (kernel - 1) * dilation
        named = {"same": reach / 2, "valid": 0.0}
        padding = named[layer.padding] if isinstance(layer.padding, str) else _side(layer.padding)
        if padding is None:
            return None
        return Place(self.first + (reach / 2 - padding) * self.step, self.step * stride)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer as it was called in a forward pass.

    Attributes:
        name: Where it stands in the network, for instance ``features.0``.
        module: The layer.
        source: Position, in the trace, of the layer whose output it was given; -1 for the image, ``None`` where a
            function in between made its input, such as a sum.
        output: What it returned, ``(B, ...)``.
        place: Where on the image the cells of its output look; ``None`` where that cannot be told.
    """

    name: str
    module: nn.Module
    source: int | None
    output: Tensor
    place: Place | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output of one image."""
        return tuple(self.output.shape[1:])


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution of a network.

    Attributes:
        number: Its position among the convolutions, in the order they are called, from 1.
        layer: The convolution.
        activated: The activation between it and the next convolution; the convolution where there is none. Where
            branches meet, the activation of their sum is that of the last convolution before it.
    """

    number: int
    layer: Layer
    activated: Layer

    @property
    def name(self) -> str:
        """As printed, for instance ``convolution 2``."""
        return f"convolution {self.number}"

    @property
    def is_map(self) -> bool:
        """Whether its output is more than one cell a channel, so that it has places."""
        return self.layer.shape[1:] != (1, 1)


@torch.inference_mode()
def trace(model: nn.Module, x_B3HW: Tensor | None = None) -> list[Layer]:
    """Return the innermost layers of ``model`` in the order they are called; it is left in evaluation mode.

    Args:
        model: Takes images ``(B, 3, 48, 48)``.
        x_B3HW: What to pass through; one black image if left out.
    """
    model.eval()
    x_B3HW = torch.zeros(1, *INPUT) if x_B3HW is None else x_B3HW
    layers: list[Layer] = []
    places: dict[int, Place | None] = {id(x_B3HW): Place(0.0, 1.0)}  # of tensors, which `layers` keeps alive
    sources = {id(x_B3HW): -1}

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def see(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            before = places.get(id(inputs[0]))
            slides = isinstance(module, _WINDOWS) or inputs[0].shape == output.shape
            place = before.through(module) if before and slides else None
            layers.append(Layer(name, module, sources.get(id(inputs[0])), output, place))
            places[id(output)], sources[id(output)] = place, len(layers) - 1

        return module.register_forward_hook(see)

    innermost = [(name, module) for name, module in model.named_modules() if not any(module.children())]
    handles = [watch(name, module) for name, module in innermost]
    try:
        model(x_B3HW)
    finally:
        for handle in handles:
            handle.remove()
    return layers


def convolutions(layers: list[Layer]) -> list[Convolution]:
    """Return the convolutions among the layers of :func:`trace`, each with its activation."""
    calls = Counter(layer.module for layer in layers)
    starts = [n for n, layer in enumerate(layers) if isinstance(layer.module, nn.Conv2d)]
    found = []
    for number, (start, end) in enumerate(pairwise([*starts, len(layers)]), 1):
        first = layers[start]
        # An activation that serves several convolutions, or stands behind a linear layer, is not this one's own.
        own = (a for a in layers[start:end] if isinstance(a.module, ACTIVATIONS) and calls[a.module] == 1)
        activated = next((layer for layer in own if len(layer.shape) == len(first.shape)), first)
        found.append(Convolution(number, first, activated))
    return found


def layer_table(model: nn.Module) -> str:
    """Return the table of the report's Figures 9 to 11: every layer, its output and its parameters."""
    from torchinfo import summary

    table = summary(
        model,
        (1, *INPUT),
        col_names=("output_size", "num_params"),
        col_width=20,  # 80 columns in all
        row_settings=("var_names",),
        depth=2,
        device="cpu",
        verbose=0,
    )
    return re.sub(r"Units\.(.)[A-Z]+", r"\1", str(table))  # G and M, which Python 3.11 no longer prints by itself


def _side(value: int | tuple[int, ...]) -> int | None:
    """Return the one value of both sides; ``None`` where they differ."""
    values = {value} if isinstance(value, int) else set(value)
    return values.pop() if len(values) == 1 else None
