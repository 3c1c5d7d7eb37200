"""What a run uses of what there is: device, precision, backend of the augmentation."""

from typing import Any

import torch

from ferkit.errors import RecipeError
from ferkit.training.recipe import Recipe

FABRIC_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed"}
"""Names of Lightning Fabric for ours."""


def choose_device(asked: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Args:
        asked: One of them, or ``auto``: cuda if there is one.

    Raises:
        RecipeError: It is cuda and there is none.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise RecipeError("device is cuda, but PyTorch finds no CUDA device here; choose cpu or auto")
    if asked != "auto":
        return str(asked)
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_precision(asked: str, device: str) -> tuple[str, str]:
    """Return ``float32`` or ``bf16``, and why; ``asked`` is one of them or ``auto``.

    The rule of ``auto``: bf16 where the hardware multiplies bf16 numbers itself. There it trains two to four times
    faster, elsewhere it is emulated and slower than float32.
    """
    if asked != "auto":
        return asked, "as the recipe says"
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


def cpu_capabilities() -> dict[str, Any]:
    """Return what PyTorch knows of the processor; nothing where it cannot say."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # PyTorch before 2.10
        return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}
    return dict(capabilities())
