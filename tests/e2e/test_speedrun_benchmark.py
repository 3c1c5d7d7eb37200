"""The benchmark of the time to an accuracy runs, here with a network of seconds."""

import importlib.util
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
    places = ("--out", tmp_path / "out", "--keep", tmp_path / "runs")
    command = [sys.executable, SCRIPT, "--data", csv, "--runs", "1", *sets, *places]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("speedrun-*.json")
    (run,) = json.loads(path.read_text())["runs"]
    assert run["to_the_weights"] > run["epochs"] > 0
    assert 0 <= run["accuracy"] <= 1
    page = path.with_suffix(".md").read_text()
    assert f"| 0 | {run['to_the_weights']:.1f} | {run['epochs']:.1f} |" in page
    assert "changed: model=layers, epochs=2" in page
    kept = json.loads((tmp_path / "runs" / "speedrun-seed-0" / "result.json").read_text())
    assert kept["key"] == run["key"]


def test_a_run_that_fails_leaves_the_others_in_the_report(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)  # as where it is run
    spec = importlib.util.spec_from_file_location("speedrun_benchmark", SCRIPT)
    speedrun = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(speedrun)
    numbers = dict.fromkeys(("to_the_weights", "epochs", "accuracy", "without_copies", "validation"), 0.5)
    done = {**numbers, "interval": [0.4, 0.6], "device": "X", "precision": "bf16", "versions": {"torch": "2"}}

    def timed(_asked, _folder, seed):
        if seed == 1:
            raise subprocess.CalledProcessError(1, "ferkit")
        return {"seed": seed, **done}

    monkeypatch.setattr(speedrun, "_timed", timed)
    monkeypatch.setattr(speedrun, "read_fer2013", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["speedrun.py", "--data", "x.csv", "--out", str(tmp_path)])
    with pytest.raises(subprocess.CalledProcessError):
        speedrun.main()
    (path,) = tmp_path.glob("speedrun-*.json")
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [0]
    assert path.with_suffix(".md").exists()
