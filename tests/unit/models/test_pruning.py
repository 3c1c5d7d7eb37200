"""Networks that begin with the strongest channels of wider ones."""

import pytest
import torch

from ferkit.models import build_model, pruned
from ferkit.models.one_plane import Block
from ferkit.models.pruning import _mean_square
from uneven import uneven_network


def wide_network(**options):
    return uneven_network("compact", width=0.5, **options)


def blocks(model):
    return [block for block in model.modules() if isinstance(block, Block)]


@torch.inference_mode()
def outputs(model):
    torch.manual_seed(1)
    return model(torch.rand(4, 1, 48, 48))


@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("silent", ["reading weights", "activations"])
def test_channels_that_bring_nothing_are_the_ones_left_out(silent, blur):
    wide = wide_network(blur=blur)
    for block in blocks(wide):
        first, norm, _, second, _ = block.body
        idle = torch.randperm(first.out_channels)[: first.out_channels // 2]
        if silent == "activations":
            norm.weight.data[idle], norm.bias.data[idle] = 1e-3, -1.0  # so ReLU lets nothing through
        else:
            second.weight.data[:, idle] = 0
    narrow = build_model("compact", width=0.5, bottleneck=0.5, blur=blur).eval()
    narrow.load_state_dict(pruned(wide.state_dict(), narrow))
    torch.testing.assert_close(outputs(narrow), outputs(wide))


def test_the_channels_kept_stay_in_order_and_what_is_outside_the_blocks_is_untouched():
    weights = wide_network().state_dict()
    before = {name: value.clone() for name, value in weights.items()}
    with torch.device("meta"):
        narrow = build_model("compact", width=0.5, bottleneck=0.5)
    kept = pruned(weights, narrow)
    assert {name: value.shape for name, value in kept.items()} == {
        name: value.shape for name, value in narrow.state_dict().items()
    }
    for name, value in weights.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        if value.shape == kept[name].shape:
            torch.testing.assert_close(kept[name], value, rtol=0, atol=0)
    means = "features.3.body.1.running_mean"
    places = [weights[means].tolist().index(mean) for mean in kept[means].tolist()]
    assert places == sorted(places)
    torch.testing.assert_close(kept["features.3.body.0.weight"], weights["features.3.body.0.weight"][places])
    torch.testing.assert_close(kept["features.3.body.3.weight"], weights["features.3.body.3.weight"][:, places])


def test_a_network_as_wide_keeps_everything():
    model = wide_network()
    weights = model.state_dict()
    kept = pruned(weights, model)
    assert all(kept[name] is value for name, value in weights.items())


@pytest.mark.parametrize(("name", "options"), [("compact", {}), ("residual", {"width": 0.125}), ("convnext", {})])
def test_weights_of_another_network_come_back_as_they_are(name, options):
    weights = build_model("model1").state_dict()
    assert pruned(weights, build_model(name, **options)).keys() == weights.keys()


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.7, -0.5), (-2.0, 1.0), (0.0, 0.5), (0.0, -0.5)])
def test_the_mean_square_of_an_activation_is_that_of_many(scale, shift):
    torch.manual_seed(0)
    drawn = torch.relu(scale * torch.randn(1_000_000, dtype=torch.float64) + shift).square().mean()
    expected = _mean_square(torch.tensor([scale]), torch.tensor([shift]))[0]
    torch.testing.assert_close(expected, drawn, rtol=0.01, atol=1e-9)
