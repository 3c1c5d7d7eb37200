"""A batch as a whole: what a GPU is told once, the processor does here, with the same numbers as kernel by kernel."""

import itertools
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from conftest import make_faces, small_recipe
from ferkit.models import build_model
from ferkit.training import recorded as recording
from ferkit.training.batches import Batch
from ferkit.training.descent import Descent
from ferkit.training.mixing import draw_mix
from ferkit.training.teaching import Teachers

FACES = 8


class Stream:
    def wait_stream(self, other):
        """Nothing runs aside on a processor."""


class Graph:
    """Does what a recorded graph does, into the memory of the recorded call."""

    def __init__(self, work, kept):
        self.work, self.kept = work, kept

    def replay(self):
        for old, new in zip(self.kept, self.work(), strict=True):
            old.copy_(new)


@pytest.fixture
def on_processor(monkeypatch):
    """Let what is recorded run on the processor: the recorded call's gradients and results are filled anew."""

    def record(self):
        self.done = tuple(part.clone() for part in self.work())
        self._graph = Graph(self.work, self.done)

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
