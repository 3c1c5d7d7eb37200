"""The benchmark of a GPU runs, here on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_a_dry_run_measures_both_backends_and_writes_its_report(tmp_path):
    command = [sys.executable, SCRIPT, "--device", "cpu", "--model", "layers", "--batches", "3", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("cpu-*.json")
    content = json.loads(path.read_text())
    assert min(content["microseconds_a_face"].values()) > 0
    ways = content["models"]["layers"]["ways"]
    assert set(ways) == {"albumentations", "batched", "batched, default layout"}
    for way in ways.values():
        share = way["faces_per_second"] * content["models"]["layers"]["flops_per_face"]
        assert way["peak_share"] == pytest.approx(share / content["models"]["layers"]["peak_flops"], abs=1e-4)
    page = path.with_suffix(".md").read_text()
    assert "## Recipe layers" in page
    assert "Microseconds a face: Albumentations, one thread " in page
