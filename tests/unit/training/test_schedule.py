"""Learning rate schedules as the recipe names them."""

import pytest
from torch import nn

from ferkit.training.optimizers import build_optimizer
from ferkit.training.recipe import Recipe
from ferkit.training.schedule import build_scheduler, steps_each_batch

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
    ("name", "each_batch"), [("onecycle", True), ("warmup", True), ("cosine", False), ("none", False)]
)
def test_cosine_moves_after_every_epoch_and_the_others_after_every_batch(name, each_batch):
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
