"""The report's augmentation for many faces at once, on the device they are on.

Source: the report, section 2.1; parameters in :mod:`ferkit.training.augment_settings`. Same transforms, same order and
same distribution as the pipeline of Albumentations in :mod:`ferkit.training.augment_report`, which a test compares; not
the same random numbers.

What happens to a face is a function of seed, epoch and its position in Training: 16 random bits each
(:mod:`ferkit.training.splitmix`) decide, or look up in a table, what is not a whole number. The rest is arithmetic on
whole numbers, and one product that is rounded alike everywhere; so a face is the same, to the last bit, alone or in any
batch, on a CPU and on a GPU.

Which faces are rotated, holed or noisy is drawn on the host, which so knows their number without asking the device;
only they are worked on. Nothing here waits for the device.

Letters: N faces, R those rotated, D with holes, G noisy; H height, W width.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ferkit.data.faces import SIDE
from ferkit.training import augment_settings as settings
from ferkit.training.splitmix import random_fields, random_words

LEVELS = 1 << 16
"""Values of a random field."""

_NOISE_FROM = 6  # words of a face: two to decide, four for the holes, then four pixels' noise each
_WORDS = _NOISE_FROM + SIDE * SIDE // 4
_PAD = 12  # pixels: a corner that is turned inwards reaches back 9.8, and its neighbour one more
_ONE = 1 << 20  # of a sine, and of half a pixel


class Draws(NamedTuple):
    """What the random numbers decided for ``N`` faces."""

    horizontal: Tensor
    """``(N,)`` bool: flip left to right."""
    vertical: Tensor
    """``(N,)`` bool: flip top to bottom."""
    rotated: Tensor
    """``(R,)`` int64: which to rotate."""
    angles: Tensor
    """``(R,)`` int32: by how much, in 0..65535 for the range from one largest angle to the other."""
    holed: Tensor
    """``(D,)`` int64: which to cut holes into."""
    corners: Tensor
    """``(D, 8, 2)`` int32: row and column of each hole's upper left pixel."""
    noisy: Tensor
    """``(G,)`` int64: which to add noise to."""
    deviations: Tensor
    """``(G,)`` int32: standard deviation, in 0..65535 for the range from the smallest to the largest."""
    keys: Tensor
    """``(G,)`` int64: states of the generators of the noise."""


def draw(seed: int, epochs_N: Tensor, samples_N: Tensor) -> Draws:
    """Decide what happens to faces, on the CPU.

    Args:
        seed: The run's.
        epochs_N: ``(N,)`` int64, from 0.
        samples_N: ``(N,)`` int64, positions in Training.
    """
    keys = random_words(random_words(random_words(torch.tensor(0), torch.tensor(seed)), epochs_N), samples_N)
    fields = random_fields(keys, 0, _NOISE_FROM)
    rotated = _chosen(fields[:, 2], settings.ROTATION).nonzero()[:, 0]
    holed = _chosen(fields[:, 4], settings.DROPOUT).nonzero()[:, 0]
    noisy = _chosen(fields[:, 5], settings.NOISE).nonzero()[:, 0]
    corners = fields[holed, 8 : 8 + 2 * settings.HOLES].view(len(holed), settings.HOLES, 2)
    return Draws(
        horizontal=_chosen(fields[:, 0], settings.HORIZONTAL_FLIP),
        vertical=_chosen(fields[:, 1], settings.VERTICAL_FLIP),
        rotated=rotated,
        angles=fields[rotated, 3],
        holed=holed,
        corners=corners * (SIDE - settings.HOLE_SIDE + 1) // LEVELS,
        noisy=noisy,
        deviations=fields[noisy, 6],
        keys=keys[noisy],
    )


def augment_batch(images_NHW: Tensor, draws: Draws) -> Tensor:
    """Return changed copies of faces.

    Args:
        images_NHW: ``(N, 48, 48)`` uint8.
        draws: What to do, on the same device.
    """
    changed = flip(images_NHW, draws.horizontal, draws.vertical)
    changed[draws.rotated] = rotate(changed[draws.rotated], draws.angles)
    changed[draws.holed] = cut_holes(changed[draws.holed], draws.corners)
    changed[draws.noisy] = add_noise(changed[draws.noisy], draws.deviations, draws.keys)
    return changed


def flip(images_NHW: Tensor, horizontal_N: Tensor, vertical_N: Tensor) -> Tensor:
    """Return copies, mirrored left to right and top to bottom where asked."""
    mirrored = torch.where(horizontal_N[:, None, None], images_NHW.flip(2), images_NHW)
    return torch.where(vertical_N[:, None, None], mirrored.flip(1), mirrored)


