"""A layer whose result is changed in place by what comes next, convolved both ways."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ferkit.training.convolutions import quick_convolutions


def gradients_before_a_change_in_place(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the gradients of the layer's weights: by PyTorch's convolution, then by ferkit's."""
    gradients = []
    for context in (nullcontext(), quick_convolutions(layer, torch.device("cpu"))):
        with torch.autocast("cpu", torch.bfloat16), context:
            y = nn.ReLU(inplace=True)(layer(x))
        gradients.append(torch.autograd.grad(y.float().sum(), layer.weight)[0])
    return gradients
