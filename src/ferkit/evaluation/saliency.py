"""Which places of a face a network's decision rests on: Grad-CAM and occlusion, both computed by Captum.

Source: Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391 (Grad-CAM); Zeiler and Fergus, 2014,
https://arxiv.org/abs/1311.2901, section 4.2 (occlusion). The report has neither.
Ours differs: a Grad-CAM map is not stretched over the face, but each cell is laid where it looks. Unpadded convolutions
look at the middle only; in Model 3 stretching would be 8 of 48 pixels off at the lower right corner.

Shape letters: B batch, H height, W width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferkit.errors import DataError
from ferkit.evaluation.activations import maps
from ferkit.evaluation.score import network_input
from ferkit.models.trace import Place

WINDOW, STEP = 12, 4
"""Side of the square that occlusion hides, about an eye of FER2013, and how far it moves; in pixels."""

_AT_ONCE = 128  # occluded images a forward pass; a matter of memory and speed

Target = int | Sequence[int] | NDArray[np.int64]


def grad_cam(model: nn.Module, images_BHW: NDArray[np.uint8], target: Target) -> NDArray[np.float32]:
    """Return what speaks for a class, place by place: Grad-CAM of the last convolution that has a map.

    The maps are the activated ones (:func:`ferkit.evaluation.activations.activations`), the score is that of the class
    before the softmax.

    Args:
        model: Left in evaluation mode.
        images_BHW: ``(B, 48, 48)`` uint8 grey levels.
        target: Class to explain, one for all images or one each.

    Returns:
        ``(B, 48, 48)`` float32 in [0, 1]: 1 is the strongest place of each image. All 0 where no place speaks for the
        class.

    Raises:
        DataError: The network has no convolution with a map.
    """
    from captum.attr import LayerGradCam

    found = maps(model)
    if not found:
        raise DataError("Grad-CAM needs a convolution whose output has more than one cell; the network has none")
    layer = found[-1].activated
    with _scores_before_softmax(model):
        cam_B1hw: Tensor = LayerGradCam(model, layer.module).attribute(
            network_input(torch.tensor(images_BHW)), target=_target(target), relu_attributions=True
        )
    cam_BHW = _laid(cam_B1hw.detach().float().numpy()[:, 0], layer.place, images_BHW.shape[1])
    peak_B11 = cam_BHW.max(axis=(1, 2), keepdims=True)
    cam_BHW /= np.where(peak_B11 > 0, peak_B11, 1)
    return cam_BHW


def occlusion(
    model: nn.Module, images_BHW: NDArray[np.uint8], target: Target, *, window: int = WINDOW, step: int = STEP
) -> NDArray[np.float32]:
    """Return how much of a class's probability is lost where a place is hidden.

    A square of the image's mean grey moves over it; a pixel's value is the mean over the squares that hide it.

    Args:
        model: Left in evaluation mode.
        images_BHW: ``(B, 48, 48)`` uint8 grey levels.
        target: Class to explain, one for all images or one each.
        window: Side of the square, in pixels.
        step: Pixels between two places of the square.

    Returns:
        ``(B, 48, 48)`` float32 in [-1, 1], shares of probability: above 0 where hiding takes probability from the
        class, below 0 where hiding adds some.
    """
    from captum.attr import Occlusion

    model.eval()
    x_B3HW = network_input(torch.tensor(images_BHW))
    planes = x_B3HW.shape[1]
    lost_B3HW: Tensor = Occlusion(lambda x: model(x).exp()).attribute(
        x_B3HW,
        sliding_window_shapes=(planes, window, window),
        strides=(planes, step, step),
        baselines=x_B3HW.mean(dim=(1, 2, 3), keepdim=True).expand_as(x_B3HW),
        target=_target(target),
        perturbations_per_eval=max(1, _AT_ONCE // len(images_BHW)),
    )
    lost_BHW: NDArray[np.float32] = lost_B3HW[:, 0].float().numpy()
    return lost_BHW


def _target(target: Target) -> int | Tensor:
    return target if isinstance(target, int) else torch.tensor(target)


@contextmanager
def _scores_before_softmax(model: nn.Module) -> Iterator[None]:
    """Let the log-softmax of ``model`` return its input, as Grad-CAM wants it."""
    ends = [module for module in model.modules() if isinstance(module, nn.LogSoftmax)]
    handles = [end.register_forward_hook(lambda _module, inputs, _output: inputs[0]) for end in ends]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _laid(maps_Bhw: NDArray[np.float32], place: Place | None, side: int) -> NDArray[np.float32]:
    """Return ``(B, side, side)``: each cell where it looks, linear in between.

    Half a step beyond the outermost cells their values hold, then they fade over one step: nothing is claimed of pixels
    that no cell is centred near.
    """
    pixels = np.arange(side)
    weights = []
    for cells in maps_Bhw.shape[1:]:
        at = place or Place((side / cells - 1) / 2, side / cells)
        centres = at.first + at.step * np.concatenate([[-1.5, -0.5], np.arange(cells), cells + np.array([-0.5, 0.5])])
        weights.append(np.stack([np.interp(pixels, centres, one) for one in _held(cells)], axis=1))
    rows, columns = weights
    laid: NDArray[np.float32] = (rows @ maps_Bhw @ columns.T).astype(np.float32)
    return laid


def _held(cells: int) -> NDArray[np.float64]:
    """Return, for each cell, its part in the values at nothing, at the edge, at each cell, at the edge, at nothing."""
    return np.pad(np.pad(np.eye(cells), ((0, 0), (1, 1)), mode="edge"), ((0, 0), (1, 1)))
