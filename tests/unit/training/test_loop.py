import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from conftest import kept_network, make_faces
from ferkit.errors import TrainingError
from ferkit.evaluation import predict
from ferkit.evaluation.score import network_input
from ferkit.training import batches, checkpoint, loop
from ferkit.training.batches import TrainingBatches, steps_per_epoch
from ferkit.training.descent import Descent
from ferkit.training.loop import Step, fit
from ferkit.training.mixing import Mix, draw_mix
from ferkit.training.recipe import Recipe
from ferkit.training.state import Counts, Epoch, new_state

RECIPE = Recipe(
    model="layers", options={"depth": 4}, optimizer="adam", lr=0.01, epochs=2, batch_size=16, augmentation="none"
)


def start(recipe=RECIPE, faces=64, model=None, precision="32-true"):
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    train, valid = make_faces(faces), make_faces(30, seed=1)
    state = new_state(recipe, steps_per_epoch(len(train), recipe.batch_size), fabric.device, model)
    return fabric, state, recipe, train, valid


def weights(state):
    return {name: value.clone() for name, value in state.model.state_dict().items()}


def test_training_learns_what_brightness_tells():
    recipe = replace(RECIPE, epochs=12)
    *_, first, last = [e for e in fit(*start(recipe)) if isinstance(e, Epoch) and e.number in {1, 12}]
    assert last.train.loss < first.train.loss / 2
    assert last.train.accuracy > 0.6


def test_an_epoch_says_everything_about_its_pass():
    events = list(fit(*start()))
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [type(e) for e in events] == ([Step] * 4 + [Epoch]) * 2
    assert [e.number for e in epochs] == [1, 2]
    for epoch in epochs:
        assert 0 < epoch.train.loss < 10
        for share in (epoch.train.accuracy, epoch.valid.precision, epoch.valid.recall, epoch.valid.f1):
            assert 0 <= share <= 1
        assert epoch.faces_per_second > 0
        assert epoch.seconds > 0


def test_the_same_seed_gives_the_same_weights_to_the_last_bit():
    ends = []
    for _ in range(2):
        arguments = start()
        list(fit(*arguments))
        ends.append(weights(arguments[1]))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_another_seed_gives_other_weights():
    ends = []
    for seed in (0, 1):
        arguments = start(replace(RECIPE, seed=seed))
        list(fit(*arguments))
        ends.append(weights(arguments[1]))
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_batches_prepared_by_processes_change_nothing():
    ends = []
    for workers in (0, 2):
        arguments = start(replace(RECIPE, augmentation="report"))
        list(fit(*arguments, workers=workers))
        ends.append(weights(arguments[1]))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_loss_of_an_epoch_is_the_mean_over_its_faces():
    recipe = replace(RECIPE, epochs=1, batch_size=24)
    fabric, state, _, train, valid = start(recipe)
    answers = []
    state.model.register_forward_hook(lambda model, _, log_probs: answers.append(log_probs) if model.training else None)
    epoch = list(fit(fabric, state, recipe, train, valid))[-1]
    labels = torch.from_numpy(train.labels[TrainingBatches(train, recipe).order(0)]).split(24)
    means = [nn.functional.nll_loss(*batch).item() for batch in zip(answers, labels, strict=True)]
    assert [len(batch) for batch in labels] == [24, 24, 16]
    assert epoch.train.loss == pytest.approx((24 * means[0] + 24 * means[1] + 16 * means[2]) / 64, rel=1e-5)
    assert epoch.train.loss != pytest.approx(np.mean(means), rel=1e-4), "or nobody could tell"
    assert int(state.counts.confusion.sum()) == 0  # counted and cleared


def flat():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 7), nn.LogSoftmax(dim=1))


