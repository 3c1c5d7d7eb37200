"""How PyTorch and the C library are set, for speed while training and for exactness while measuring."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def tune_gpu() -> None:
    """Let cuDNN time its algorithms for each size of batch, and what float32 is left use TF32.

    So the algorithms, and with them the last bits, may differ between two runs on a GPU.
    """
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")


@contextmanager
def untimed() -> Iterator[None]:
    """While entered, cuDNN times no algorithms but takes those it holds for quick: for batches that are rare."""
    timing = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = timing


@contextmanager
def exact_float32() -> Iterator[None]:
    """While entered, a GPU multiplies float32 numbers whole, without TF32: for numbers that are published."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        with untimed():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next batch instead of handing it back to the system.

    PyTorch on a CPU allocates every activation anew; giving the pages back and faulting them in again costs a small
    network a fifth to a third of its speed. Does nothing where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
