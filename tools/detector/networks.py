"""The two networks that find faces; what they see and say is told in ``ferkit.inference.haar``.

Both take grey levels as they are, uint8, so that whoever calls them need not scale them.

Letters: B batch, H height, W width.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ferkit.inference.haar import CLOSE, WINDOW


class Finder(nn.Module):
    """What both have in common: what its file calls its input and output, and the side of its windows in pixels."""

    input: str
    output: str
    side: int


class Propose(Finder):
    """Says of every window of 19 x 19 pixels, 4 pixels apart, whether a face may be in it."""

    input, output, side = "grey", "scores", WINDOW

    def __init__(self, widths: tuple[int, int, int] = (12, 24, 32)) -> None:
        super().__init__()
        first, second, third = widths
        self.layers = nn.Sequential(
            *_convolution(1, first, 3, stride=2),  # 19 -> 9
            *_convolution(first, second, 3, stride=2),  # -> 4
            *_convolution(second, third, 3),  # -> 2
            *_convolution(third, third, 2),  # -> 1
            nn.Conv2d(third, 1, 1),
        )

    def forward(self, grey_BHW: Tensor) -> Tensor:
        """Return logits ``(B, (H - 15) // 4, (W - 15) // 4)`` of pictures 0 to 255 ``(B, H, W)``."""
        scores: Tensor = self.layers(_levels(grey_BHW)).squeeze(1)
        return scores


class Refine(Finder):
    """Says of windows of 32 x 32 pixels whether they are a face, and how to move, size and turn them to be."""

    input, output, side = "windows", "places", CLOSE

    def __init__(self, widths: tuple[int, ...] = (24, 48, 48, 64, 96)) -> None:
        super().__init__()
        strides = (2, 2, 1, 2, 1)  # 32 -> 16 -> 8 -> 8 -> 4 -> 4
        stages = zip(pairwise((1, *widths)), strides, strict=True)
        self.layers = nn.Sequential(
            *(layer for (i, o), stride in stages for layer in _convolution(i, o, 3, stride=stride, padding=1)),
            *_convolution(widths[-1], 96, 4),  # -> 1
            nn.Conv2d(96, 5, 1),
        )

    def forward(self, windows_BHW: Tensor) -> Tensor:
        """Return ``(B, 5)`` of windows 0 to 255 ``(B, 32, 32)``.

        Logit; how far right and how far down the face lies, in sides of the window, as the window is turned; logarithm
        of the face's side over the window's; the clockwise turn of the face against the window, in radians.
        """
        places: Tensor = self.layers(_levels(windows_BHW)).flatten(1)
        return places


def _levels(grey_BHW: Tensor) -> Tensor:
    return grey_BHW.unsqueeze(1).to(torch.float32) / 255 - 0.5


def _convolution(channels: int, out: int, side: int, *, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, side, stride, padding, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