def test_a_sharpness_aware_step_takes_the_gradient_up_there_and_goes_from_down_here():
    plain = replace(RECIPE, optimizer="sgd", scheduler="none", lr=0.1, weight_decay=0.0)
    recipe = replace(plain, sam=0.5, epochs=1, batch_size=64)
    arguments = start(recipe, model=flat())
    train, expected = arguments[3], flat()
    next(fit(*arguments))
    order = TrainingBatches(train, recipe).order(0)
    images, labels = torch.from_numpy(train.images[order]), torch.from_numpy(train.labels[order])

    def gradients():
        loss = nn.functional.nll_loss(expected(network_input(images)), labels)
        return torch.autograd.grad(loss, list(expected.parameters()))

    weights, down_here = list(expected.parameters()), gradients()
    length = torch.cat([part.flatten() for part in down_here]).norm()
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, part in zip(weights, down_here, strict=True):
            weight.add_(part, alpha=0.5 / float(length))
    for weight, part, found in zip(before, gradients(), arguments[1].model.parameters(), strict=True):
        torch.testing.assert_close(found, weight - 0.1 * part)
    assert not torch.allclose(gradients()[0], down_here[0], rtol=1e-3), "or nobody could tell"


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_training_accuracy_counts_the_label_that_weighs_more(share, monkeypatch):
    monkeypatch.setattr(loop, "draw_mix", lambda *_: Mix(share))
    recipe = replace(RECIPE, epochs=1, mixup=0.5, lr=0.001)
    fabric, state, _, train, valid = start(recipe)
    answers = []
    state.model.register_forward_hook(lambda model, _, log_probs: answers.append(log_probs) if model.training else None)
    *_, epoch = fit(fabric, state, recipe, train, valid)
    labels = torch.from_numpy(train.labels[TrainingBatches(train, recipe).order(0)]).split(16)

    def right(turn):
        return np.mean([(a.argmax(1) == b.roll(turn)).float().mean() for a, b in zip(answers, labels, strict=True)])

    assert epoch.train.accuracy == pytest.approx(right(1 if share < 0.5 else 0))
    assert right(0) != right(1), "or nobody could tell"


def test_each_batch_has_chances_of_its_own_also_those_of_mixing(monkeypatch):
    mixed, trained = [], []
    call = Descent.__call__
    monkeypatch.setattr(loop, "draw_mix", lambda *how: mixed.append(how[-1]) or draw_mix(*how))
    monkeypatch.setattr(Descent, "__call__", lambda self, *how: trained.append(how[-1]) or call(self, *how))
    list(fit(*start(replace(RECIPE, mixup=0.2))))
    list(fit(*start(replace(RECIPE, mixup=0.2, seed=1))))
    assert len(mixed) == len(trained) == 2 * 8
    assert len({*mixed, *trained}) == 4 * 8


def test_counts_are_the_confusion_of_the_faces():
    log_probs = torch.log_softmax(torch.randn(500, 7, generator=torch.Generator().manual_seed(0)), 1)
    labels = torch.randint(0, 7, (500,), generator=torch.Generator().manual_seed(1))
    counts = Counts(torch.device("cpu"))
    for start, end in ((0, 300), (300, 500)):
        counts.add(log_probs[start:end], labels[start:end])
    expected = np.zeros((7, 7), int)
    np.add.at(expected, (labels.numpy(), log_probs.argmax(1).numpy()), 1)
    np.testing.assert_array_equal(counts.confusion.numpy(), expected)
    assert counts.loss_sum.item() == pytest.approx(torch.nn.functional.nll_loss(log_probs, labels).item() * 500)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augmentation", ["report", "faces", "camera"])
