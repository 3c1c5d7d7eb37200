"""The benchmark of ways to convolve runs, here with one small network."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "convolutions.py"


@pytest.mark.slow
def test_a_dry_run_times_both_sides_by_turns_and_writes_its_report(tmp_path):
    options = ("--network", "compact", "--pairs", "3", "--batch", "8", "--threads", "1", "--out", tmp_path)
    command = [sys.executable, SCRIPT, *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("convolutions-*.json")
    found = json.loads(path.read_text())
    assert list(found["networks"]) == ["compact"]
    assert found["environment"]["threads"] == 1
    for times in (found["networks"]["compact"], *found["layers"]):
        assert times["pytorch"] > 0 < times["ferkit"]
        assert len(times["ratios"]) == 3
    ratio = median(found["networks"]["compact"]["ratios"])
    page = path.with_suffix(".md").read_text()
    assert page in done.stdout
    assert f" | {ratio:.2f} | " in next(line for line in page.splitlines() if line.startswith("| compact | "))
    assert "| 512 to 512 channels, 3 x 3 pixels | " in page
