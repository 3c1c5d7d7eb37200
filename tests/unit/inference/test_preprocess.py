"""Grey levels to network input: one definition, of which the exported file holds a copy."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ferkit.evaluation import network_input
from ferkit.inference.preprocess import scale

ALL_GREYS = torch.arange(2 * 8 * 16, dtype=torch.uint8).view(2, 8, 16)
"""Two crops that hold every grey level once."""


@pytest.mark.parametrize("make", [np.float32, torch.tensor], ids=["NumPy", "torch"])
def test_grey_levels_become_numbers_from_zero_to_one(make):
    assert [float(scale(make(level))) for level in (0.0, 51.0, 255.0)] == [0.0, float(np.float32(0.2)), 1.0]


def test_the_input_is_the_scaled_grey_plane_repeated_three_times_channels_last():
    planes = network_input(ALL_GREYS)
    assert (planes.shape, planes.dtype) == ((2, 3, 8, 16), torch.float32)
    assert all(torch.equal(planes[:, number], scale(ALL_GREYS.float())) for number in range(3))
    assert (planes[:, 0].flatten().diff() > 0).all()
    assert planes.is_contiguous(memory_format=torch.channels_last)


def test_the_crops_are_not_changed():
    crops = ALL_GREYS.clone()
    network_input(crops)[:] = 0
    assert torch.equal(crops, ALL_GREYS)


def test_no_crops_become_no_input():
    assert network_input(ALL_GREYS[:0]).shape == (0, 3, 8, 16)


def test_preprocessing_does_not_load_torch():
    code = "import sys, ferkit.inference.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
