"""ConvNeXt: its size, what a block does, and that it costs what the network beside it costs."""

import pytest
import torch
from torch import nn

from ferkit.models import build_model
from ferkit.models.convnext import LAYER_SCALE, ChannelNorm, ConvNeXtBlock
from ferkit.models.flops import forward_flops
from ferkit.models.trace import trace


def parameters_of_a_block(channels):
    """Count by hand: around, norm, up, down, scale."""
    around, norm, up, down = 50 * channels, 2 * channels, 4 * channels * (channels + 1), channels * (4 * channels + 1)
    return around + norm + up + down + channels


def test_it_has_as_many_parameters_as_the_paper_s_layers_make():
    blocks = sum(n * parameters_of_a_block(c) for n, c in zip((2, 2, 6, 2), (32, 64, 128, 256), strict=True))
    halvings = sum(2 * c + 2 * c * (4 * c + 1) for c in (32, 64, 128))
    ends = (4 * 32 + 32 + 2 * 32) + 2 * 256 + (256 * 7 + 7)
    assert sum(p.numel() for p in build_model("convnext").parameters()) == blocks + halvings + ends


@pytest.mark.parametrize("width", [1.0, 0.1], ids=["as in the recipe", "several stages of the least width"])
def test_the_stages_halve_the_picture(width):
    layers = trace(build_model("convnext", width=width))
    sides = [layer.output.shape[2] for layer in layers if layer.output.ndim == 4]
    assert sorted(set(sides), reverse=True) == [48, 24, 12, 6, 3]


def test_its_cost_is_near_that_of_compact():
    cost, other = (forward_flops(name) for name in ("convnext", "compact"))
    assert 0.8 < cost / other < 1.3


def test_grey_levels_are_centred_before_the_first_norm_and_biases_begin_at_zero():
    model = build_model("convnext")
    faces = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    assert model.features[0](faces).flatten().tolist() == [-2.0, 0.0, 2.0]
    assert all(not layer.bias.any() for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))


def test_a_block_adds_a_tenth_of_what_it_finds():
    block, x = ConvNeXtBlock(8, 0.0).eval(), torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(block(x), x + LAYER_SCALE * block.body(x))


def test_the_norm_is_of_the_channels_of_each_pixel():
    y = ChannelNorm(16)(3 + 5 * torch.randn(2, 16, 4, 4))
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(2, 4, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_depth_is_stochastic_in_training_alone(training):
    torch.manual_seed(0)
    model = build_model("convnext", width=0.25, drop_path=0.9, dropout=0.0).train(training)
    x = torch.rand(2, 3, 48, 48)
    assert torch.equal(model(x), model(x)) is not training
