"""3 x 3 convolutions with fewer multiplications, where a processor's products are what training waits for.

A tile of 4 x 4 pixels gives 2 x 2 of the result with 16 multiplications a channel instead of 36. That is paid for in
additions and in passes over memory, so it pays in wide layers alone; and in bf16 it rounds two to three times as
coarsely as PyTorch's convolution.

Source: Lavin and Gray, 2016, https://arxiv.org/abs/1509.09308, F(2 x 2, 3 x 3); the gradients are its transpose.

Letters: B batch, C channels, O channels of the result, H height, W width, T tiles of a column, U tiles of a row.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

WIDE = 128, 256
"""Channels of the narrower and of the wider side of a layer from which on it is quicker."""

SMALLEST_SIDE = 6
"""Pixels of the pictures it is quicker for; of smaller ones the tiles cover too much that is not there."""

_FILTER = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def in_tiles(x_BCHW: Tensor, weight_OCKK: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor | None:
    """Return the convolution in bf16, ``(B, O, H, W)``; None where this way would not be quicker."""
    plain = stride == padding == (1, 1)
    if not plain or not _wide_weight(weight_OCKK) or min(x_BCHW.shape[2:]) < SMALLEST_SIDE:
        return None
    y_BOHW: Tensor = Winograd.apply(x_BCHW.bfloat16(), weight_OCKK)  # type: ignore[no-untyped-call]
    return y_BOHW


def is_wide(layer: nn.Module) -> bool:
    """Return whether it is a layer this way could be quicker for."""
    return isinstance(layer, nn.Conv2d) and _wide_weight(layer.weight)


class Winograd(torch.autograd.Function):
    """The convolution of ``x`` ``(B, C, H, W)`` bf16 by ``weight`` ``(O, C, 3, 3)`` float32, borders padded by zeros.

    Products are rounded to bf16, like the result, which is in ``channels_last``; the weights' transform and gradient
    are float32. Any other two dtypes will do as well.
    """

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_OC33: Tensor) -> Tensor:
        """Return ``(B, O, H, W)``."""
        channels_out, channels_in = weight_OC33.shape[:2]
        height, width = x_BCHW.shape[2:]
        tiles_44BTUC = _to_tiles(x_BCHW.permute(0, 2, 3, 1))
        weight_9OC = weight_OC33.permute(2, 3, 0, 1).reshape(9, -1)
        with torch.autocast("cpu", enabled=False):
            spread = (_transform(weight_OC33) @ weight_9OC).to(x_BCHW.dtype)
        filters_16OC = spread.view(16, channels_out, channels_in)
        products = torch.bmm(tiles_44BTUC.view(16, -1, channels_in), filters_16OC.transpose(1, 2))
        ctx.save_for_backward(tiles_44BTUC, filters_16OC)
        ctx.side, ctx.dtype = (height, width), weight_OC33.dtype
        y_BOHW = _from_tiles(products.view(*tiles_44BTUC.shape[:5], channels_out))
        if y_BOHW.shape[2:] == (height, width):
            return y_BOHW
        return y_BOHW[:, :, :height, :width].contiguous(memory_format=torch.channels_last)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the gradients of both arguments."""
        tiles_44BTUC, filters_16OC = ctx.saved_tensors
        channels_out, channels_in = filters_16OC.shape[1:]
        of_products = _from_tiles_transposed(gradients[0].permute(0, 2, 3, 1)).view(16, -1, channels_out)
        of_filters = torch.bmm(of_products.transpose(1, 2), tiles_44BTUC.view(16, -1, channels_in)).to(ctx.dtype)
        of_weight = _transform(of_filters).T @ of_filters.view(16, -1)
        weight_OC33 = of_weight.view(3, 3, channels_out, channels_in).permute(2, 3, 0, 1)
        if not ctx.needs_input_grad[0]:
            return None, weight_OC33
        of_tiles = torch.bmm(of_products, filters_16OC).view(tiles_44BTUC.shape)
        height, width = ctx.side
        x_BHWC = _to_tiles_transposed(of_tiles)[:, 1 : height + 1, 1 : width + 1]
        return x_BHWC.permute(0, 3, 1, 2), weight_OC33


def _wide_weight(weight: Tensor) -> bool:
    narrower, wider = sorted(weight.shape[:2])
    return tuple(weight.shape[2:]) == (3, 3) and narrower >= WIDE[0] and wider >= WIDE[1]


def _transform(like: Tensor) -> Tensor:
    """Return the matrix ``(16, 9)`` that takes the weights of a filter to what tiles are multiplied by."""
    one = torch.tensor(_FILTER, dtype=like.dtype)
    return torch.kron(one, one)