def rotate(images_RHW: Tensor, angles_R: Tensor) -> Tensor:
    """Return copies, turned about their centre, the borders mirrored, linear between pixels.

    Positions are rounded to 1/32 pixel, as OpenCV's are.

    Args:
        images_RHW: ``(R, 48, 48)`` uint8.
        angles_R: ``(R,)`` int32 in 0..65535; counted as the drawn angles of :class:`Draws`.
    """
    tables = _tables(images_RHW.device)
    padded = images_RHW[:, tables.mirrored][:, :, tables.mirrored]
    last = padded.shape[1] - 1
    # Each position beside its right, lower and lower right neighbour: one look-up finds all four.
    corners = [padded[:, y : y + last, x : x + last] for y in (0, 1) for x in (0, 1)]
    quads = torch.stack(corners, dim=3).view(torch.int32)
    cos, sin = tables.cos_sin[angles_R].unbind(1)
    pixels = torch.arange(SIDE, dtype=torch.int32, device=images_RHW.device)
    twice = 2 * pixels - (SIDE - 1)  # half pixels from the centre
    along, across = cos[:, None] * twice, sin[:, None] * twice
    centre = 2 * _ONE * _PAD + _ONE * (SIDE - 1) + _ONE // 32  # the last to round
    x = along[:, None, :] - across[:, :, None] + centre
    y = across[:, None, :] + along[:, :, None] + centre
    found = quads.flatten(1).gather(1, ((y >> 21) * last + (x >> 21)).flatten(1).long())
    levels = found[:, :, None].view(torch.uint8).to(torch.int32).view(*images_RHW.shape, 4)
    right, down = (x >> 16) & 31, (y >> 16) & 31
    upper = (levels[..., 0] << 5) + (levels[..., 1] - levels[..., 0]) * right
    lower = (levels[..., 2] << 5) + (levels[..., 3] - levels[..., 2]) * right
    return (((upper << 5) + (lower - upper) * down + (1 << 9)) >> 10).to(torch.uint8)


def cut_holes(images_DHW: Tensor, corners_D: Tensor) -> Tensor:
    """Return copies, black where a hole of 8 x 8 pixels covers them; ``corners_D`` is ``(D, 8, 2)``."""
    pixels = torch.arange(SIDE, device=images_DHW.device)
    from_corner = pixels - corners_D[..., None]
    inside = ((from_corner >= 0) & (from_corner < settings.HOLE_SIDE)).float()
    holes_over = inside[:, :, 0].transpose(1, 2) @ inside[:, :, 1]
    return torch.where(holes_over > 0, 0, images_DHW)


def add_noise(images_GHW: Tensor, deviations_G: Tensor, keys_G: Tensor) -> Tensor:
    """Return copies with Gaussian noise, cut down to whole grey levels towards zero.

    Args:
        images_GHW: ``(G, 48, 48)`` uint8.
        deviations_G: ``(G,)`` int32 in 0..65535; counted as those of :class:`Draws`.
        keys_G: ``(G,)`` int64.
    """
    tables = _tables(images_GHW.device)
    normal = tables.normal.index_select(0, random_fields(keys_G, _NOISE_FROM, _WORDS).view(-1)).view(images_GHW.shape)
    noise = (normal * tables.deviation[deviations_G][:, None, None]).to(torch.int16)
    return (images_GHW + noise).clamp_(0, 255).to(torch.uint8)


class _Tables(NamedTuple):
    mirrored: Tensor
    """``(H + 2 pad,)`` int64: rows of a face beyond its borders, the border itself not repeated."""
    cos_sin: Tensor
    """``(65536, 2)`` int32: of each angle, from the smallest to the largest, in units of 2 to the -20."""
    deviation: Tensor
    """``(65536,)`` float32 grey levels."""
    normal: Tensor
    """``(65536,)`` float32: quantiles of the standard normal distribution."""


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> _Tables:
    """Return what fields stand for, computed in float64 on the CPU so that every device has the same."""
    middles = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    angles = torch.deg2rad((2 * middles - 1) * settings.LARGEST_ANGLE)
    low, high = settings.NOISE_STD
    rows = torch.arange(-_PAD, SIDE + _PAD).abs()
    tables = _Tables(
        mirrored=(SIDE - 1) - ((SIDE - 1) - rows).abs(),
        cos_sin=torch.stack([angles.cos(), angles.sin()], 1).mul(_ONE).round().to(torch.int32),
        deviation=(low + (high - low) * middles).float(),
        normal=torch.special.ndtri(middles).float(),
    )
    return _Tables(*(table.to(device) for table in tables))


def _chosen(fields: Tensor, probability: float) -> Tensor:
    return fields < round(probability * LEVELS)
