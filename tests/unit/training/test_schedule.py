"""Optimizers, criteria and schedules as the recipe names them."""

import pytest
import torch
from torch import nn

from ferkit.models import build_model, model_names
from ferkit.training.muon import Muon
from ferkit.training.recipe import Recipe
from ferkit.training.schedule import (
    build_criterion,
    build_optimizer,
    build_scheduler,
    soft_cross_entropy,
    steps_each_batch,
)

STEPS = 10


def recipe_with(**settings):
    return Recipe(**{"model": "model1", "lr": 0.02, "epochs": 4, **settings})


def network():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def run(recipe):
    """Return the parameter group of the optimizer at each batch of a run, and after its end."""
    optimizer = build_optimizer(network(), recipe)
    scheduler = build_scheduler(optimizer, recipe, STEPS)
    groups = []
    for batch in range(recipe.epochs * STEPS):
        groups.append(dict(optimizer.param_groups[0]))
        optimizer.step()
        if scheduler and (steps_each_batch(recipe) or batch % STEPS == STEPS - 1):
            scheduler.step()
    return groups, dict(optimizer.param_groups[0])


# -------------------------------------------------------------------------------------------------------- optimizers


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        pytest.param(
            {"optimizer": "sgd"},
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.0009, "nesterov": False, "dampening": 0},
            id="sgd",
        ),
        pytest.param(
            {"optimizer": "adam"},
            torch.optim.Adam,
            {"lr": 0.02, "betas": (0.9, 0.999), "weight_decay": 0.0, "amsgrad": False},
            id="adam",
        ),
        pytest.param(
            {"optimizer": "adam", "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}, id="adam with decay"
        ),
        pytest.param({"weight_decay": 0.0}, torch.optim.SGD, {"weight_decay": 0.0}, id="sgd without decay"),
        pytest.param({"optimizer": "nesterov"}, torch.optim.SGD, {"nesterov": True, "momentum": 0.9}, id="nesterov"),
        pytest.param({"optimizer": "adamw"}, torch.optim.AdamW, {"lr": 0.02}, id="adamw"),
        pytest.param(
            {"optimizer": "muon", "weight_decay": 0.01}, Muon, {"lr": 0.02, "weight_decay": 0.01}, id="muon with decay"
        ),
    ],
)
def test_an_optimizer_has_the_settings_of_the_recipe(settings, kind, expected):
    optimizer = build_optimizer(network(), recipe_with(**settings))
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert {name: group[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_an_optimizer_moves_every_parameter(name):
    model = network()
    (group,) = build_optimizer(model, recipe_with(optimizer=name)).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]


# --------------------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_onecycle_rises_to_the_learning_rate_and_falls_to_almost_nothing_batch_by_batch(optimizer):
    groups, _ = run(recipe_with(scheduler="onecycle", optimizer=optimizer))
    rates = [group["lr"] for group in groups]
    peak = rates.index(max(rates))
    assert rates[peak] == pytest.approx(0.02)
    assert peak == round(0.3 * 4 * STEPS) - 1
    assert rates[: peak + 1] == sorted(set(rates[: peak + 1]))
    assert rates[peak:] == sorted(set(rates[peak:]), reverse=True)
    assert rates[0] == pytest.approx(0.02 / 25)
    assert rates[-1] == pytest.approx(0.02 / 25 / 10_000)


def test_onecycle_moves_the_momentum_against_the_rate():
    groups, _ = run(recipe_with(scheduler="onecycle"))
    momenta = [group["momentum"] for group in groups]
    assert (momenta[0], min(momenta), momenta[-1]) == pytest.approx((0.95, 0.85, 0.95))


def test_cosine_falls_from_the_learning_rate_to_zero_epoch_by_epoch():
    groups, end = run(recipe_with(scheduler="cosine"))
    rates = [group["lr"] for group in groups]
    assert rates[::STEPS] == pytest.approx([0.02, 0.02 * 0.8535534, 0.01, 0.02 * 0.1464466])
    assert all(len(set(rates[start : start + STEPS])) == 1 for start in range(0, len(rates), STEPS))
    assert end["lr"] == pytest.approx(0, abs=1e-9)


def test_no_schedule_is_a_constant_rate():
    recipe = recipe_with(scheduler="none")
    assert build_scheduler(build_optimizer(network(), recipe), recipe, STEPS) is None
    groups, end = run(recipe)
    assert {group["lr"] for group in groups} | {end["lr"]} == {0.02}


@pytest.mark.parametrize(
    ("name", "each_batch"),
    [
        pytest.param("onecycle", True, id="onecycle"),
        pytest.param("cosine", False, id="cosine"),
        pytest.param("none", False, id="none"),
    ],
)
def test_only_onecycle_steps_after_every_batch(name, each_batch):
    assert steps_each_batch(recipe_with(scheduler=name)) is each_batch


@pytest.mark.parametrize("name", ["onecycle", "warmup"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (1, 3), (3, 1), (2, 5), (4, 5), (1, 20), (3, 7)])
def test_a_schedule_of_batches_lasts_as_long_as_the_run_however_short(name, epochs, steps):
    recipe = recipe_with(epochs=epochs, scheduler=name)
    optimizer = build_optimizer(network(), recipe)
    scheduler = build_scheduler(optimizer, recipe, steps)
    for _ in range(epochs * steps):
        assert 0 < optimizer.param_groups[0]["lr"] <= 0.02 * (1 + 1e-9)
        optimizer.step()
        scheduler.step()


# ---------------------------------------------------------------------------------------------------------- criteria


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


# ------------------------------------------------------------------------------------------- two names of one function


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


@pytest.mark.parametrize("optimizer", ["nesterov", "adamw", "muon"])
def test_warmup_rises_over_a_twentieth_and_falls_to_almost_nothing_momentum_untouched(optimizer):
    groups, last = run(recipe_with(scheduler="warmup", optimizer=optimizer, epochs=10))
    rates = [group["lr"] for group in groups]
    peak = rates.index(max(rates))
    assert 4 <= peak <= 5
    assert max(rates) == pytest.approx(0.02)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert last["lr"] < 1e-4
    name = "betas" if optimizer == "adamw" else "momentum"
    assert len({group[name] for group in groups}) == 1


@pytest.mark.parametrize("batches", [1, 19, 20, 21, 40])
def test_warmup_begins_low_where_a_twentieth_is_a_batch_or_more(batches):
    recipe = recipe_with(scheduler="warmup", epochs=1)
    optimizer = build_optimizer(network(), recipe)
    build_scheduler(optimizer, recipe, batches)
    assert (optimizer.param_groups[0]["lr"] == pytest.approx(0.02 / 25)) == (batches >= 20)
