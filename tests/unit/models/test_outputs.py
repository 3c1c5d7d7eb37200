"""What the networks return: log-probabilities, in float32."""

import pytest
import torch
from torch import nn

from ferkit.models import build_model, model_names

SMALL = [
    pytest.param("model1", {"widths": (2, 3, 4, 5), "kernel": 3, "dropout": 0.0}, id="model1"),
    pytest.param("model2", {}, id="model2"),
    pytest.param("model3", {"width": 1 / 32}, id="model3"),
    pytest.param("compact", {"width": 0.25}, id="compact"),
    pytest.param("compact", {"width": 0.25, "blur": True}, id="compact, anti-aliased"),
    pytest.param("convnext", {"width": 0.25, "depths": (1, 1, 2, 1), "drop_path": 0.2}, id="convnext"),
    pytest.param("residual", {"width": 0.125}, id="residual"),
    pytest.param(
        "residual",
        {"width": 0.125, "side": 64, "squeeze": True, "blur": True, "drop_path": 0.2},
        id="residual with everything",
    ),
    pytest.param("layers", {"depth": 4}, id="layers, depth 4"),
    pytest.param("layers", {"depth": 7}, id="layers, depth 7"),
]
"""Every architecture, as small as it gets."""


def some_faces(n=4):
    return torch.rand(n, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def build_seeded(name, options):
    torch.manual_seed(0)
    return build_model(name, **options)


def test_the_table_of_small_networks_has_every_architecture():
    assert {case.values[0] for case in SMALL} == set(model_names())


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_network_returns_log_probabilities_of_seven_classes(name, options):
    log_probs = build_seeded(name, options).eval()(some_faces())
    assert log_probs.shape == (4, 7)
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(4))
    assert log_probs.std() > 0


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_network_returns_float32_log_probabilities_also_where_it_computes_in_bf16(name, options):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_probs = build_seeded(name, options).eval()(some_faces())
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(4))


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_the_two_losses_of_the_report_are_one_function_of_the_outputs(name, options):
    labels = torch.tensor([0, 3, 6, 3])
    found = []
    for criterion in (nn.NLLLoss(), nn.CrossEntropyLoss()):
        model = build_seeded(name, options)
        loss = criterion(model(some_faces()), labels)
        loss.backward()
        found.append((loss.detach(), [p.grad for p in model.parameters()]))
    (nll, nll_gradients), (cross_entropy, cross_entropy_gradients) = found
    torch.testing.assert_close(nll, cross_entropy)
    torch.testing.assert_close(nll_gradients, cross_entropy_gradients, rtol=1e-4, atol=1e-5)
    assert any(gradient.abs().max() > 1e-3 for gradient in nll_gradients)


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_network_learns_a_few_faces_by_heart(name, options):
    coarse = torch.rand(7, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    faces = nn.functional.interpolate(coarse, size=48, mode="bilinear").repeat(1, 3, 1, 1)
    labels = torch.arange(7)
    model = build_seeded(name, {option: value for option, value in options.items() if option != "drop_path"})
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001 if name == "model2" else 0.01)
    for _ in range(25):
        loss = nn.functional.nll_loss(model(faces), labels)
        if loss < 1:  # 1.95 is chance
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_network_comes_in_training_mode_with_channels_last_weights(name, options):
    model = build_seeded(name, options)
    assert model.training
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)
