"""Muon: what its update is, and that it learns."""

import copy

import pytest
import torch
from torch import nn

from ferkit.training.muon import COEFFICIENTS, STEPS, Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert found.shape == shape
    assert ((values > 0.6) & (values < 1.3)).all()
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    aligned = (u.T @ found @ vh.T).diagonal()
    assert (aligned > 0.6).all()


@pytest.mark.parametrize("decades", [0, 3, 8], ids="spectrum over {} decades".format)
@pytest.mark.parametrize("shape", [(24, 216), (216, 24)])
def test_it_is_the_iteration_of_the_source_whatever_the_spectrum(shape, decades):
    u, s, vh = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(0)), full_matrices=False)
    matrix = (u * torch.logspace(0, -decades, len(s))) @ vh
    a, b, c = COEFFICIENTS
    expected = matrix.double() / matrix.double().norm()
    for _ in range(STEPS):
        gram = expected @ expected.T
        expected = a * expected + (b * gram + c * gram @ gram) @ expected
    torch.testing.assert_close(
        orthogonal(matrix), expected.float(), rtol=0, atol=1e-3
    )  # of the least singular values float32 holds one digit


def test_a_convolution_moves_by_the_rate_whatever_the_size_of_its_gradient():
    steps = []
    for size in (1e-4, 1e4):
        torch.manual_seed(0)
        layer = nn.Conv2d(8, 16, 3, bias=False)
        before = layer.weight.detach().clone()
        layer.weight.grad = size * torch.randn_like(before)
        Muon(layer.parameters(), lr=0.1, weight_decay=0.0, momentum=0.9).step()
        steps.append(layer.weight.detach() - before)
    torch.testing.assert_close(steps[0], steps[1], rtol=0, atol=1e-4)
    root_mean_square = steps[0].square().mean().sqrt().item()
    assert root_mean_square == pytest.approx(0.1 * 0.2, rel=0.35)


def test_all_else_moves_as_sgd_with_nesterovs_momentum():
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    settings = {"lr": 0.1, "weight_decay": 0.01, "momentum": 0.9}
    pairs = [(ours, Muon(ours.parameters(), **settings))]
    pairs.append((theirs, torch.optim.SGD(theirs.parameters(), nesterov=True, **settings)))
    x = torch.randn(5, 4)
    for _ in range(4):
        for layer, optimizer in pairs:
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_no_momentum_is_left_that_float32_cannot_say_exactly():
    torch.manual_seed(0)
    weight = nn.Conv2d(4, 8, 3).weight
    optimizer = Muon([weight], lr=0.01, weight_decay=0.01, momentum=0.5)
    for step in range(140):  # 2 ** -140 is below the least normal number
        weight.grad = torch.randn_like(weight)
        weight.grad[:2] *= step == 0  # two filters die
        optimizer.step()
    gathered = optimizer.state[weight]["momentum_buffer"]
    assert torch.equal(gathered[:2], torch.zeros_like(gathered[:2]))
    assert gathered[2:].abs().max() > 0.1


def test_it_goes_on_from_its_state():
    torch.manual_seed(0)
    one, other = (nn.Conv2d(1, 4, 3) for _ in range(2))
    other.load_state_dict(one.state_dict())
    settings = {"lr": 0.1, "weight_decay": 0.01, "momentum": 0.9}
    before, after = Muon(one.parameters(), **settings), Muon(other.parameters(), **settings)
    gradients = [[torch.randn_like(p) for p in one.parameters()] for _ in range(2)]

    def step(layer, optimizer, values):
        for p, value in zip(layer.parameters(), values, strict=True):
            p.grad = value.clone()
        optimizer.step()

    step(one, before, gradients[0])
    other.load_state_dict(one.state_dict())
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    step(one, before, gradients[1])
    step(other, after, gradients[1])
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_of_each_of_a_batch_it_makes_what_it_makes_of_it_alone():
    batch = (
        torch.randn((3, 8, 24), generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-3, 1, 1e3])[:, None, None]
    )
    torch.testing.assert_close(orthogonal(batch), torch.stack([orthogonal(each) for each in batch]))


def test_convolutions_of_one_shape_move_as_each_does_alone():
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 4, 3)]
    alone = copy.deepcopy(layers)
    settings = {"lr": 0.1, "weight_decay": 0.01, "momentum": 0.9}
    together = Muon([p for layer in layers for p in layer.parameters()], **settings)
    optimizers = [Muon(layer.parameters(), **settings) for layer in alone]
    for _ in range(3):
        for layer, twin in zip(layers, alone, strict=True):
            for one, other in zip(layer.parameters(), twin.parameters(), strict=True):
                one.grad = torch.randn_like(one)
                other.grad = one.grad.clone()
        for optimizer in (together, *optimizers):
            optimizer.step()
    for layer, twin in zip(layers, alone, strict=True):
        torch.testing.assert_close(layer.weight, twin.weight)
        torch.testing.assert_close(layer.bias, twin.bias)
