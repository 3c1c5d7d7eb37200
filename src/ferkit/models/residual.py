"""A residual network for the best accuracy, on a GPU: four stages, the first at the full 48 pixels a side.

Residual blocks of two 3 x 3 convolutions. What may be added, each off or on: squeeze and excitation (Hu et al., 2018,
https://arxiv.org/abs/1709.01507), anti-aliased pooling (Zhang, 2019, https://arxiv.org/abs/1904.11486), stochastic
depth, and faces enlarged before the first layer. The last norm of each block begins at zero, so that the network begins
shallow (Goyal et al., 2017, https://arxiv.org/abs/1706.02677, section 5.1).

Shape letters: B batch, C channels, H height, W width.
"""

from typing import Annotated, cast

import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from ferkit.data.faces import SIDE
from ferkit.models.one_plane import Block, Depths, DropPath, Mean, OnePlane, conv_norm, opening, shortcut, widened
from ferkit.models.registry import register

WIDTHS = (64, 128, 256, 512)

SQUEEZE = 8
"""How many channels come to one inside squeeze and excitation."""


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels are on average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // SQUEEZE)
        self.weigh = nn.Sequential(
            Mean(), nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid()
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, H, W)``."""
        weights_BC: Tensor = self.weigh(x_BCHW)
        return x_BCHW * weights_BC[:, :, None, None]


class Enlarge(nn.Module):
    """Pictures of ``side`` pixels a side, between the pixels there are."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, side, side)``."""
        return F.interpolate(x_BCHW, size=(self.side, self.side), mode="bilinear", align_corners=False)


def block(c_in: int, c_out: int, *, halve: bool, squeeze: bool, blur: bool, drop_path: float) -> Block:
    """Return a block of two convolutions; with ``halve`` height and width are halved."""
    first = opening(c_in, c_out, halve=halve, blur=blur)
    convolution, norm = conv_norm(c_out, c_out, 3, 1)
    nn.init.zeros_(cast("nn.BatchNorm2d", norm).weight)
    extra = [SqueezeExcitation(c_out)] if squeeze else []
    body = nn.Sequential(*first, convolution, norm, *extra, DropPath(drop_path))
    return Block(body, shortcut(c_in, c_out, halve=halve))


@register
def residual(
    *,
    width: Annotated[float, Field(gt=0, le=8)] = 1.0,
    depths: Depths = (2, 2, 2, 2),
    side: Annotated[int, Field(ge=16, le=256, multiple_of=8)] = 48,
    squeeze: bool = False,
    blur: bool = False,
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
) -> nn.Module:
    """Wide residual network at full size, for the best accuracy on a GPU."""
    widths = widened(WIDTHS, width)
    layers: list[nn.Module] = [Enlarge(side)] if side != SIDE else []
    layers += [*conv_norm(1, widths[0], 3, 1), nn.ReLU()]
    c_in, done, last = widths[0], 0, sum(depths) - 1
    for stage, (c_out, depth) in enumerate(zip(widths, depths, strict=True)):
        for number in range(depth):
            share = drop_path * done / last  # none in the first block, all of it in the last
            halve = stage > 0 and number == 0
            layers.append(block(c_in, c_out, halve=halve, squeeze=squeeze, blur=blur, drop_path=share))
            c_in, done = c_out, done + 1
    return OnePlane(layers, c_in, dropout)
