"""Our own network for recognition: small enough to ship, quick on one processor core.

Residual blocks of two 3 x 3 convolutions in four stages that halve the picture: 24, 12, 6 and 3 pixels a side.

Where the time goes decided the rest: on one core a convolution of one plane at full size takes as long as three of 32
planes at half of it, so the stem halves the picture at once, and what is a mean and a 1 x 1 convolution on paper is one
2 x 2 convolution here (:class:`ferkit.models.one_plane.PooledConv`). ``stem="full"`` is the stem of the first network
that was shipped; ``blur=True`` halves by anti-aliased pooling (Zhang, 2019, https://arxiv.org/abs/1904.11486).
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ferkit.models.one_plane import Block, Depths, OnePlane, conv_norm, opening, shortcut, widened
from ferkit.models.registry import register

Stem = tuple[tuple[int, int, int], ...]
"""Kernel, stride and width of each convolution before the first block."""

STEMS: dict[str, Stem] = {"strided": ((5, 2, 32),), "full": ((3, 1, 24), (3, 2, 32))}
WIDTHS = (32, 64, 128, 256)


def block(c_in: int, c_out: int, *, halve: bool, bottleneck: float, blur: bool) -> Block:
    """Return a block of two convolutions, with ``bottleneck`` times ``c_out`` channels between them."""
    (inner,) = widened((c_out,), bottleneck)
    body = nn.Sequential(*opening(c_in, inner, halve=halve, blur=blur), *conv_norm(inner, c_out, 3, 1))
    return Block(body, shortcut(c_in, c_out, halve=halve))


@register
def compact(
    *,
    width: Annotated[float, Field(gt=0, le=8)] = 1.0,
    depths: Depths = (1, 2, 2, 1),
    bottleneck: Annotated[float, Field(gt=0, le=1)] = 1.0,
    stem: Literal["strided", "full"] = "strided",
    blur: bool = False,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
) -> nn.Module:
    """Small residual network for recognition, made to be shipped."""
    layers: list[nn.Module] = []
    c_in = 1
    for kernel, stride, channels in STEMS[stem]:
        (c_out,) = widened((channels,), width)
        layers += [*conv_norm(c_in, c_out, kernel, stride), nn.ReLU()]
        c_in = c_out
    for stage, (c_out, depth) in enumerate(zip(widened(WIDTHS, width), depths, strict=True)):
        for number in range(depth):
            layers.append(block(c_in, c_out, halve=stage > 0 and number == 0, bottleneck=bottleneck, blur=blur))
            c_in = c_out
    return OnePlane(layers, c_in, dropout)
