"""Our own network for recognition: small enough to ship, quick on one processor core.

Residual blocks of two 3 x 3 convolutions (He et al., 2016, https://arxiv.org/abs/1512.03385, with the pooled shortcut
of He et al., 2019, https://arxiv.org/abs/1812.01187, section 4), four stages that halve the picture: 24, 12, 6 and 3
pixels a side. All widths are multiples of 8, which 8-bit arithmetic needs to be quick. The three equal planes the
report's networks take are one here.

Where the time goes decided the rest: on one core a convolution of one plane at full size takes as long as three of 32
planes at half of it, so the stem halves the picture at once, and what is a mean and a 1 x 1 convolution on paper is one
2 x 2 convolution here (:class:`PooledConv`). ``stem="full"`` is the stem of the first network that was shipped.

Shape letters: B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated, Literal

import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from ferkit.labels import NUM_CLASSES
from ferkit.models.registry import register

Stem = tuple[tuple[int, int, int], ...]
"""Kernel, stride and width of each convolution before the first block."""

STEMS: dict[str, Stem] = {"strided": ((5, 2, 32),), "full": ((3, 1, 24), (3, 2, 32))}
WIDTHS = (32, 64, 128, 256)


class PooledConv(nn.Conv2d):
    """The mean of every 2 x 2 pixels, then a 1 x 1 convolution, as the one 2 x 2 convolution the two are."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C', H / 2, W / 2)``."""
        return F.conv2d(x_BCHW, self.weight.repeat(1, 1, 2, 2) / 4, stride=2)


class Block(nn.Module):
    """Two convolutions and what goes past them; a stride of 2 halves height and width."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(c_in, c_out, 3, stride),
            nn.ReLU(),
            *conv_norm(c_out, c_out, 3, 1),
        )
        self.shortcut = shortcut(c_in, c_out, halve=stride == 2)
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C', H / stride, W / stride)``."""
        y_BCHW: Tensor = self.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))
        return y_BCHW


class Mean(nn.Module):
    """Mean over height and width."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C)``."""
        return x_BCHW.mean((2, 3))


class Compact(nn.Module):
    """Stem, stages of blocks, mean over what is left of the picture, one linear layer."""

    def __init__(self, stem: Stem, widths: tuple[int, ...], depths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = 1
        for kernel, stride, c_out in stem:
            layers += [*conv_norm(c_in, c_out, kernel, stride), nn.ReLU()]
            c_in = c_out
        for stage, (c_out, depth) in enumerate(zip(widths, depths, strict=True)):
            for number in range(depth):
                layers.append(Block(c_in, c_out, 2 if stage > 0 and number == 0 else 1))
                c_in = c_out
        self.features = nn.Sequential(*layers)
        self.pool = Mean()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(c_in, NUM_CLASSES)
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)`` float32 for images ``(B, 3, 48, 48)`` in [0, 1], planes equal.

        One plane, ``(B, 1, 48, 48)``, does too.
        """
        one_plane = x_B3HW if x_B3HW.shape[1] == 1 else x_B3HW[:, :1]
        x_BC = self.pool(self.features(one_plane))
        logits_BK = self.classifier(self.dropout(x_BC))
        log_probs_BK: Tensor = self.log_softmax(logits_BK.float())
        return log_probs_BK


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int) -> list[nn.Module]:
    """Return a convolution without bias that keeps or halves the picture, and its batch norm."""
    return [nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(c_out)]


def shortcut(c_in: int, c_out: int, *, halve: bool) -> nn.Module:
    """Return what goes past the convolutions of a block: as little as its widths and strides allow."""
    if halve:
        return nn.Sequential(PooledConv(c_in, c_out), nn.BatchNorm2d(c_out))
    if c_in != c_out:
        return nn.Sequential(*conv_norm(c_in, c_out, 1, 1))
    return nn.Identity()


@register
def compact(
    *,
    width: Annotated[float, Field(gt=0, le=8)] = 1.0,
    depths: tuple[
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
    ] = (1, 2, 2, 1),
    stem: Literal["strided", "full"] = "strided",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
) -> nn.Module:
    """Small residual network for recognition, made to be shipped."""
    scaled = tuple((kernel, stride, _widened(c, width)) for kernel, stride, c in STEMS[stem])
    return Compact(scaled, tuple(_widened(c, width) for c in WIDTHS), depths, dropout)


def _widened(channels: int, width: float) -> int:
    return max(8, 8 * round(channels * width / 8))
