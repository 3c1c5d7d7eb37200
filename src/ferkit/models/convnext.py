"""A ConvNeXt for small grey faces, to be compared with the residual networks at equal cost.

Source: Liu et al., 2022, https://arxiv.org/abs/2201.03545. A block looks around with a 7 x 7 convolution of each plane
alone, then mixes planes, four times as many in between. Ours differs: one input plane; the first layer takes 2 x 2
pixels, not 4 x 4, as a face has 48 a side; few blocks, so what a block adds begins at a tenth, not a millionth; other
weights begin as PyTorch's layers do, biases at zero.

Shape letters: B batch, C channels, H height, W width.
"""

from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from ferkit.models.one_plane import Depths, DropPath, OnePlane, widened
from ferkit.models.registry import register

WIDTHS = (32, 64, 128, 256)
PATCH = 2
AROUND = 7
EXPANDED = 4
LAYER_SCALE = 0.1
"""What the output of a block is multiplied with, for each channel, before training."""

MIDDLE, SPREAD = 0.5, 0.25
"""Of grey levels in [0, 1]: about the mean and standard deviation of faces. Layer norm looks at each pixel alone, and
where all are far from zero they look alike to it: with [0, 1] as it is, the network does not learn."""


class Centred(nn.Module):
    """Moves grey levels to a mean of about 0, a deviation of about 1; batch norm does that for the other networks."""

    def forward(self, x_B1HW: Tensor) -> Tensor:
        """Return ``(B, 1, H, W)`` for grey levels in [0, 1]."""
        return (x_B1HW - MIDDLE) / SPREAD


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, H, W)``."""
        x_BHWC = F.layer_norm(x_BCHW.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x_BHWC.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A block: what it finds is added to its input."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        inner = EXPANDED * channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, AROUND, padding=AROUND // 2, groups=channels),
            ChannelNorm(channels, eps=1e-6),
            nn.Conv2d(channels, inner, 1),
            nn.GELU(),
            nn.Conv2d(inner, channels, 1),
        )
        self.scale = nn.Parameter(torch.full((channels, 1, 1), LAYER_SCALE))
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, H, W)``."""
        y_BCHW: Tensor = x_BCHW + self.drop_path(self.scale * self.body(x_BCHW))
        return y_BCHW


@register
def convnext(
    *,
    width: Annotated[float, Field(gt=0, le=8)] = 1.0,
    depths: Depths = (2, 2, 6, 2),
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
) -> nn.Module:
    """ConvNeXt in four stages of 24, 12, 6 and 3 pixels a side."""
    widths = widened(WIDTHS, width)
    layers: list[nn.Module] = [Centred(), nn.Conv2d(1, widths[0], PATCH, PATCH), ChannelNorm(widths[0], eps=1e-6)]
    c_in, number, last = widths[0], 0, sum(depths) - 1
    for stage, (c_out, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage > 0:
            layers += [ChannelNorm(c_in, eps=1e-6), nn.Conv2d(c_in, c_out, 2, 2)]
        layers += [ConvNeXtBlock(c_out, drop_path * n / last) for n in range(number, number + depth)]
        c_in, number = c_out, number + depth
    network = OnePlane([*layers, ChannelNorm(widths[-1], eps=1e-6)], widths[-1], dropout)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network
