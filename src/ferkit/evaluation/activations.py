"""What a network has learned and what it makes of a face: filters and activated feature maps.

Source: the report, section 4.2 and Figures 4 to 8. It shows filters and maps without saying which; here every choice
follows a rule that stands in a docstring.

Shape letters: C channels (in: I, out: O), H height, W width, R side of a kernel.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ferkit.errors import DataError
from ferkit.evaluation.score import network_input
from ferkit.models.trace import Convolution, convolutions, trace


def filters(model: nn.Module, layer: int = 2) -> NDArray[np.float32]:
    """Return the weights ``(O, I, R, R)`` of a convolution, counted from 1 in the order they are called.

    Raises:
        DataError: There is no such convolution; the message says which there are.

    Example:
        >>> from ferkit.models import build_model
        >>> filters(build_model("model3"), 2).shape
        (64, 32, 3, 3)
    """
    found = convolutions(trace(model))
    if not 1 <= layer <= len(found):
        raise DataError(f"layer: expected a convolution from 1 to {len(found)}, got {layer}")
    weight: NDArray[np.float32] = found[layer - 1].layer.module.get_parameter("weight").detach().float().numpy()
    return weight


def activations(model: nn.Module, image: NDArray[np.uint8]) -> list[tuple[str, NDArray[np.float32]]]:
    """Return the activated feature maps of every convolution, in order: name and ``(C, H, W)`` float32.

    Activated means: the output of the activation that follows the convolution, before pooling. A convolution without
    one is shown as it is. One that has a single cell left, as the classifier of Model 3, has no map and is left out.

    Args:
        model: Left in evaluation mode.
        image: ``(48, 48)`` uint8 grey levels.
    """
    found = maps(model, image)
    return [(each.name, each.activated.output[0].float().numpy()) for each in found]


def maps(model: nn.Module, image: NDArray[np.uint8] | None = None) -> list[Convolution]:
    """Return the convolutions that have a map, as they are in a forward pass of ``image`` ``(48, 48)`` or of black."""
    x_13HW = None if image is None else network_input(torch.tensor(image[None]))
    return [each for each in convolutions(trace(model, x_13HW)) if each.is_map]


def most_active(maps_CHW: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the channels to look at, at most ``count``: those whose map varies most, the first of equal ones first.

    Variation is the standard deviation over the map. A channel that is equally high everywhere says nothing of the
    face, so the mean would be the worse rule.
    """
    spread_C = maps_CHW.std(axis=(1, 2), dtype=np.float64)
    return np.argsort(-spread_C, kind="stable")[:count]


def strongest_kernels(weight_OIRR: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which kernels to look at: numbers of filters (outputs), and of one input channel for each.

    The ``count`` filters with the largest norm, in the order of their numbers; of each filter, whose kernels are one
    for each input channel, the kernel with the largest norm.
    """
    norm_OI = np.sqrt(np.square(weight_OIRR, dtype=np.float64).sum(axis=(2, 3)))
    norm_O = np.sqrt(np.square(norm_OI).sum(axis=1))
    chosen = np.sort(np.argsort(-norm_O, kind="stable")[:count])
    return chosen, norm_OI[chosen].argmax(axis=1)
