"""What our own networks share: they read one plane, are made of residual blocks, and end in a mean and a linear layer.

The three equal planes the report's networks take are one here. Residual blocks: He et al., 2016,
https://arxiv.org/abs/1512.03385, with the pooled shortcut of He et al., 2019, https://arxiv.org/abs/1812.01187,
section 4.

Shape letters: B batch, C channels, H height, W width, K classes.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field
from torch import Tensor, nn

from ferkit.labels import NUM_CLASSES

Depth = Annotated[int, Field(ge=1)]
Depths = tuple[Depth, Depth, Depth, Depth]
"""Blocks of each of four stages."""


class OnePlane(nn.Module):
    """Features, mean over what is left of the picture, one linear layer."""

    def __init__(self, features: list[nn.Module], channels: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.pool = Mean()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, NUM_CLASSES)
        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return log-probabilities ``(B, K)`` float32 for images ``(B, 3, 48, 48)`` in [0, 1], planes equal.

        One plane, ``(B, 1, 48, 48)``, does too.
        """
        one_plane = x_B3HW if x_B3HW.shape[1] == 1 else x_B3HW[:, :1]
        logits_BK = self.classifier(self.dropout(self.pool(self.features(one_plane))))
        log_probs_BK: Tensor = self.log_softmax(logits_BK.float())
        return log_probs_BK


class Block(nn.Module):
    """Some layers and what goes past them."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return what body and shortcut make of ``(B, C, H, W)``."""
        y_BCHW: Tensor = self.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))
        return y_BCHW


class PooledConv(nn.Conv2d):
    """The mean of every 2 x 2 pixels, then a 1 x 1 convolution, as the one 2 x 2 convolution the two are."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C', H / 2, W / 2)``."""
        return F.conv2d(x_BCHW, self.weight.repeat(1, 1, 2, 2) / 4, stride=2)


class Blur(nn.Module):
    """Every second pixel, after a small binomial filter over each plane: anti-aliased pooling.

    Zhang, 2019, https://arxiv.org/abs/1904.11486. A convolution of each plane by itself, in float32 always: on an
    AMD EPYC (one timing of three sizes) forward and backward took 0.2 to 0.3 of the time of two mean poolings in
    bfloat16, which give the same, and the convolution in bfloat16 longer than both. On a GPU it is those two poolings:
    the residual network was measured with them there, and such convolutions are reported to be slow
    (https://github.com/pytorch/pytorch/issues/18631).
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor((1.0, 2.0, 1.0)) / 4
        self.register_buffer("kernel", torch.outer(row, row)[None, None], persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, H / 2, W / 2)``."""
        if x_BCHW.is_cuda:
            return two_means(x_BCHW)
        kernel_C133 = self.kernel.float().expand(x_BCHW.shape[1], 1, 3, 3)
        with _without_autocast(x_BCHW.device.type):
            y_BCHW = F.conv2d(x_BCHW.float(), kernel_C133, stride=2, padding=1, groups=len(kernel_C133))
        return y_BCHW.to(x_BCHW.dtype)


def two_means(x_BCHW: Tensor) -> Tensor:
    """Return what :class:`Blur` does as the mean of 2 x 2, one pixel on each time, and the mean of 2 x 2 of those."""
    return F.avg_pool2d(F.avg_pool2d(x_BCHW, 2, stride=1, padding=1), 2)


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    """Nothing where it is off, so that an exported network does not ask for it, and on ``meta``, which has none."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


class DropPath(nn.Module):
    """Leaves the whole of its input out, for each face by chance, and makes up for it where it does not.

    Stochastic depth: Huang et al., 2016, https://arxiv.org/abs/1603.09382.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C, H, W)``."""
        if not self.training or self.share == 0:
            return x_BCHW
        kept_B111 = x_BCHW.new_empty(len(x_BCHW), 1, 1, 1).bernoulli_(1 - self.share)
        return x_BCHW * (kept_B111 / (1 - self.share))


class Mean(nn.Module):
    """Mean over height and width."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return ``(B, C)``."""
        return x_BCHW.mean((2, 3))


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int) -> list[nn.Module]:
    """Return a convolution without bias that keeps or halves the picture, and its batch norm."""
    return [nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(c_out)]


def opening(c_in: int, c_out: int, *, halve: bool, blur: bool) -> list[nn.Module]:
    """Return the first convolution of a block, its norm and ReLU; the picture is halved by the first or by a blur."""
    if halve and blur:
        return [*conv_norm(c_in, c_out, 3, 1), nn.Sequential(nn.ReLU(), Blur())]
    return [*conv_norm(c_in, c_out, 3, 2 if halve else 1), nn.ReLU()]


def shortcut(c_in: int, c_out: int, *, halve: bool) -> nn.Module:
    """Return what goes past the layers of a block: as little as its widths and strides allow."""
    if halve:
        return nn.Sequential(PooledConv(c_in, c_out), nn.BatchNorm2d(c_out))
    if c_in != c_out:
        return nn.Sequential(*conv_norm(c_in, c_out, 1, 1))
    return nn.Identity()


def widened(widths: tuple[int, ...], width: float) -> tuple[int, ...]:
    """Return widths times ``width``, as multiples of 8, which 8-bit arithmetic and tensor cores need to be quick."""
    return tuple(max(8, 8 * round(channels * width / 8)) for channels in widths)
