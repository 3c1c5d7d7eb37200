"""A batch as a whole: what a GPU is told once, the processor does here, with the same numbers as kernel by kernel."""

import itertools
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from conftest import make_faces, small_recipe
from ferkit.models import build_model
from ferkit.training import recorded as recording
from ferkit.training.batches import Batch
from ferkit.training.descent import Descent
from ferkit.training.loop import _follow
from ferkit.training.mixing import draw_mix
from ferkit.training.state import new_state
from ferkit.training.teaching import Teachers

FACES = 8


class Stream:
    def wait_stream(self, other):
        """Nothing runs aside on a processor."""


class Graph:
    """Does what a recorded graph does."""

    def __init__(self, recorded, work):
        self.recorded, self.work = recorded, work

    def replay(self):
        self.recorded.done = self.work()


@pytest.fixture
def on_processor(monkeypatch):
    """Let what is recorded run on the processor: the recorded call's gradients and results are filled anew."""

    def record(self, work):
        self._graph = Graph(self, work)

    monkeypatch.setattr(recording.torch.cuda, "Stream", Stream)
    monkeypatch.setattr(recording.torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(recording.torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(recording.Recorded, "_record", record)


def batches(taught):
    for number, faces in enumerate([FACES] * 6 + [3] + [FACES] * 2):
        given = make_faces(faces, seed=number)
        lesson = torch.softmax(torch.randn(faces, 7), 1) if taught else None
        yield Batch(torch.from_numpy(given.images), torch.from_numpy(given.labels), faces, lesson)


@pytest.mark.parametrize(("mixup", "taught", "followed"), [(0.4, True, False), (0.0, False, True), (0.4, False, True)])
def test_a_recorded_batch_gives_the_same_numbers(on_processor, mixup, taught, followed):
    recipe = replace(small_recipe(), mixup=mixup, label_smoothing=0.1, loss="cross_entropy", distill=0.6)
    fabric = Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(0)
    networks = [build_model(recipe.model, **recipe.options) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    teachers = Teachers([build_model(recipe.model, **recipe.options)]) if followed else None
    plain, recorded = (
        Descent(fabric, fabric.setup_module(network.train()), recipe, teachers, record)
        for network, record in zip(networks, (0, FACES), strict=True)
    )
    torch.manual_seed(0)
    for number, batch in enumerate(batches(taught)):
        mix = draw_mix(mixup, 0.0, 48, number)
        for (loss, said), (other_loss, other_said) in itertools.pairwise(
            [d(batch, mix, number) for d in (plain, recorded)]
        ):
            torch.testing.assert_close(loss, other_loss)
            torch.testing.assert_close(said, other_said)
        for one, other in zip(*(network.parameters() for network in networks), strict=True):
            assert (one.grad - other.grad).norm() <= 0.01 * one.grad.norm()  # the share has fewer digits on the device
    assert recorded._recorded.ready
    assert np.isfinite(float(loss))


def test_the_average_of_the_weights_moves_as_torchs_does():
    state = new_state(small_recipe(model="compact", average=0.9), 20, torch.device("cpu"))
    torchs = AveragedModel(state.model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    follow = _follow(state, 0.9)
    for number in range(8):
        torch.manual_seed(number)
        with torch.no_grad():
            for value in state.model.state_dict().values():
                value.add_(torch.ones_like(value) if not value.is_floating_point() else torch.randn_like(value))
        follow()
        torchs.update_parameters(state.model)
    ours, theirs = state.average.state_dict(), torchs.state_dict()
    floats = [name for name in ours if ours[name].is_floating_point()]
    assert len(floats) > 50
    assert all(torch.equal(ours[name], theirs[name]) for name in floats)
    assert ours["n_averaged"] == theirs["n_averaged"] == 8
    counted = [name for name in state.model.state_dict() if name.endswith("num_batches_tracked")]
    assert counted
    assert {int(ours[f"module.{name}"]) for name in counted} == {8}, "an average in whole numbers would stand still"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_records_a_batch_and_gets_the_same_numbers():
    recipe = replace(small_recipe(), mixup=0.4, device="cuda")
    fabric = Fabric(accelerator="cuda", devices=1, precision="bf16-mixed")
    fabric.launch()
    networks = [build_model("compact", dropout=0.0).to("cuda") for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    plain, recorded = (
        Descent(fabric, fabric.setup_module(network.train()), recipe, None, record)
        for network, record in zip(networks, (0, FACES), strict=True)
    )
    for number, batch in enumerate(batches(taught=False)):
        there = Batch(batch.images.cuda(), batch.labels.cuda(), batch.total)
        mix = draw_mix(0.4, 0.0, 48, number)
        losses = [float(descent(there, mix, number)[0]) for descent in (plain, recorded)]
        assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert recorded.new_problem() == ""
    assert recorded._recorded.ready


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_after_a_recording_that_failed_random_numbers_are_drawn_as_before():
    recorded = recording.Recorded()

    def work():
        drawn = torch.rand(3, device="cuda")
        if recorded.calls == recording.WARM_UP and not recorded.problem:
            drawn.sum().item()  # waits for the device, which no recording may
        return drawn

    torch.manual_seed(5)
    drawn = [recorded(work) for _ in range(6)]
    assert recorded.problem
    assert len({tuple(values.tolist()) for values in drawn}) == 6
