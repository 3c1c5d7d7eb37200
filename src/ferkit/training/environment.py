"""Where a run happens: device, precision, versions, commit."""

import ctypes
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ferkit import __version__
from ferkit.errors import RecipeError
from ferkit.training.recipe import Recipe

FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed"}
"""Names of Lightning Fabric for ours."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def choose_device(recipe: Recipe) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        RecipeError: The recipe asks for cuda and there is none.
    """
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("device is cuda, but PyTorch finds no CUDA device here; choose cpu or auto")
    if recipe.device != "auto":
        return recipe.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_precision(recipe: Recipe, device: str) -> tuple[str, str]:
    """Return ``float32`` or ``bf16``, and why.

    The rule of ``auto``: bf16 where the hardware multiplies bf16 numbers itself. There it trains two to four times
    faster, elsewhere it is emulated and slower than float32.
    """
    if recipe.precision != "auto":
        return recipe.precision, "as the recipe says"
    if device == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "this GPU computes in bf16"
        return "float32", "this GPU has no bf16"
    able = [name for name in ("amx_bf16", "avx512_bf16", "bf16") if cpu_capabilities().get(name)]
    if able:
        return "bf16", f"this processor has {able[0]}"
    return "float32", "this processor has no bf16 instructions"


def choose_augment_backend(recipe: Recipe) -> str:
    """Return ``albumentations`` or ``batched``; the rule of ``auto``: batched.

    A GPU would wait for what processes beside it prepare, and a CPU would give up to them what training could use.
    """
    return "batched" if recipe.augment_backend == "auto" else recipe.augment_backend


def tune_gpu() -> None:
    """Let cuDNN time its algorithms for each size of batch, and what float32 is left use TF32.

    So the algorithms, and with them the last bits, may differ between two runs on a GPU.
    """
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")


@contextmanager
def exact_float32() -> Iterator[None]:
    """While entered, a GPU multiplies float32 numbers whole, without TF32: for numbers that are published."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def cpu_capabilities() -> dict[str, Any]:
    """Return what PyTorch knows of the processor; nothing where it cannot say."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # PyTorch before 2.10
        return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}
    return dict(capabilities())


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


def describe(device: str) -> dict[str, Any]:
    """Return device, versions and commit as plain values, ready for JSON."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(terse=True),
        "versions": {
            "ferkit": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),  # names the build too, which the package's version may not
            **{name: version(name) for name in ("numpy", "albumentations", "opencv-python-headless")},
        },
        **_commit(),
    }


def _processor() -> str:
    cores = cpu_capabilities().get("num_logical_cores")
    name = cpu_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {cores} cores" if cores else str(name)


def _commit() -> dict[str, Any]:
    """Return the commit of the checkout ferkit runs from, if it runs from one."""
    root = Path(__file__).parents[3]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            return {"commit": None, "dirty": None}
        return {
            "commit": git("rev-parse", "--short=12", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", "src")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
