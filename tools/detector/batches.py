"""Faces of FER2013, and what is none, as batches of windows to learn from.

A window is laid over a picture of FER2013 by its side, as a share of the picture's, by where its middle lies, in sides
of the picture from the picture's middle, and by a clockwise turn in radians. Close to the middle, about as large as it
ought to be, it is a face; far from it, or much too small or too large, it is a part of one. What lies beyond the
picture is made up: nobody may learn that the edges of FER2013's pictures make a face.

Letters: N windows, M pictures, H height, W width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from ferkit.inference.haar import CLOSE, FACE, WINDOW

LARGER = 1.25
"""Side of a mined window over that of the place it is of, so that it can be moved a little."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows to learn from; the faces come first."""

    windows: Tensor
    """Grey levels 0 to 255 ``(N, H, W)``."""
    is_face: Tensor
    """1 for faces, 0 for others ``(N,)``."""
    places: Tensor
    """What the second network is to say of the faces ``(faces, 4)``; see ``networks.Refine``."""


class Dice:
    """Random numbers for a batch."""

    def __init__(self, seed: int) -> None:
        self.generator = Generator().manual_seed(seed)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers from ``low`` to ``high``, each as likely."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def pick(self, things: Tensor, count: int) -> Tensor:
        """Return ``count`` of ``things``; one may come twice."""
        return things[torch.randint(len(things), (count,), generator=self.generator)]

    def happens(self, probability: float, *shape: int) -> Tensor:
        """Return True as often as ``probability`` says."""
        return torch.rand(shape, generator=self.generator) < probability


def to_propose(faces_MHW: Tensor, background: Tensor, count: int, dice: Dice) -> Batch:
    """Return ``count`` faces for the first network, half as many parts, twice as many windows of backgrounds.

    Args:
        faces_MHW: FER2013's pictures, 48 pixels a side, 0 to 1.
        background: Windows without faces, uint8 ``(M, 19, 19)``.
        count: Faces.
        dice: Random numbers.
    """
    cover = WINDOW / FACE
    halved = F.avg_pool2d(dice.pick(faces_MHW, count)[:, None], 2)[:, 0]
    turn = dice.between(-0.75, 0.75, count) * dice.happens(0.7, count)
    side = cover * dice.between(-0.16, 0.16, count).exp()
    right, down = dice.between(-0.07, 0.07, count), dice.between(-0.07, 0.07, count)
    face, _ = _cut(halved, side, right, down, turn, WINDOW)

    few = count // 2
    kind = dice.between(0, 1, few)
    size = _of_kind(kind, (0.25, 0.55), (0.6, 1.0), (1.35, 2.6), dice)
    away = _of_kind(kind, (0, 0.4), (0.3, 0.55), (0, 0.5), dice)
    halved = F.avg_pool2d(dice.pick(faces_MHW, few)[:, None], 2)[:, 0]
    part, beyond = _cut(halved, cover * size, *_direction(away, dice), dice.between(-0.4, 0.4, few), WINDOW)
    made_up = dice.pick(background, few) / 255
    share = ((beyond - 1) / 0.15).clamp(0, 1)
    part = part * (1 - share) + made_up * share

    windows = torch.cat([_mirrored(torch.cat([face, part]), dice), dice.pick(background, 2 * count) / 255])
    return _finished(windows, count, torch.empty(count, 0), dice)


def to_refine(faces_MHW: Tensor, background: Tensor, mined: Tensor | None, count: int, dice: Dice) -> Batch:
    """Return ``count`` faces for the second network, half as many parts, as many windows of backgrounds, and of mined.

    Args:
        faces_MHW: FER2013's pictures, 48 pixels a side, 0 to 1.
        background: Windows without faces, uint8 ``(M, 32, 32)``.
        mined: Windows the first network took for faces, uint8 ``(M, 40, 40)``.
        count: Faces.
        dice: Random numbers.
    """
    larger, turn = dice.between(-0.28, 0.28, count), dice.between(-0.8, 0.8, count) * dice.happens(0.75, count)
    right, down = dice.between(-0.2, 0.2, count), dice.between(-0.2, 0.2, count)
    pictures = _mirrored(dice.pick(faces_MHW, count), dice)
    face = _filled(pictures, larger.exp(), right, down, turn, background, dice)
    cos, sin = turn.cos(), turn.sin()
    places = torch.stack(
        [
            -(cos * right + sin * down) / larger.exp(),
            -(cos * down - sin * right) / larger.exp(),
            -larger,
            -turn,
        ],
        dim=1,
    )

    few = count // 2
    kind = dice.between(0, 1, few)
    size = _of_kind(kind, (0.2, 0.5), (0.7, 1.2), (1.7, 3.0), dice)
    away = _of_kind(kind, (0, 0.4), (0.38, 0.7), (0, 0.8), dice)
    pictures = _mirrored(dice.pick(faces_MHW, few), dice)
    part = _filled(pictures, size, *_direction(away, dice), dice.between(-0.8, 0.8, few), background, dice)

    parts = [face, part, dice.pick(background, count) / 255]
    if mined is not None:
        parts.append(_moved(dice.pick(mined, count) / 255, dice))
    windows = torch.cat(parts)
    coarse = dice.happens(0.3, len(windows))
    small = F.avg_pool2d(windows[coarse][:, None], 2)
    windows[coarse] = F.interpolate(small, scale_factor=2, mode="bilinear")[:, 0]
    return _finished(windows, count, places, dice)


