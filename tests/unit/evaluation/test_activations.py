import numpy as np
import pytest
import torch
from torch import nn

from ferkit.errors import DataError
from ferkit.evaluation import network_input
from ferkit.evaluation.activations import activations, filters, most_active, strongest_kernels
from ferkit.models import build_model

FACE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)


@pytest.mark.parametrize("name", ["model1", "model2", "layers"])
def test_filters_are_the_weights(name):
    model = build_model(name)
    weights = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    for number, weight in enumerate(weights, 1):
        assert np.array_equal(filters(model, number), weight.detach().numpy())


@pytest.mark.parametrize("layer", [0, -1, 5])
def test_a_layer_that_is_not_there_is_refused_with_the_range(layer):
    with pytest.raises(DataError, match=rf"^layer: expected a convolution from 1 to 4, got {layer}$"):
        filters(build_model("model1"), layer)


@pytest.mark.parametrize(("name", "options"), [("model1", {"kernel": 3}), ("model2", {}), ("layers", {"depth": 7})])
def test_activations_are_those_of_a_forward_pass_by_hand(name, options):
    torch.manual_seed(1)
    model = build_model(name, **options)
    found = activations(model, FACE)
    x, by_hand = network_input(torch.tensor(FACE[None])), []
    with torch.no_grad():
        for layer in model.eval().features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                by_hand.append(x[0].numpy())
    assert [name for name, _ in found] == [f"convolution {n}" for n in range(1, len(by_hand) + 1)]
    for (_, maps), expected in zip(found, by_hand, strict=True):
        assert np.array_equal(maps, expected)


def test_activations_leave_the_network_as_it_evaluates():
    model = build_model("model2", dropout=0.5).train()
    first, second = activations(model, FACE), activations(model, FACE)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))


def test_the_channels_that_vary_most_come_first_and_a_high_but_flat_one_last():
    maps = np.zeros((4, 6, 6), np.float32)
    maps[0] = 100
    maps[1, 0], maps[3, 0] = 1, 5
    maps[2] = maps[1]
    assert most_active(maps, 3).tolist() == [3, 1, 2]
    assert most_active(maps, 9).tolist() == [3, 1, 2, 0]


def test_of_the_strongest_filters_the_strongest_kernel_is_chosen():
    weight = np.zeros((3, 2, 3, 3), np.float32)
    weight[0, 1, 1, 1] = -4
    weight[1, 0] = 0.1
    weight[2, 0, 0, 0], weight[2, 1] = 1, 0.9
    chosen, planes = strongest_kernels(weight, 2)
    assert chosen.tolist() == [0, 2]
    assert planes.tolist() == [1, 1]
