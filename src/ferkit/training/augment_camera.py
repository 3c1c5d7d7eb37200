"""What a camera does to a face: little light, a lens out of focus, noise, JPEG; for many faces at once.

FER2013's faces are seldom faint, blurred or noisy, and a network that saw no others takes noise for an expression. Half
of the faces are left alone; what may happen to the others happens in the order in which a camera does it.

What happens to a face is a function of seed, epoch and its position in Training. All arithmetic is element by element,
in float32, so it does not depend on the faces beside it; a GPU may differ from a CPU by a grey level.

Source: tables, blocks and qualities of JPEG as in ITU-T T.81, annexes A.3 and K.1, and libjpeg's scale of qualities.

Who is changed is drawn on the host, which so knows their number without asking the device. Nothing here waits for it.

Letters: N faces, G those with noise; H height, W width; u and v rows and columns of an 8 x 8 block.
"""

import math
import operator
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ferkit.data.faces import SIDE
from ferkit.training.splitmix import random_fields, random_words

TOUCHED = 0.5
"""Probability that anything happens to a face ..."""
EACH = 0.4
"""... and, where it does, that each of the four does."""
FAINT = 0.25
"""Contrast is multiplied with this to 1, evenly on a logarithmic scale; the levels left lie anywhere in 0 to 255."""
BLUR = (0.4, 1.6)
"""Standard deviation of the lens's blur, in pixels."""
NOISE = 15.0
"""Grey levels: standard deviation of the noise of each pixel, from 0 to this."""
QUALITY = (10.0, 70.0)
"""Of JPEG."""

_FIELDS = 4  # words of 64 bits that decide what happens to a face, before those of the noise
_FIRST = 8  # the first of them, behind those of `augment_faces`
_REACH = 5  # pixels to either side that a blur takes in
_BLOCK = 8

_TABLE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""How coarsely JPEG keeps each wave of a block at quality 50."""


class Pictures(NamedTuple):
    """What the random numbers decided for ``N`` faces."""

    how: Tensor
    """``(16, N)`` float32 in (0, 1): how much of each thing happens, to those it happens to."""
    faint: Tensor
    """``(.,)`` int64: which stand in little light."""
    blurred: Tensor
    """``(.,)`` int64: which are out of focus."""
    noisy: Tensor
    """``(G,)`` int64: which get noise."""
    packed: Tensor
    """``(.,)`` int64: which become JPEG."""
    keys: Tensor
    """``(G,)`` int64: states of the generators of the noise."""


def take_pictures(images_NHW: Tensor, drawn: Pictures) -> Tensor:
    """Return changed copies of faces.

    Args:
        images_NHW: ``(N, 48, 48)`` uint8.
        drawn: What to do, on the same device.
    """
    how, faint, blurred, noisy, packed, keys = drawn
    grey = images_NHW.float()
    grey[faint] = _in_little_light(grey[faint], how[5, faint], how[6, faint])
    grey[blurred] = _out_of_focus(grey[blurred], BLUR[0] + (BLUR[1] - BLUR[0]) * how[7, blurred])
    grey[noisy] += NOISE * how[8, noisy, None, None] * _normal(keys)
    grey = grey.round().clamp(0, 255)
    grey[packed] = _as_jpeg(grey[packed], QUALITY[0] + (QUALITY[1] - QUALITY[0]) * how[9, packed])
    return grey.to(torch.uint8)


def draw_pictures(seed: int, epochs_N: Tensor, samples_N: Tensor) -> Pictures:
    """Decide what happens to faces, on the CPU.

    Args:
        seed: The run's.
        epochs_N: ``(N,)`` int64, from 0.
        samples_N: ``(N,)`` int64, positions in Training.
    """
    first = random_words(torch.tensor(0), torch.tensor(seed))
    keys = random_words(random_words(first, epochs_N), samples_N)
    how = (random_fields(keys, _FIRST, _FIRST + _FIELDS).T + 0.5) / 65536.0
    who = [torch.nonzero((how[0] < TOUCHED) & (how[1 + number] < EACH))[:, 0] for number in range(4)]
    faint, blurred, noisy, packed = who
    return Pictures(how, faint, blurred, noisy, packed, keys[noisy])


def _in_little_light(grey_NHW: Tensor, faint_N: Tensor, place_N: Tensor) -> Tensor:
    contrast_N = torch.exp(math.log(FAINT) * faint_N)
    lowest_N = 255 * (1 - contrast_N) * place_N
    return grey_NHW * contrast_N[:, None, None] + lowest_N[:, None, None]


def _out_of_focus(grey_NHW: Tensor, sigma_N: Tensor) -> Tensor:
    weights = [torch.exp(-0.5 * (step / sigma_N) ** 2) for step in range(-_REACH, _REACH + 1)]
    whole = _sum(weights)
    for axis in (1, 2):
        edges = (0, 0, _REACH, _REACH) if axis == 1 else (_REACH, _REACH, 0, 0)
        padded = F.pad(grey_NHW[:, None], edges, mode="replicate")[:, 0]
        parts = [
            (weight / whole)[:, None, None] * padded.narrow(axis, number, SIDE) for number, weight in enumerate(weights)
        ]
        grey_NHW = _sum(parts)
    return grey_NHW


def _normal(states_N: Tensor) -> Tensor:
    """Return ``(N, 48, 48)`` of the standard normal distribution."""
    first = _FIRST + _FIELDS
    even = (random_fields(states_N, first, first + SIDE * SIDE // 4) + 0.5) / 32768.0 - 1
    return math.sqrt(2) * torch.erfinv(even).view(-1, SIDE, SIDE)


def _as_jpeg(grey_NHW: Tensor, quality_N: Tensor) -> Tensor:
    scale_N = torch.where(quality_N < 50, 5000 / quality_N, 200 - 2 * quality_N)
    table_Nuv = ((_table(grey_NHW.device) * scale_N[:, None, None] + 50) / 100).floor().clamp(1, 255)
    blocks = grey_NHW.view(-1, SIDE // _BLOCK, _BLOCK, SIDE // _BLOCK, _BLOCK) - 128
    steps = table_Nuv[:, None, :, None, :]
    waves = (_turned(blocks, _waves(grey_NHW.device)) / steps).round() * steps
    return (_turned(waves, _waves(grey_NHW.device).T) + 128).round().clamp(0, 255).view_as(grey_NHW)


def _turned(blocks: Tensor, matrix: Tensor) -> Tensor:
    """Return ``matrix @ block @ matrix.T`` of blocks ``(N, down, 8, across, 8)``."""
    for axis in (2, 4):
        shape = [-1 if at == axis else 1 for at in range(5)]
        parts = [matrix[:, k].view(shape) * blocks.narrow(axis, k, 1) for k in range(_BLOCK)]
        blocks = _sum(parts)
    return blocks


def _sum(parts: Sequence[Tensor]) -> Tensor:
    """Return their sum, one after the other: a reduction of a stack adds in an order that depends on the place."""
    return reduce(operator.add, parts)


@lru_cache(maxsize=4)
def _table(device: torch.device) -> Tensor:
    return _TABLE.to(device)


def _waves(device: torch.device) -> Tensor:
    """Return the matrix of the discrete cosine transform."""
    numbers = torch.arange(_BLOCK, device=device, dtype=torch.float32)
    matrix = torch.cos(math.pi / _BLOCK * numbers[:, None] * (numbers + 0.5)) * math.sqrt(2 / _BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix
