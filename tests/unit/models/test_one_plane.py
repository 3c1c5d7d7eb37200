"""What our own networks are made of."""

import pytest
import torch

from ferkit.models import build_model
from ferkit.models.one_plane import Blur, two_means


def some_planes():
    return torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def test_anti_aliased_pooling_is_the_mean_of_two_pixels_twice_each_way():
    blurred = Blur()(some_planes())
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    torch.testing.assert_close(blurred[0, 1, 2, 3], (some_planes()[0, 1, 3:6, 5:8] * row * row[:, None]).sum())
    torch.testing.assert_close(two_means(some_planes()), blurred)  # as a GPU does it


def test_anti_aliased_pooling_rounds_once_where_the_network_computes_in_bf16():
    planes = some_planes().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        blurred = Blur()(planes)
    torch.testing.assert_close(blurred, Blur()(planes.float()).bfloat16(), rtol=0, atol=0)


def test_anti_aliased_pooling_can_be_counted_without_being_computed():
    assert Blur().to("meta")(some_planes().to("meta")).shape == (2, 3, 12, 12)


@pytest.mark.parametrize("name", ["compact", "residual"])
def test_an_anti_aliased_network_can_begin_with_the_weights_of_one_that_is_not(name):
    plain, blurred = (build_model(name, width=0.25, blur=blur).state_dict() for blur in (False, True))
    assert {key: value.shape for key, value in plain.items()} == {key: value.shape for key, value in blurred.items()}
