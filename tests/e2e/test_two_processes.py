"""Several processes (DDP over gloo) do what one does."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from two_processes import BACKENDS, train

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


@pytest.mark.slow
def test_two_processes_reach_the_weights_and_metrics_of_one(tmp_path):
    run(SCRIPT, tmp_path / "two.pt")
    two = torch.load(tmp_path / "two.pt", weights_only=True)
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
