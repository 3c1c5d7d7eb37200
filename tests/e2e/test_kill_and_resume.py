"""A run that is killed anywhere, as often as you like, ends with the same numbers as one that never stopped."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import make_data, write_csv

SETTINGS = ("--recipe", "layers", "--set", "epochs=6", "--set", "batch_size=16", "--set", "optimizer=adam")
KILLS = 3


def command(csv, out, *options):
    return [sys.executable, "-m", "ferkit", "train", "--data", csv, "--out", out, "--save-seconds", "0.05", *options]


def start(csv, out, *options):
    return subprocess.Popen(
        command(csv, out, *SETTINGS, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for_a_new_checkpoint(process, out):
    """Return when the run has saved once more, or has ended."""
    last, began = out / "checkpoints" / "last.pt", time.monotonic()
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
        assert time.monotonic() - began < 300
        time.sleep(0.01)


def numbers(out):
    """Return everything of a finished run that must not depend on how it came about."""
    result = json.loads((out / "result.json").read_text())
    weights = hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest()
    epochs = [{k: v for k, v in e.items() if k not in {"seconds", "faces_per_second"}} for e in result["epochs"]]
    return weights, result["evaluation"], epochs


@pytest.fixture(scope="module")
def csv(tmp_path_factory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "fer2013.csv", make_data(training=120, tests=20))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, csv):
    out = tmp_path_factory.mktemp("unbroken") / "out"
    process = start(csv, out)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    return numbers(out)


@pytest.mark.slow
def test_killed_at_random_points_a_run_ends_with_the_same_numbers(tmp_path, csv, unbroken):
    out, delays = tmp_path / "out", random.Random(time.time_ns())
    killed = 0
    while killed < KILLS:
        process = start(csv, out, "--resume")
        wait_for_a_new_checkpoint(process, out)
        time.sleep(delays.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += 1
    process = start(csv, out, "--resume")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert killed >= 1
    assert numbers(out) == unbroken
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        pytest.param(os.kill, signal.SIGINT, 130, id="sigint"),
        pytest.param(os.kill, signal.SIGTERM, 143, id="sigterm"),
        pytest.param(os.killpg, signal.SIGINT, 130, id="ctrl-c reaches the helpers too"),
        pytest.param(os.killpg, signal.SIGTERM, 143, id="so does the sigterm of timeout and of schedulers"),
    ],
)
def test_asked_to_stop_a_run_saves_says_how_to_go_on_and_does(tmp_path, csv, unbroken, send, number, code):
    out = tmp_path / "out"
    process = start(csv, out, "--workers", "1")
    wait_for_a_new_checkpoint(process, out)
    send(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors.decode()
    assert f"go on with: ferkit train --resume --data {csv} --out {out}" in errors.decode()
    assert "Traceback" not in errors.decode()
    resumed = subprocess.run(command(csv, out, "--resume"), capture_output=True, check=False, timeout=600)
    assert resumed.returncode == 0, resumed.stderr.decode()
    assert numbers(out) == unbroken
