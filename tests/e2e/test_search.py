"""``ferkit search`` as a person runs it: killed, gone on with, looked at."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import make_data, write_csv

pytest.importorskip("optuna")

pytestmark = pytest.mark.slow

SPACE = "[lr]\nlow = 0.001\nhigh = 0.1\nlog = true\n"


@pytest.fixture
def command(tmp_path):
    csv = write_csv(tmp_path / "fer2013.csv", make_data(training=96, tests=20))
    (tmp_path / "space.toml").write_text(SPACE)
    settings = ["epochs=12", "batch_size=16", "protocol=standard", "augmentation=none", "precision=float32"]
    sets = [part for setting in settings for part in ("--set", setting)]
    places = ["--data", csv, "--space", tmp_path / "space.toml", "--out", tmp_path / "out"]
    program = [sys.executable, "-m", "ferkit", "search", "--recipe", "layers", *sets, *places, "--trials", 2]
    return [str(part) for part in (*program, "--pruner", "none")]


def wait(condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 300
        time.sleep(0.02)


def test_killed_at_any_moment_it_goes_on_with_the_same_trial(command, tmp_path):
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    metrics = tmp_path / "out/trials/0000/metrics.csv"
    wait(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 2)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    rate = next(line for line in (metrics.parent / "recipe.toml").read_text().splitlines() if line.startswith("lr"))
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["done"] * 2
    assert sorted(trial["number"] for trial in found["trials"]) == [0, 2]  # 1 is the first one, taken up again
    assert rate in (tmp_path / "out/trials/0000/recipe.toml").read_text()
    assert "going on after epoch" in (tmp_path / "out/trials/0000/log.txt").read_text()
    assert len(metrics.read_text().splitlines()) == 13
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "trial " not in again.stderr
    assert "PublicTest" in again.stdout
    assert f"best settings: {tmp_path / 'out/best.toml'}" in again.stdout
