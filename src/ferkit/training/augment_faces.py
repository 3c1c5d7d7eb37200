"""Augmentation for recognition: what differs between two photographs of one expression, for many faces at once.

Where a detector puts its box (shift, size, rotation), the side a face is seen from (mirror image), light (contrast,
brightness), and what covers a part of it (a grey rectangle). None of it turns a face upside down, as the report's
augmentation does.

What happens to a face is a function of seed, epoch and its position in Training, drawn as in
:mod:`ferkit.training.augment_batched`; the arithmetic is float32, so a GPU may differ from a CPU by a grey level.

Letters: N faces, H height, W width.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ferkit.training.splitmix import random_fields, random_words

ROTATION = 15.0
"""Degrees, to either side."""
SIZE = 1.2
"""From one over this to this, evenly on a logarithmic scale."""
SHIFT = 0.1
"""Share of the side, in either direction."""
CONTRAST = 1.4
"""As SIZE."""
BRIGHTNESS = 32.0
"""Grey levels, in either direction."""
ERASED = 0.3
"""Probability that a rectangle is covered ..."""
ERASED_SIDE = (0.15, 0.5)
"""... and the range of its height and its width, shares of the side."""

_WORDS = 4  # of 64 bits: 16 fields a face
_MIRROR = 2  # the field that decides about the mirror image: it is mirrored below _HALF
_HALF = 32768


def augment_faces(images_NHW: Tensor, fields_N16: Tensor) -> Tensor:
    """Return changed copies of faces.

    Args:
        images_NHW: ``(N, H, W)`` uint8.
        fields_N16: Of :func:`draw_faces`, on the same device.
    """
    u = fields_N16.T / 65536.0
    moved = _moved(images_NHW.float(), u[:6])
    middle = 127.5
    contrast, brightness = _spread(u[6], CONTRAST), BRIGHTNESS * (2 * u[7] - 1)
    lit = (moved - middle) * contrast[:, None, None] + (middle + brightness)[:, None, None]
    covered = torch.where(_rectangle(lit, u[8:13]), 255 * u[13][:, None, None], lit)
    return covered.round_().clamp_(0, 255).to(torch.uint8)


def draw_faces(
    seed: int, epochs_N: Tensor, samples_N: Tensor, mirror: Literal["random", "alternating"] = "random"
) -> Tensor:
    """Return ``(N, 16)`` int32 in 0..65535, on the CPU; ``epochs_N`` and ``samples_N`` are ``(N,)`` int64.

    With ``alternating`` mirror images, chance decides for each face about the first epoch alone, and every other epoch
    shows it the other way round. Source: https://arxiv.org/abs/2404.00498.
    """
    first = random_words(torch.tensor(0), torch.tensor(seed))
    fields_N16 = random_fields(random_words(random_words(first, epochs_N), samples_N), 0, _WORDS)
    if mirror == "alternating":
        start_N = random_fields(random_words(random_words(first, torch.zeros_like(epochs_N)), samples_N), 0, _WORDS)
        mirrored_N = (start_N[:, _MIRROR] < _HALF) ^ (epochs_N % 2 == 1)
        fields_N16[:, _MIRROR] = torch.where(mirrored_N, 0, _HALF)
    return fields_N16


def _moved(images_NHW: Tensor, u: Tensor) -> Tensor:
    """Return faces rotated, enlarged, shifted and mirrored; beyond the picture its edge goes on."""
    angle = math.radians(ROTATION) * (2 * u[0] - 1)
    size = _spread(u[1], SIZE)
    mirror = torch.where(u[2] < 0.5, -1.0, 1.0)
    cos, sin = angle.cos() / size, angle.sin() / size
    shifts = 2 * SHIFT * (2 * u[3:5] - 1)
    rows = torch.stack([torch.stack([cos * mirror, -sin, shifts[0]]), torch.stack([sin * mirror, cos, shifts[1]])])
    grid = F.affine_grid(rows.permute(2, 0, 1), [len(images_NHW), 1, *images_NHW.shape[1:]], align_corners=False)
    moved = F.grid_sample(images_NHW[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved[:, 0]


def _rectangle(images_NHW: Tensor, u: Tensor) -> Tensor:
    """Return where a rectangle covers each face: ``(N, H, W)`` bool."""
    side = images_NHW.shape[1]
    low, high = ERASED_SIDE
    pixels = torch.arange(side, device=images_NHW.device) + 0.5
    inside = []
    for extent, place in ((u[1], u[3]), (u[2], u[4])):
        length = side * (low + (high - low) * extent)
        first = place * (side - length)
        inside.append((pixels >= first[:, None]) & (pixels < (first + length)[:, None]))
    return (u[0] < ERASED)[:, None, None] & inside[0][:, :, None] & inside[1][:, None, :]


def _spread(u: Tensor, factor: float) -> Tensor:
    """Return numbers from ``1 / factor`` to ``factor``, evenly on a logarithmic scale."""
    return torch.exp(math.log(factor) * (2 * u - 1))