def _finished(windows: Tensor, faces: int, places: Tensor, dice: Dice) -> Batch:
    is_face = torch.zeros(len(windows))
    is_face[:faces] = 1
    return Batch((255 * _lit(windows, dice)).round(), is_face, places)


def _of_kind(
    kind: Tensor, small: tuple[float, float], beside: tuple[float, float], large: tuple[float, float], dice: Dice
) -> Tensor:
    """Return a value for each part of a face: 40 % too small, 35 % beside it, 25 % too large."""
    values = [dice.between(*limits, len(kind)) for limits in (small, beside, large)]
    return torch.where(kind < 0.4, values[0], torch.where(kind < 0.75, values[1], values[2]))


def _direction(away: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    angle = dice.between(0, 2 * math.pi, len(away))
    return away * angle.cos(), away * angle.sin()


def _cut(
    pictures: Tensor, share: Tensor, right: Tensor, down: Tensor, turn: Tensor, side: int, padding: str = "reflection"
) -> tuple[Tensor, Tensor]:
    """Return windows ``(N, side, side)``, and how far each pixel lies from the middle, 1 at the picture's edge."""
    cos, sin = share * turn.cos(), share * turn.sin()
    maps = torch.stack([torch.stack([cos, -sin, 2 * right], 1), torch.stack([sin, cos, 2 * down], 1)], 1)
    grid = F.affine_grid(maps, [len(maps), 1, side, side], align_corners=False)
    cut = F.grid_sample(pictures[:, None], grid, padding_mode=padding, align_corners=False)[:, 0]
    return cut, grid.abs().amax(-1)


def _filled(
    pictures: Tensor, share: Tensor, right: Tensor, down: Tensor, turn: Tensor, background: Tensor, dice: Dice
) -> Tensor:
    """Return windows; what lies beyond the pictures is mirrored, or drawn out, or, mostly, a background."""
    count = len(pictures)
    mirrored, beyond = _cut(pictures, share, right, down, turn, CLOSE)
    drawn_out, _ = _cut(pictures, share, right, down, turn, CLOSE, padding="border")
    width = dice.between(0.02, 0.25, count, 1, 1)  # of the seam
    weight = ((beyond - 1 + width * dice.between(0, 1, count, 1, 1)) / width).clamp(0, 1)
    kind = dice.between(0, 1, count, 1, 1)
    other = torch.where(kind < 0.25, mirrored, torch.where(kind < 0.45, drawn_out, dice.pick(background, count) / 255))
    return mirrored * (1 - weight) + other * weight


def _moved(mined: Tensor, dice: Dice) -> Tensor:
    count = len(mined)
    share = dice.between(-0.2, 0.2, count).exp() / LARGER
    right, down = dice.between(-0.06, 0.06, count), dice.between(-0.06, 0.06, count)
    return _mirrored(_cut(mined, share, right, down, torch.zeros(count), CLOSE)[0], dice)


def _mirrored(windows: Tensor, dice: Dice) -> Tensor:
    """Return every other window as its mirror image."""
    return torch.where(dice.happens(0.5, len(windows), 1, 1), windows.flip(2), windows)


def _lit(windows: Tensor, dice: Dice) -> Tensor:
    """Return the windows with other contrast, light from a side, and noise."""
    count, side = len(windows), windows.shape[1]
    mean = windows.mean((1, 2), keepdim=True)
    windows = (windows - mean) * dice.between(0.35, 1.25, count, 1, 1) + mean * dice.between(0.5, 1.3, count, 1, 1)
    ramp = torch.linspace(-1, 1, side)
    windows = windows + dice.between(-0.12, 0.12, count, 1, 1) + dice.between(-0.15, 0.15, count, 1, 1) * ramp[:, None]
    windows = windows + dice.between(-0.15, 0.15, count, 1, 1) * ramp
    noise = torch.randn(windows.shape, generator=dice.generator) * dice.between(0, 0.05, count, 1, 1)
    return (windows + noise).clamp(0, 1)
