"""Several processes (DDP over gloo) do what one does."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_processes.py")


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": f"{SCRIPT.parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["albumentations", "batched"])
def test_two_processes_reach_the_weights_and_metrics_of_one(tmp_path, backend):
    ends = {}
    for processes in (1, 2):
        run(SCRIPT, processes, tmp_path / f"{processes}.pt", backend)
        ends[processes] = torch.load(tmp_path / f"{processes}.pt", weights_only=True)
    assert ends[2]["backend"] == "DDPStrategy"
    for name, weights in ends[1]["model"].items():
        torch.testing.assert_close(ends[2]["model"][name], weights, rtol=1e-4, atol=1e-6)
    for one, two in zip(ends[1]["epochs"], ends[2]["epochs"], strict=True):
        for side in ("train", "valid"):
            assert two[side] == pytest.approx(one[side], rel=1e-4)


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
