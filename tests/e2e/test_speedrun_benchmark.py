"""The benchmark of the time to an accuracy runs, here with a network of seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import make_data, write_csv

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speedrun.py"


@pytest.mark.slow
def test_a_dry_run_times_a_process_from_its_start(tmp_path):
    csv = write_csv(tmp_path / "fer2013.csv", make_data(training=64, tests=20))
    settings = ("model=layers", "epochs=2", "batch_size=16", "device=cpu")
    sets = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, SCRIPT, "--data", csv, "--runs", "1", *sets, "--out", tmp_path / "out"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("speedrun-*.json")
    (run,) = json.loads(path.read_text())["runs"]
    assert run["to_the_weights"] > run["epochs"] > 0
    assert 0 <= run["accuracy"] <= 1
    page = path.with_suffix(".md").read_text()
    assert f"| 0 | {run['to_the_weights']:.1f} | {run['epochs']:.1f} |" in page
    assert "changed: model=layers, epochs=2" in page
