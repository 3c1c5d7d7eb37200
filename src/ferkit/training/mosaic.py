"""Convolutions of small pictures, several of them side by side as one wide one.

A processor with AMX multiplies blocks of sixteen rows, which PyTorch (oneDNN) fills with the pixels of one row of one
picture: where that has three or six, most of the block is empty, most of all in the gradient of the weights. Side by
side, with as many columns of zeros between two pictures as the border has, the result is the same and the blocks are
full.

Letters: B batch, C channels, O channels of the result, H height, W width, K kernel, M mosaics, N pictures of a mosaic,
T columns of a mosaic.
"""

from math import gcd
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SMALL = 13
"""Pixels of a row of the result up to which it is quicker."""

NARROW = 64
"""Channels, on the narrower side of a layer, from which on it is quicker."""

ROW = 48
"""Pixels of a row of the result that a mosaic should have."""

Pair = tuple[int, int]


def side_by_side(x_BCHW: Tensor, weight_OCKK: Tensor, stride: Pair, padding: Pair) -> Tensor | None:
    """Return the convolution in bf16, ``(B, O, H', W')``; None where this way would not be quicker."""
    width = (x_BCHW.shape[3] + 2 * padding[1] - weight_OCKK.shape[3]) // stride[1] + 1
    if not 0 < width <= SMALL or min(weight_OCKK.shape[:2]) < NARROW:
        return None
    wanted = 1 << (ROW // width).bit_length() - 1
    together = gcd(len(x_BCHW), wanted)
    if together == 1:
        return None
    y_BOHW: Tensor = Mosaic.apply(x_BCHW.bfloat16(), weight_OCKK, stride, padding, together)  # type: ignore[no-untyped-call]
    return y_BOHW


class Mosaic(torch.autograd.Function):
    """The convolution of ``x`` ``(B, C, H, W)`` by ``weight`` ``(O, C, K, K)``, ``N`` pictures of the batch at a time.

    The weights are rounded to the dtype of ``x``, which the result has; it is in ``channels_last``. ``N`` divides
    ``B``.
    """

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_OCKK: Tensor, stride: Pair, padding: Pair, together: int) -> Tensor:
        """Return ``(B, O, H', W')``."""
        width = x_BCHW.shape[3]
        pitch = -(-(width + padding[1]) // stride[1])  # from one picture to the next, in columns of the result
        ctx.how, ctx.together, ctx.pitch, ctx.width = (stride, padding), together, pitch, width
        ctx.dtype = weight_OCKK.dtype
        weight_OCKK = weight_OCKK.to(x_BCHW.dtype)
        x_MCHT = _joined(x_BCHW, together, pitch * stride[1], together * pitch * stride[1])
        y_MOHT = torch.conv2d(x_MCHT, weight_OCKK, None, stride, padding)
        ctx.columns = y_MOHT.shape[3]
        ctx.save_for_backward(x_MCHT, weight_OCKK)
        return _parted(y_MOHT, together, pitch, (width + 2 * padding[1] - weight_OCKK.shape[3]) // stride[1] + 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        """Return the gradients of picture and weights."""
        x_MCHT, weight_OCKK = ctx.saved_tensors
        stride, padding = ctx.how
        of_y_MOHT = _joined(gradients[0], ctx.together, ctx.pitch, ctx.columns)
        wanted = ctx.needs_input_grad[0], True, False
        of_x_MCHT, of_weight_OCKK, _ = torch.ops.aten.convolution_backward(
            of_y_MOHT, x_MCHT, weight_OCKK, None, stride, padding, (1, 1), False, (0, 0), 1, wanted
        )
        of_x = _parted(of_x_MCHT, ctx.together, ctx.pitch * stride[1], ctx.width) if wanted[0] else None
        return of_x, of_weight_OCKK.to(ctx.dtype), None, None, None


def _joined(x_BCHW: Tensor, together: int, pitch: int, columns: int) -> Tensor:
    """Return ``(M, C, H, T)``: ``together`` pictures a mosaic, each ``pitch`` columns from the next, zeros between."""
    x_BHWC = x_BCHW.permute(0, 2, 3, 1)
    batch, height, width, channels = x_BHWC.shape
    mosaic_MHTC = x_BHWC.new_zeros(batch // together, height, columns, channels)
    _each(mosaic_MHTC, together, pitch, width).copy_(torch.unflatten(x_BHWC, 0, (-1, together)))
    return mosaic_MHTC.permute(0, 3, 1, 2)


def _parted(mosaic_MCHT: Tensor, together: int, pitch: int, width: int) -> Tensor:
    """Return the pictures of :func:`_joined`: ``(B, C, H, W)``."""
    mosaic_MHTC = mosaic_MCHT.permute(0, 2, 3, 1).contiguous()
    parts_MNHWC = _each(mosaic_MHTC, together, pitch, width)
    mosaics, _, height, _, channels = parts_MNHWC.shape
    size = mosaics * together, channels, height, width
    # no view, so that what computes in place, as some ReLUs do, may change it
    x_BCHW = torch.empty(size, dtype=mosaic_MCHT.dtype, memory_format=torch.channels_last)
    torch.unflatten(x_BCHW.permute(0, 2, 3, 1), 0, (-1, together)).copy_(parts_MNHWC)
    return x_BCHW


def _each(mosaic_MHTC: Tensor, together: int, pitch: int, width: int) -> Tensor:
    """Return the pictures of a mosaic where they lie: ``(M, N, H, W, C)``."""
    mosaics, height, columns, channels = mosaic_MHTC.shape
    row = columns * channels
    return mosaic_MHTC.as_strided(
        (mosaics, together, height, width, channels), (height * row, pitch * channels, row, channels, 1)
    )
