"""Which convolutions of training are computed in another way than PyTorch's, on which processors.

The network is left as it is: calls are taken while its forward pass runs. It is a rule, not a measurement, so that two
runs on one machine compute alike.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ferkit.training.environment import cpu_capabilities
from ferkit.training.mosaic import Pair, side_by_side
from ferkit.training.winograd import in_tiles, is_wide

Way = Callable[[Tensor, Tensor, Pair, Pair], Tensor | None]
"""From picture, weights, stride and padding to the result without bias, or None where PyTorch's is quicker."""


def quick_convolutions(model: nn.Module, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which convolutions under bf16 autocast are computed another way, where that is quicker.

    With AMX, products are so quick that small pictures cannot feed them one by one (:mod:`ferkit.training.mosaic`). On
    processors that multiply bf16 themselves, but slower, fewer products pay for wide layers
    (:mod:`ferkit.training.winograd`). Where PyTorch cannot say whether there is AMX, before 2.10, nothing changes.
    """
    able = cpu_capabilities()
    if device.type == "cpu" and able.get("amx_bf16"):
        return _Instead(side_by_side)
    without_amx = device.type == "cpu" and able.get("avx512_bf16") and able.get("amx_bf16") is False
    return _Instead(in_tiles) if without_amx and any(map(is_wide, model.modules())) else nullcontext()


class _Instead(TorchFunctionMode):
    """Takes the place of PyTorch's convolution where a way suits."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self.way = way

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute what ``func`` does of ``args`` and ``kwargs``."""
        bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        y_BOHW = self._convolution(*args, **(kwargs or {})) if func is torch.conv2d and bf16 else None
        return func(*args, **(kwargs or {})) if y_BOHW is None else y_BOHW

    def _convolution(
        self,
        input: Tensor,  # noqa: A002 - PyTorch's name of it
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
    ) -> Tensor | None:
        if isinstance(padding, str) or _pair(dilation) != (1, 1) or groups != 1 or input.ndim != 4:
            return None
        if not {input.dtype, weight.dtype} <= {torch.float32, torch.bfloat16}:  # autocast leaves float64 as it is
            return None
        y_BOHW = self.way(input, weight, _pair(stride), _pair(padding))
        return y_BOHW if y_BOHW is None or bias is None else y_BOHW + bias.bfloat16()[:, None, None]


def _pair(size: int | tuple[int, ...]) -> Pair:
    first, last = (size, size) if isinstance(size, int) else (size[0], size[-1])  # one number may come as a tuple
    return first, last
