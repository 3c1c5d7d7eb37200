"""Losses as the recipe names them; two of the names are of one function here."""

import pytest
import torch
from torch import nn

from ferkit.models import build_model, model_names
from ferkit.training.losses import build_criterion, soft_cross_entropy
from ferkit.training.recipe import Recipe


def recipe_with(**settings):
    return Recipe(model="model1", **settings)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("nll", nn.NLLLoss, id="nll"),
        pytest.param("cross_entropy", nn.CrossEntropyLoss, id="cross entropy"),
    ],
)
def test_a_criterion_is_the_mean_negative_log_likelihood(name, kind):
    criterion = build_criterion(recipe_with(loss=name))
    probabilities = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    assert type(criterion) is kind
    assert criterion(probabilities.log(), torch.tensor([0, 3])).item() == pytest.approx(
        1.5 * torch.log(torch.tensor(2.0)).item()
    )


@pytest.mark.parametrize("name", model_names())
def test_nll_and_cross_entropy_are_the_same_function_of_every_network(name):
    torch.manual_seed(0)
    model = build_model(name).eval()
    x, labels = torch.rand(2, 3, 48, 48), torch.tensor([3, 5])

    def value_and_gradients(loss):
        model.zero_grad()
        value = build_criterion(recipe_with(loss=loss))(model(x), labels)
        value.backward()
        return value.detach(), [p.grad.clone() for p in model.parameters()]

    (nll, nll_gradients), (entropy, entropy_gradients) = map(value_and_gradients, ("nll", "cross_entropy"))
    torch.testing.assert_close(nll, entropy, rtol=1e-6, atol=0)
    largest = max(g.abs().max() for g in nll_gradients)
    for a, b in zip(nll_gradients, entropy_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(largest))


def test_they_differ_where_a_network_returns_no_log_probabilities():
    logits, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    values = [build_criterion(recipe_with(loss=loss))(logits, labels) for loss in ("nll", "cross_entropy")]
    assert abs(values[0] - values[1]) > 1


def test_smoothed_labels_are_those_of_the_recipe():
    log_probs, labels = torch.randn(9, 7).log_softmax(1), torch.arange(9) % 7
    found = build_criterion(recipe_with(loss="cross_entropy", label_smoothing=0.2))(log_probs, labels)
    target = 0.8 * torch.eye(7)[labels] + 0.2 / 7
    expected = -(target * log_probs).sum(1).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(soft_cross_entropy(log_probs, target), expected)


def test_the_generalised_cross_entropy_is_that_of_the_paper():
    log_probs = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]).log()
    found = build_criterion(recipe_with(loss="gce"))(log_probs, torch.tensor([0, 1]))
    assert float(found) == pytest.approx(((1 - 0.5**0.7) / 0.7 + (1 - 0.2**0.7) / 0.7) / 2)


def test_the_generalised_cross_entropy_lies_between_cross_entropy_and_error_rate():
    log_probs = torch.log_softmax(torch.randn(6, 7, generator=torch.Generator().manual_seed(0)), 1)
    labels = torch.tensor([0, 1, 2, 3, 4, 5])
    p = log_probs.exp()[range(6), labels]
    expected = ((1 - p**0.7) / 0.7).mean()
    torch.testing.assert_close(build_criterion(recipe_with(loss="gce"))(log_probs, labels), expected)
    assert (1 - p).mean() < expected < nn.NLLLoss()(log_probs, labels)


def test_a_label_that_the_network_rules_out_has_little_gradient_in_it():
    logits = torch.tensor([[9.0, 0, 0, 0, 0, 0, 0]] * 2, requires_grad=True)
    labels = torch.tensor([1, 1])
    sizes = []
    for loss in ("gce", "nll"):
        build_criterion(recipe_with(loss=loss))(torch.log_softmax(logits, 1), labels).backward()
        sizes.append(logits.grad.abs().sum().item())
        logits.grad = None
    assert sizes[0] < 0.01 * sizes[1]
