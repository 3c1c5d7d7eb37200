"""A run that is killed anywhere, as often as you like, ends with the same numbers as one that never stopped."""

import hashlib
import json
import os
import random
import signal
import time
from csv import DictReader
from pathlib import Path

import pytest

from conftest import make_data, write_csv
from programs import begin

SETTINGS = ("--recipe", "layers", "--set", "epochs=8", "--set", "batch_size=16", "--set", "optimizer=adam")
KILLS = 3


def start(csv, out, *options):
    return begin("train", "--data", csv, "--out", out, "--save-seconds", "0.05", *options)


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
    with (out / "metrics.csv").open() as lines:
        told = [*result["epochs"], *DictReader(lines)]
    epochs = [{k: v for k, v in epoch.items() if k not in {"seconds", "faces_per_second"}} for epoch in told]
    return weights, result["evaluation"], epochs


@pytest.fixture(scope="module")
def csv(tmp_path_factory) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "fer2013.csv", make_data(training=120, tests=20))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, csv):
    out = tmp_path_factory.mktemp("unbroken") / "out"
    process = start(csv, out, *SETTINGS)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    return numbers(out)


@pytest.mark.slow
def test_killed_at_random_points_a_run_ends_with_the_same_numbers(tmp_path, csv, unbroken):
    out, delays = tmp_path / "out", random.Random(time.time_ns())
    killed = 0
    while killed < KILLS:
        process = start(csv, out, *SETTINGS, "--resume")
        wait_for_a_new_checkpoint(process, out)
        time.sleep(delays.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        killed += 1
    process = start(csv, out, *SETTINGS, "--resume")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert killed >= 1
    assert numbers(out) == unbroken
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
def test_asked_to_stop_a_run_saves_says_how_to_go_on_and_does(tmp_path, csv, unbroken):
    out = tmp_path / "out"
    settings = (*SETTINGS, "--workers", "1")
    for send, number, code in (
        (os.kill, signal.SIGTERM, 143),
        (os.killpg, signal.SIGINT, 130),  # Ctrl-C reaches the helpers too
        (os.killpg, signal.SIGTERM, 143),  # so does the SIGTERM of timeout and of schedulers
        (os.killpg, signal.SIGHUP, 129),  # and the SIGHUP of a terminal that is closed
    ):
        if signal.getsignal(number) is signal.SIG_IGN:  # below nohup SIGHUP is to be ignored
            continue
        process = start(csv, out, *settings)
        wait_for_a_new_checkpoint(process, out)
        send(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors.decode()
        assert f"go on with: ferkit train --resume --data {csv} --out {out}" in errors.decode()
        assert "Traceback" not in errors.decode()
        settings = ("--resume",)
    process = start(csv, out, *settings)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert numbers(out) == unbroken
