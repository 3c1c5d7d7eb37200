"""Compiling: where it is worth it, what it leaves alone, and that it may fail."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from conftest import make_faces
from ferkit.errors import UnknownNameError
from ferkit.models import build_model
from ferkit.training.batches import steps_per_epoch
from ferkit.training.compiled import PAYS_FROM, Compiled, SteadyBatches, check_choice, choose_compile
from ferkit.training.loop import fit
from ferkit.training.recipe import Recipe
from ferkit.training.state import Epoch, new_state

RECIPE = Recipe(
    model="layers", lr=0.01, epochs=2, batch_size=16, augment_backend="batched", precision="float32", device="cpu"
)

inductor = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about its own parts


@pytest.mark.parametrize(
    ("asked", "device", "flops", "chosen", "why"),
    [
        pytest.param("off", "cuda", 1e30, False, "as asked", id="off"),
        pytest.param("auto", "cpu", 1e30, False, "on a CPU", id="a CPU"),
        pytest.param("auto", "cuda", PAYS_FROM / 2, False, "too short a run", id="a short run on a GPU"),
        pytest.param("on", "cpu", 1.0, True, "as asked", id="on"),
    ],
)
def test_only_long_runs_on_a_gpu_are_compiled_unless_asked(asked, device, flops, chosen, why, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    found, reason = choose_compile(asked, device, flops)
    assert found == chosen
    assert why in reason


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    """Forget what other tests compiled: networks share their forward functions, and would count as compiled anew."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_without_a_compiler_the_reason_names_it(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert choose_compile("on", "cpu", 1.0) == (
        False,
        "torch.compile needs a C++ compiler (no-such-compiler), which is not here",
    )


def test_a_misspelt_choice_gets_a_near_match():
    with pytest.raises(UnknownNameError, match="unknown choice of --compile 'atuo'; did you mean 'auto'"):
        check_choice("atuo")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_that_triton_knows_the_reason_says_so():
    chosen, reason = choose_compile("auto", "cuda", PAYS_FROM)
    assert not chosen
    assert "triton" in reason


def test_only_full_training_batches_are_compiled_and_once():
    graphs = []
    steady = SteadyBatches(build_model("layers"), faces=8)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    steady.model.compile(backend=backend, dynamic=False)
    steady.ready = True
    for faces, training in ((8, True), (5, True), (8, False), (256, False), (8, True), (3, True)):
        steady.train(training)
        assert steady(torch.zeros(faces, 3, 48, 48)).shape == (faces, 7)
    assert len(graphs) == 1


def start(recipe):
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    train, valid = make_faces(70), make_faces(30, seed=1)
    return fabric, new_state(recipe, steps_per_epoch(70, recipe.batch_size), fabric.device), recipe, train, valid


def run(recipe, mode):
    arguments = start(recipe)
    events = list(fit(*arguments, compile_mode=mode))
    return events, arguments[1].model.state_dict()


@inductor
def test_where_compiling_fails_training_goes_on_as_if_it_had_not_been_asked_for():
    events, weights = run(RECIPE, "no-such-mode")
    assert isinstance(events[0], Compiled)
    assert "torch.compile failed, training goes on without it" in str(events[0])
    assert "no-such-mode" in events[0].problem
    _, expected = run(RECIPE, "")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@inductor
@pytest.mark.slow
def test_a_compiled_run_ends_where_an_uncompiled_one_does(monkeypatch):
    monkeypatch.setattr("torch._dynamo.config.error_on_recompile", True)  # the last batch of an epoch has 6 faces
    recipe = replace(RECIPE, epochs=1)
    events, weights = run(recipe, "default")
    assert events[0].problem == ""
    others, expected = run(recipe, "")
    for name in expected:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-3, atol=1e-4)
    one, other = ([e for e in several if isinstance(e, Epoch)][-1] for several in (events, others))
    assert one.train.loss == pytest.approx(other.train.loss, rel=1e-3)