def _to_tiles(x_BHWC: Tensor) -> Tensor:
    """Return transformed tiles of 4 x 4 pixels, each two pixels from the next: ``(4, 4, B, T, U, C)``."""
    batch, height, width, channels = x_BHWC.shape
    down, across = (height + 1) // 2, (width + 1) // 2
    padded = F.pad(x_BHWC, (0, 0, 1, 2 * across + 1 - width, 1, 2 * down + 1 - height))
    tiles = x_BHWC.new_empty(4, 4, batch, down, across, channels)
    rows = x_BHWC.new_empty(batch, down, 2 * across + 2, channels)
    for ours, (first, second, combine) in zip(tiles, _pairs(padded, 1), strict=True):
        combine(first, second, out=rows)
        for one, (left, right, combine_again) in zip(ours, _pairs(rows, 2), strict=True):
            combine_again(left, right, out=one)
    return tiles


def _pairs(x: Tensor, dim: int) -> tuple[tuple[Tensor, Tensor, Any], ...]:
    """Return which two of every four neighbours along ``dim`` are added or subtracted."""
    even, odd = torch.unflatten(x, dim, (-1, 2)).unbind(dim + 1)
    tiles = even.shape[dim] - 1
    p0, p2, p1, p3 = (part.narrow(dim, start, tiles) for part in (even, odd) for start in (0, 1))
    return (p0, p2, torch.sub), (p1, p2, torch.add), (p2, p1, torch.sub), (p1, p3, torch.sub)


def _to_tiles_transposed(tiles_44BTUC: Tensor) -> Tensor:
    """Return the gradient of the padded picture, ``(B, 2T + 2, 2U + 2, C)``, where that of its tiles is given."""
    *_, batch, down, across, channels = tiles_44BTUC.shape
    rows = tiles_44BTUC.new_empty(4, batch, down, 2 * across + 2, channels)
    for ours, theirs in zip(rows, tiles_44BTUC, strict=True):
        _overlap(theirs, ours, 2)
    padded = tiles_44BTUC.new_empty(batch, 2 * down + 2, 2 * across + 2, channels)
    _overlap(rows, padded, 1)
    return padded


def _overlap(parts: Tensor, out: Tensor, dim: int) -> None:
    """Fill ``out`` with what the combinations of :func:`_pairs`, four ``parts``, say of each pixel along ``dim``."""
    v0, v1, v2, v3 = parts
    even, odd = torch.unflatten(out, dim, (-1, 2)).unbind(dim + 1)
    tiles = even.shape[dim] - 1
    even.narrow(dim, tiles, 1).zero_()
    odd.narrow(dim, tiles, 1).zero_()
    even.narrow(dim, 0, tiles).copy_(v0)
    even.narrow(dim, 1, tiles).add_(v1 + v2).sub_(v0)
    torch.sub(v1, v2, out=odd.narrow(dim, 0, tiles)).add_(v3)
    odd.narrow(dim, 1, tiles).sub_(v3)


def _from_tiles(products_44BTUO: Tensor) -> Tensor:
    """Return the picture, ``(B, O, 2T, 2U)``, whose every tile of 2 x 2 comes from 4 x 4 products.

    It is in ``channels_last`` and no view, so that what computes in place, as some ReLUs do, may change it.
    """
    *_, batch, down, across, channels = products_44BTUO.shape
    size = batch, channels, 2 * down, 2 * across
    y_BOHW = torch.empty(size, dtype=products_44BTUO.dtype, memory_format=torch.channels_last)
    y_BHWO = y_BOHW.permute(0, 2, 3, 1)
    for row, four in enumerate(_sums(products_44BTUO)):
        for column, pixels in enumerate(_sums(four)):
            y_BHWO[:, row::2, column::2] = pixels
    return y_BOHW


def _sums(four: Tensor) -> tuple[Tensor, Tensor]:
    return (four[0] + four[1]).add_(four[2]), (four[1] - four[2]).sub_(four[3])


def _from_tiles_transposed(y_BHWO: Tensor) -> Tensor:
    """Return the gradient of the products, ``(4, 4, B, T, U, O)``, where that of the picture is given."""
    batch, height, width, channels = y_BHWO.shape
    down, across = (height + 1) // 2, (width + 1) // 2
    whole = F.pad(y_BHWO, (0, 0, 0, 2 * across - width, 0, 2 * down - height))
    products = y_BHWO.new_empty(4, 4, batch, down, across, channels)
    upper, lower = whole[:, 0::2], whole[:, 1::2]
    for ours, rows in zip(products, (upper, upper + lower, upper - lower, -lower), strict=True):
        left, right = rows[:, :, 0::2], rows[:, :, 1::2]
        ours[0] = left
        torch.add(left, right, out=ours[1])
        torch.sub(left, right, out=ours[2])
        torch.neg(right, out=ours[3])
    return products