def test_no_step_waits_for_the_gpu(augmentation, monkeypatch):
    monkeypatch.setitem(batches.AHEAD, "cuda", 16)  # or all of so short a run is augmented before the first step
    recipe = replace(RECIPE, augmentation=augmentation, augment_backend="batched", device="cuda", batch_size=8)
    fabric = Fabric(accelerator="cuda", devices=1, precision="bf16-mixed")
    fabric.launch()
    state = new_state(recipe, 20, fabric.device)
    events = fit(fabric, state, recipe, make_faces(160), make_faces(30, seed=1))
    for _ in range(5):  # the fourth is recorded, and that does wait
        next(events)
    with warnings.catch_warnings(action="ignore"):  # it is a prototype, it says
        torch.cuda.set_sync_debug_mode("error")  # raises where the host waits
    try:
        steps = [next(events) for _ in range(10)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [event.step for event in steps] == list(range(6, 16))


class Diverging(nn.Module):
    """Returns a loss that is not a number from the third batch on."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 48 * 48, 7)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        scale = float("nan") if self.calls >= 3 else 1.0
        return torch.log_softmax(self.linear(x.flatten(1)), 1) * scale


def test_a_loss_that_is_not_finite_stops_the_run_and_names_batch_and_rate():
    with pytest.raises(TrainingError, match=r"the loss is nan at batch 3 of epoch 1, learning rate 0\.0\d+"):
        list(fit(*start(model=Diverging())))


def test_the_watch_on_a_gpu_names_the_first_bad_batch_too(monkeypatch):
    watch = loop._LossWatch(torch.device("cpu"))
    watch.every = 50
    state = start()[1]
    for step, value in enumerate((1.0, float("inf"), float("nan")), 1):
        state.step, state.lr = step, 0.5
        watch.look(torch.tensor(value), state, last=False)
    state.step = 4
    with pytest.raises(TrainingError, match=r"the loss is inf at batch 2 of epoch 1, learning rate 0\.5"):
        watch.look(torch.tensor(1.0), state, last=True)


def test_bf16_trains_too():
    recipe, kinds = replace(RECIPE, epochs=4), set()
    arguments = start(recipe, precision="bf16-mixed")
    convolution = next(module for module in arguments[1].model.modules() if isinstance(module, nn.Conv2d))
    convolution.register_forward_hook(lambda *passed: kinds.add(passed[-1].dtype))
    first, *_, last = [event for event in fit(*arguments) if isinstance(event, Epoch)]
    assert kinds == {torch.bfloat16}
    assert last.train.loss < 0.8 * first.train.loss


@pytest.mark.parametrize("scheduler", ["onecycle", "cosine", "none"])
def test_the_rate_follows_the_schedule(scheduler):
    recipe = replace(RECIPE, scheduler=scheduler, epochs=3)
    rates = [e.lr for e in fit(*start(recipe)) if isinstance(e, Epoch)]
    if scheduler == "none":
        assert rates == [0.01] * 3
    else:
        assert rates[-1] < rates[0] or rates[-1] < rates[1]


# ------------------------------------------------------------------------------- average of the weights, mixup, faces

MODERN = replace(
    RECIPE, model="compact", options={"width": 0.25}, optimizer="nesterov", lr=0.05, average=0.9, mixup=0.2,
    label_smoothing=0.1, augmentation="faces", epochs=2,
)  # fmt: skip


def test_the_average_is_the_exponential_moving_average_of_the_weights_after_each_batch():
    arguments = start(MODERN)
    state = arguments[1]
    expected, seen = None, 0
    for event in fit(*arguments):
        if isinstance(event, Step):
            now = {name: value.clone() for name, value in state.model.named_parameters()}
            expected = now if expected is None else {n: 0.9 * expected[n] + 0.1 * now[n] for n in now}
            seen += 1
    assert seen == int(state.average.n_averaged)
    for name, value in state.average.module.named_parameters():
        torch.testing.assert_close(value, expected[name])


def test_what_batch_norm_counts_is_averaged_too():
    arguments = start(replace(MODERN, epochs=1))
    state = arguments[1]
    steps = (event for event in fit(*arguments) if isinstance(event, Step))
    seen = [{n: b.clone() for n, b in state.model.named_buffers() if b.is_floating_point()} for _ in steps]
    assert seen[0]
    for name, value in state.average.module.named_buffers():
        if value.is_floating_point():
            expected = seen[0][name]
            for now in seen[1:]:
                expected = 0.9 * expected + 0.1 * now[name]
            torch.testing.assert_close(value, expected)
            assert not torch.equal(value, seen[-1][name])


def test_the_best_epoch_is_the_first_of_equals():
    arguments = start(replace(RECIPE, epochs=1))
    *_, epoch = fit(*arguments)
    state = arguments[1]
    reached = [replace(epoch.valid, accuracy=accuracy) for accuracy in (0.2, 0.5, 0.5, 0.4)]
    state.history = [replace(epoch, number=number, valid=valid) for number, valid in enumerate(reached, start=1)]
    assert state.best.number == 2


def test_the_average_is_what_is_validated():
    arguments = start(replace(MODERN, epochs=1))
    state, valid = arguments[1], arguments[4]
    *_, epoch = fit(*arguments)
    log_probs = predict(kept_network(state), valid.images)
    found = float(-log_probs[np.arange(len(valid)), valid.labels].mean())
    assert epoch.valid.loss == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("stop", [1, 5])
def test_a_run_with_an_average_goes_on_to_the_same_weights(stop, tmp_path):
    whole = start(MODERN)
    list(fit(*whole))
    part = start(MODERN)
    for number, _ in enumerate(fit(*part), start=1):
        if number == stop:
            checkpoint.save(tmp_path / "last.pt", checkpoint.snapshot(part[0], part[1], {}))
            break
    rest = start(MODERN)
    last = tmp_path / "last.pt"
    checkpoint.restore(checkpoint.load(last), rest[1], {}, last)
    list(fit(*rest))
    for one, other in ((whole[1].model, rest[1].model), (kept_network(whole[1]), kept_network(rest[1]))):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_the_kept_weights_of_a_checkpoint_are_the_average():
    arguments = start(MODERN)
    list(fit(*arguments))
    kept = checkpoint.kept_weights(checkpoint.snapshot(arguments[0], arguments[1], {}))
    assert kept.keys() == arguments[1].model.state_dict().keys()
    assert all(torch.equal(kept[name], value) for name, value in kept_network(arguments[1]).state_dict().items())
    assert not torch.equal(kept["classifier.weight"], arguments[1].model.state_dict()["classifier.weight"])
