"""Grey crops to network input: NumPy for recognition, torch for training, one definition."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ferkit.errors import DataError
from ferkit.evaluation import network_input
from ferkit.inference.preprocess import to_input

ALL_GREYS = np.arange(2 * 8 * 16, dtype=np.uint8).reshape(2, 8, 16)
"""Two crops that hold every grey level once."""


def test_recognition_and_training_see_the_same_numbers_to_the_last_bit():
    ours = to_input(ALL_GREYS)
    theirs = network_input(torch.from_numpy(ALL_GREYS))
    assert theirs.dtype == torch.float32
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs.numpy())


def test_grey_levels_become_numbers_from_zero_to_one_in_order():
    plane = to_input(ALL_GREYS)[:, 0].ravel()
    assert plane[[0, 51, 255]].tolist() == [0.0, np.float32(0.2), 1.0]
    assert (np.diff(plane) > 0).all()


def test_the_grey_plane_is_repeated_three_times():
    planes = to_input(ALL_GREYS)
    assert planes.shape == (2, 3, 8, 16)
    np.testing.assert_array_equal(planes, planes[:, :1].repeat(3, axis=1))


def test_the_crops_are_not_changed():
    crops = ALL_GREYS.copy()
    to_input(crops)[:] = 0
    np.testing.assert_array_equal(crops, ALL_GREYS)


def test_training_gets_its_input_channels_last():
    assert network_input(torch.from_numpy(ALL_GREYS)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "shape", [pytest.param((48, 48), id="one crop without its axis"), pytest.param((2, 1, 48, 48), id="four axes")]
)
def test_crops_of_another_shape_are_refused(shape):
    with pytest.raises(DataError) as refused:
        to_input(np.zeros(shape, np.uint8))
    assert str(refused.value) == f"crops must have shape (N, H, W), got {shape}"


def test_no_crops_become_no_input():
    assert to_input(np.zeros((0, 48, 48), np.uint8)).shape == (0, 3, 48, 48)


def test_preprocessing_does_not_load_torch():
    code = "import sys, ferkit.inference.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
