"""How much of what a device can do training gets out of it.

The measure is the share of the peak: floating-point operations a second that training needs, over those a second that
a large product of matrices reaches on the same device in the same precision. Operations are counted by PyTorch, two a
multiplication with its addition, of convolutions and linear layers alone, forward and backward pass; what else happens
only takes time.
"""

import time
from functools import lru_cache

import torch

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
"""What the precision of a run multiplies."""

_MATRIX = {"cuda": 8192, "cpu": 768}  # rows and columns
_SECONDS = {"cuda": 0.4, "cpu": 0.1}


@lru_cache(maxsize=4)
def peak_flops(device: str, precision: str) -> float:
    """Return the floating-point operations a second of the fastest of several products of two matrices.

    Measured once a process, in about half a second; what else runs on the device makes it less.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: ``float32`` or ``bf16``.
    """
    side, dtype = _MATRIX[device], DTYPES[precision]
    generator = torch.Generator(device).manual_seed(0)  # of zeros or ones a GPU makes quicker work
    left, right = (torch.randn(side, side, device=device, dtype=dtype, generator=generator) for _ in range(2))
    repeats = 10 if device == "cuda" else 1
    torch.mm(left, right)  # chooses its kernel
    began, best = time.perf_counter(), float("inf")
    while best == float("inf") or time.perf_counter() - began < _SECONDS[device]:
        best = min(best, _seconds(left, right, repeats))
    return 2 * side**3 / best


def peak_share(flops: int, faces_per_second: float, peak: float, processes: int = 1) -> float | None:
    """Return training's share of the peak of all its devices, 0 to 1.

    None where it would be more: something else kept the device busy while its peak was measured, or the convolutions
    took fewer multiplications than are counted (:mod:`ferkit.training.winograd`).

    Args:
        flops: Of a face, from :func:`ferkit.models.flops.training_flops`.
        faces_per_second: Of all processes together.
        peak: Of one device in the precision of training, from :func:`peak_flops`.
        processes: Devices that train; on a CPU each has its share of the cores.
    """
    share = flops * faces_per_second / (peak * processes)
    return share if share <= 1 else None


def _seconds(left: torch.Tensor, right: torch.Tensor, repeats: int) -> float:
    """Return what one product took, the mean over several in a row."""
    _wait(left.device)
    began = time.perf_counter()
    for _ in range(repeats):
        torch.mm(left, right)
    _wait(left.device)
    return (time.perf_counter() - began) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
