"""Networks that begin as narrower ones."""

import pytest
import torch
from torch import nn

from ferkit.models import build_model, widened
from uneven import uneven_network


@torch.inference_mode()
def outputs(model):
    torch.manual_seed(1)
    return model(torch.rand(4, 1, 48, 48).expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("name", "narrow", "wide"),
    [
        pytest.param("compact", {"width": 0.5}, {"width": 1.0}, id="twice as wide"),
        pytest.param("compact", {"width": 0.5}, {"width": 0.75}, id="half as wide again"),
        pytest.param("compact", {"width": 0.5, "bottleneck": 0.5}, {"width": 0.5}, id="wider inside"),
        pytest.param("compact", {"width": 0.5, "blur": True}, {"width": 1.0, "blur": True}, id="anti-aliased"),
        pytest.param("residual", {"width": 0.125, "squeeze": True}, {"width": 0.25, "squeeze": True}, id="squeezing"),
        pytest.param("convnext", {"width": 0.5}, {"width": 1.0}, id="layer norm and groups"),
        pytest.param(
            "model1", {"widths": [8, 8, 8, 8]}, {"widths": [16, 16, 16, 16]}, id="linear layers behind pixels"
        ),
    ],
)
def test_a_wider_network_begins_as_the_same_function(name, narrow, wide):
    model, larger = uneven_network(name, **narrow), uneven_network(name, **wide)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    larger.load_state_dict(widened(model.state_dict(), larger))
    torch.testing.assert_close(outputs(larger), outputs(model), rtol=1e-4, atol=1e-4)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_copies_of_a_channel_part_as_soon_as_they_learn():
    larger = uneven_network("compact", width=1.0)
    larger.load_state_dict(widened(uneven_network("compact", width=0.5).state_dict(), larger))
    larger.train()
    torch.manual_seed(2)
    nn.functional.nll_loss(larger(torch.rand(16, 1, 48, 48)), torch.randint(0, 7, (16,))).backward()
    for parameter in larger.parameters():
        gradient = parameter.grad
        if len(gradient) % 2 == 0:
            first, second = gradient.chunk(2)
            assert (first - second).abs().max() > 0.01 * gradient.abs().max()


def test_what_fits_already_is_kept_as_it_is():
    weights = (model := uneven_network("compact", width=0.5)).state_dict()
    kept = widened(weights, model)
    assert all(kept[key] is value for key, value in weights.items())


@pytest.mark.parametrize(
    ("name", "options"), [("compact", {"width": 0.25}), ("model2", {}), ("compact", {"width": 1.0, "stem": "full"})]
)
def test_what_cannot_fit_comes_back_unfitting(name, options):
    other = build_model(name, **options)
    kept = widened(uneven_network("compact", width=0.5).state_dict(), other)
    assert {key: value.shape for key, value in kept.items()} != {k: v.shape for k, v in other.state_dict().items()}
