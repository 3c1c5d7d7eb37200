"""Pictures side by side: the numbers of PyTorch's convolution, only for small pictures, and only with AMX."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from conftest import gradients_of, make_faces
from convolving import gradients_before_a_change_in_place
from ferkit.models import build_model
from ferkit.training import convolutions
from ferkit.training.convolutions import quick_convolutions
from ferkit.training.mosaic import Mosaic, side_by_side

CPU = torch.device("cpu")
FORMS = [
    # kernel, stride, padding, height, width
    (3, 1, 1, 6, 6),
    (3, 2, 1, 12, 12),
    (3, 2, 1, 5, 7),
    (3, 1, 0, 5, 8),
    (2, 2, 0, 6, 6),
    (2, 2, 0, 7, 7),
    (1, 1, 0, 3, 3),
    (1, 1, 1, 4, 3),
    (5, 1, 2, 7, 4),
    (5, 3, 2, 9, 10),
    (4, 1, 1, 6, 6),
]


@pytest.fixture
def amx(monkeypatch):
    """Pretend that this processor has AMX; collect the sizes of what is put side by side, and how many."""
    taken = []
    real = Mosaic.apply
    monkeypatch.setattr(convolutions, "cpu_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True})
    monkeypatch.setattr(Mosaic, "apply", lambda x, *rest: taken.append((*x.shape, rest[-1])) or real(x, *rest))
    return taken


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), FORMS)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_result_and_gradients_are_those_of_a_convolution(kernel, stride, padding, height, width, together):
    torch.manual_seed(0)
    x = torch.randn(6, 3, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, kernel, kernel, dtype=torch.float64, requires_grad=True)
    how = (stride, stride), (padding, padding)
    ours, theirs = Mosaic.apply(x, weight, *how, together), F.conv2d(x, weight, None, *how)
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn_like(theirs)
    for one, other in zip(*(torch.autograd.grad(y, (x, weight), gradient) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


def test_height_and_width_may_be_treated_differently():
    x = torch.randn(4, 3, 9, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    for how in [((1, 2), (1, 0)), ((2, 1), (0, 1))]:
        ours, theirs = Mosaic.apply(x, weight, *how, 2), F.conv2d(x, weight, None, *how)
        torch.testing.assert_close(ours, theirs)
        of_both = [torch.autograd.grad(y.square().sum(), (x, weight)) for y in (ours, theirs)]
        for one, other in zip(*of_both, strict=True):
            torch.testing.assert_close(one, other)


def test_what_is_beside_a_picture_does_not_leak_into_it():
    x = torch.zeros(2, 1, 3, 3)
    x[0] = 1e6
    weight = torch.ones(1, 1, 3, 3)
    assert Mosaic.apply(x, weight, (1, 1), (1, 1), 2)[1].count_nonzero() == 0


def test_the_first_layers_input_needs_no_gradient():
    weight = torch.randn(4, 5, 3, 3, requires_grad=True)
    x = torch.randn(2, 5, 6, 6)
    Mosaic.apply(x, weight, (1, 1), (1, 1), 2).sum().backward()
    expected = torch.autograd.grad(F.conv2d(x, weight, padding=1).sum(), weight)[0]
    torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("batch", "side", "together"), [(128, 3, 16), (128, 6, 8), (128, 12, 4), (100, 3, 4), (37, 3, 1), (64, 24, 1)]
)
def test_as_many_are_put_side_by_side_as_a_row_needs_and_the_batch_allows(amx, batch, side, together):
    made = side_by_side(torch.zeros(batch, 64, side, side), torch.zeros(64, 64, 3, 3), (1, 1), (1, 1))
    if together == 1:
        assert made is None
        assert amx == []
        return
    assert made is not None
    assert made.shape == (batch, 64, side, side)
    assert amx == [(batch, 64, side, side, together)]


@pytest.mark.parametrize("bias", [False, True])
def test_in_bf16_it_rounds_as_pytorch_does(amx, bias):
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=bias)
    x = torch.randn(16, 64, 6, 6).relu().requires_grad_()
    exact = layer(x)
    gradient = torch.randn_like(exact)
    wanted = x, *layer.parameters()
    of_exact = torch.autograd.grad(exact, wanted, gradient)
    with torch.autocast("cpu", torch.bfloat16), quick_convolutions(layer, CPU):
        ours = layer(x)
    assert len(amx) == 1
    assert ours.dtype == torch.bfloat16
    of_ours = torch.autograd.grad(ours, wanted, gradient.bfloat16())
    for one, other in zip((ours, *of_ours), (exact, *of_exact), strict=True):
        assert (one.float() - other).norm() < 0.005 * other.norm()


@pytest.mark.parametrize(
    ("layer", "precision"),
    [
        (nn.Conv2d(64, 64, 3, padding=1), torch.float32),
        (nn.Conv2d(64, 64, 3, padding=2, dilation=2), torch.bfloat16),
        (nn.Conv2d(64, 64, 3, padding=1, groups=2), torch.bfloat16),
        (nn.Conv2d(64, 64, 3, padding="same"), torch.bfloat16),
        (nn.Conv2d(64, 63, 3, padding=1), torch.bfloat16),
        (nn.Conv2d(64, 64, 3, padding=5), torch.bfloat16),
    ],
)
def test_other_convolutions_are_pytorchs(amx, layer, precision):
    x = torch.randn(8, 64, 6, 6)
    with torch.autocast("cpu", precision) if precision == torch.bfloat16 else nullcontext():
        expected = layer(x)
        with quick_convolutions(layer, CPU):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)
    assert amx == []


def test_what_autocast_leaves_as_it_is_stays_and_sizes_may_be_tuples_of_one(amx):
    x, weight = torch.randn(8, 64, 6, 6), torch.randn(64, 64, 3, 3)
    with torch.autocast("cpu", torch.bfloat16), quick_convolutions(nn.Identity(), CPU):
        assert torch.conv2d(x.double(), weight.double(), None, 1, 1).dtype == torch.float64
        assert amx == []
        torch.conv2d(x, weight, None, (1,), (1,))
    assert amx == [(8, 64, 6, 6, 8)]


@pytest.mark.parametrize(("able", "device"), [({}, "cpu"), ({"amx_bf16": False}, "cpu"), ({"amx_bf16": True}, "cuda")])
def test_without_amx_nothing_changes(monkeypatch, able, device):
    monkeypatch.setattr(convolutions, "cpu_capabilities", lambda: able)
    assert isinstance(quick_convolutions(nn.Conv2d(16, 16, 3), torch.device(device)), nullcontext)


def test_what_comes_next_may_change_the_result_in_place(amx):
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    x = torch.randn(8, 64, 6, 6)
    theirs, ours = gradients_before_a_change_in_place(layer, x)
    assert len(amx) == 1
    assert (theirs - ours).norm() < 0.03 * theirs.norm()


def test_training_uses_it_for_every_small_picture_and_comes_to_the_same_gradients(amx):
    torch.manual_seed(0)
    network = build_model("compact", dropout=0.0)
    gradients = []
    for quick in (False, True):
        gradients.append(gradients_of(network, make_faces(16, seed=1), quick=quick))
        assert len(amx) == (11 if quick else 0)  # the last three stages' layers, but for the two that take 32 channels
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() < 0.05 * other.norm() + 1e-6
