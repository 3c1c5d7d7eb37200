"""Convolutions with fewer multiplications: the numbers of PyTorch's, and only where they are meant to be."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from conftest import gradients_of, make_faces
from convolving import gradients_before_a_change_in_place
from ferkit.training import convolutions
from ferkit.training.convolutions import quick_convolutions
from ferkit.training.winograd import Winograd

QUICKER = {"avx512_bf16": True, "amx_bf16": False}
CPU = torch.device("cpu")


@pytest.fixture
def quicker(monkeypatch):
    """Pretend that this processor is one it pays on; count the convolutions computed this way."""
    taken = []
    real = Winograd.apply
    monkeypatch.setattr(convolutions, "cpu_capabilities", lambda: QUICKER)
    monkeypatch.setattr(Winograd, "apply", lambda x, weight: taken.append(tuple(x.shape)) or real(x, weight))
    return taken


@pytest.mark.parametrize(("height", "width"), [(13, 13), (6, 8), (5, 12), (1, 2)])
def test_result_and_gradients_are_those_of_a_convolution(height, width):
    torch.manual_seed(0)
    x = torch.randn(3, 5, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    ours, theirs = Winograd.apply(x, weight), F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn_like(theirs)
    for one, other in zip(*(torch.autograd.grad(y, (x, weight), gradient) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(Winograd.apply, (x[:1], weight))


def test_the_first_layers_input_needs_no_gradient():
    weight = torch.randn(4, 5, 3, 3, requires_grad=True)
    x = torch.randn(2, 5, 6, 6)
    Winograd.apply(x, weight).sum().backward()
    expected = torch.autograd.grad(F.conv2d(x, weight, padding=1).sum(), weight)[0]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-4)


def test_in_bf16_it_rounds_a_little_coarser(quicker):
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=1)
    x = torch.randn(4, 256, 13, 13).relu().requires_grad_()
    exact = layer(x)
    gradient = torch.randn_like(exact)
    of_exact = torch.autograd.grad(exact, (x, layer.weight, layer.bias), gradient)
    with torch.autocast("cpu", torch.bfloat16), quick_convolutions(layer, CPU):
        ours = layer(x)
    assert len(quicker) == 1
    assert ours.dtype == torch.bfloat16
    assert ours.is_contiguous(memory_format=torch.channels_last)
    of_ours = torch.autograd.grad(ours, (x, layer.weight, layer.bias), gradient.bfloat16())
    for one, other in zip((ours, *of_ours), (exact, *of_exact), strict=True):
        assert (one.float() - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize(
    ("layer", "side", "precision"),
    [
        (nn.Conv2d(256, 256, 3, padding=1), 8, torch.float32),
        (nn.Conv2d(256, 256, 3, padding=1), 4, torch.bfloat16),
        (nn.Conv2d(256, 256, 3), 8, torch.bfloat16),
        (nn.Conv2d(256, 256, 3, padding=1, stride=2), 8, torch.bfloat16),
        (nn.Conv2d(256, 256, 3, padding=2, dilation=2), 8, torch.bfloat16),
        (nn.Conv2d(256, 256, 3, padding=1, groups=2), 8, torch.bfloat16),
        (nn.Conv2d(256, 256, 5, padding=2), 8, torch.bfloat16),
        (nn.Conv2d(256, 64, 3, padding=1), 8, torch.bfloat16),
        (nn.Conv2d(256, 127, 3, padding=1), 8, torch.bfloat16),
    ],
)
def test_other_convolutions_are_pytorchs(quicker, layer, side, precision):
    wide = nn.Conv2d(128, 256, 3, padding=1)
    x = torch.randn(2, 256, side, side)
    autocast = torch.autocast("cpu", precision) if precision == torch.bfloat16 else nullcontext()
    with autocast:
        expected = layer(x)
        with quick_convolutions(nn.ModuleList([wide, layer]), CPU):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)
    assert quicker == []


@pytest.mark.parametrize(
    ("able", "device"),
    [({}, "cpu"), ({"avx512_bf16": True}, "cpu"), (QUICKER, "cuda")],
)
def test_where_it_would_not_be_quicker_nothing_changes(monkeypatch, able, device):
    monkeypatch.setattr(convolutions, "cpu_capabilities", lambda: able)
    wide = nn.Conv2d(256, 256, 3, padding=1)
    assert isinstance(quick_convolutions(wide, torch.device(device)), nullcontext)
    monkeypatch.setattr(convolutions, "cpu_capabilities", lambda: QUICKER)
    assert isinstance(quick_convolutions(nn.Conv2d(64, 256, 3, padding=1), CPU), nullcontext)
    assert not isinstance(quick_convolutions(wide, CPU), nullcontext)


def test_what_comes_next_may_change_the_result_in_place(quicker):
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False)
    x = torch.randn(8, 256, 6, 6)
    theirs, ours = gradients_before_a_change_in_place(layer, x)
    assert len(quicker) == 1
    assert (theirs - ours).norm() < 0.1 * theirs.norm()  # some pixels round to the other side of 0


def test_training_uses_it_and_comes_to_the_same_gradients(quicker):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 128, 8, stride=4), nn.ReLU(), nn.Conv2d(128, 256, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 7), nn.LogSoftmax(1))
    gradients = []
    for quick in (False, True):
        gradients.append(gradients_of(network, make_faces(8, seed=1), quick=quick))
        assert quicker == ([(8, 128, 11, 11)] if quick else [])
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()
