"""Several processes (DDP over gloo) do what one does."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from conftest import make_faces
from ferkit.evaluation.metrics import evaluate_predictions
from ferkit.evaluation.score import predict
from two_processes import BACKENDS, build_normed, train

SCRIPT = Path(__file__).parents[1] / "two_processes.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes trained."""
    out = tmp_path_factory.mktemp("two") / "two.pt"
    run(SCRIPT, out)
    return torch.load(out, weights_only=True)


@pytest.mark.slow
def test_what_two_processes_measure_is_of_the_average_that_is_saved(two):
    model = build_normed()
    model.load_state_dict(two["averaged"]["model"])
    valid = make_faces(31, seed=1)
    of_saved = evaluate_predictions(predict(model.eval(), valid.images), valid.labels)
    measured = two["averaged"]["valid"]
    assert measured["accuracy"] == pytest.approx(of_saved.accuracy)
    assert measured["loss"] == pytest.approx(of_saved.loss, rel=1e-5)


@pytest.mark.slow
def test_two_processes_reach_the_weights_and_metrics_of_one(two):
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    for backend in BACKENDS:
        one = train(fabric, backend)
        assert two[backend]["strategy"] == "DDPStrategy"
        for name, weights in one["model"].items():
            torch.testing.assert_close(two[backend]["model"][name], weights, rtol=1e-4, atol=1e-6)
        for alone, shared in zip(one["epochs"], two[backend]["epochs"], strict=True):
            for side in ("train", "valid"):
                assert shared[side] == pytest.approx(alone[side], rel=1e-4)


@pytest.mark.slow
def test_the_command_trains_in_two_processes_and_tells_things_once(tmp_path, small_csv):
    settings = ("--recipe", "layers", "--set", "epochs=2", "--set", "batch_size=16", "--set", "device=cpu")
    out = tmp_path / "out"
    stopped = run(
        "-m", "ferkit", "train", "--data", small_csv, "--out", out, *settings, "--devices=2", "--max-minutes=0"
    )
    again = shlex.split(stopped.stderr.partition("go on with: ")[2])
    done = run("-m", *again)
    result = json.loads((out / "result.json").read_text())
    assert result["processes"] == 2
    assert done.stdout.count("protocol report, weights of epoch 2") == 1
    assert done.stderr.count("epoch 2: train loss") == 1
    assert sum(map(sum, result["evaluation"]["validation"]["confusion"])) == 40
    assert (out / "report.html").exists()
