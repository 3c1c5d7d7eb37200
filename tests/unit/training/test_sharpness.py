"""Sharpness-aware minimisation: up by its radius, and back."""

import pytest
import torch
from torch import nn

from ferkit.training.sharpness import Sharpness


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 16, 2))


def loss_of(model, x):
    return model(x).square().mean()


def test_it_climbs_the_gradient_by_the_radius_and_comes_back():
    model, x = network(), torch.randn(8, 1, 6, 6)
    before = [p.detach().clone() for p in model.parameters()]
    loss = loss_of(model, x)
    loss.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    sharpness = Sharpness(model, 0.05)
    sharpness.climb()
    moves = [p.detach() - b for p, b in zip(model.parameters(), before, strict=True)]
    length = torch.cat([m.flatten() for m in moves]).norm().item()
    assert length == pytest.approx(0.05, rel=1e-3)
    cosine = nn.functional.cosine_similarity(
        torch.cat([m.flatten() for m in moves]), torch.cat([g.flatten() for g in gradients]), dim=0
    )
    assert cosine.item() == pytest.approx(1, abs=1e-4)
    assert loss_of(model, x) > loss
    assert all(p.grad is None for p in model.parameters())
    sharpness.descend()
    for p, b in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p, b, rtol=0, atol=1e-6)


def test_the_gradient_is_that_of_the_higher_place_and_batch_norm_counts_the_batch_once():
    model, twin, x = network(), network(), torch.randn(8, 1, 6, 6)
    loss_of(model, x).backward()
    once = [b.clone() for b in model.buffers()]
    sharpness = Sharpness(model, 0.05)
    sharpness.climb()
    twin.load_state_dict({**model.state_dict(), **dict(zip(dict(twin.named_buffers()), once, strict=True))})
    loss_of(model, x).backward()
    sharpness.descend()
    loss_of(twin, x).backward()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    for found, expected in zip(model.buffers(), once, strict=True):
        assert torch.equal(found, expected)
