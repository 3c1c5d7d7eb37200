"""Runs a network over faces.

Shape letters: B batch, C channels, H height, W width, N faces, K classes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferkit.inference.preprocess import CHANNELS, scale

BATCH = 256
"""Faces a forward pass; a matter of memory and speed, not of results."""


def network_input(grey_BHW: Tensor, planes: int = CHANNELS) -> Tensor:
    """Return ``(B, planes, H, W)`` float32 in [0, 1], channels last, for ``(B, H, W)`` uint8 on the same device."""
    x_B1HW = scale(grey_BHW.float())[:, None]
    return x_B1HW.expand(-1, planes, -1, -1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: nn.Module, images: NDArray[np.uint8], device: torch.device | str = "cpu") -> NDArray[np.float32]:
    """Return log-probabilities ``(N, K)`` of ``images`` ``(N, H, W)`` uint8; the model is left in evaluation mode.

    N is at least 1.
    """
    model.eval()
    parts = [
        model(network_input(torch.tensor(images[start : start + BATCH], device=device))).float().cpu()
        for start in range(0, len(images), BATCH)
    ]
    log_probs: NDArray[np.float32] = torch.cat(parts).numpy()
    return log_probs
