"""ferkit never calls out, and neither does anything it uses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("quiet_ferkit.py")
THEN = "--then--"


def test_the_watch_sees_an_attempt_to_call_out(tmp_path):
    code = f"""
import runpy, sys
sys.argv = ["x", {str(tmp_path / "notes")!r}, "--version"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit:
    pass
import urllib.request
try:
    urllib.request.urlopen("http://example.invalid/")
except OSError:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert "example.invalid" in (tmp_path / "notes").read_text()


@pytest.mark.slow
def test_import_train_evaluate_and_the_rest_attempt_nothing(tmp_path, small_csv):
    notes, out = tmp_path / "notes", tmp_path / "out"
    space = tmp_path / "space.toml"
    space.write_text("[lr]\nlow = 0.001\nhigh = 0.01\n")
    ours = ("--set", "protocol=standard")
    settings = ("--recipe", "layers", "--set", "epochs=1", "--set", "batch_size=16")
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    commands = (
        ("train", "--data", small_csv, "--out", out, *settings),
        ("evaluate", out, "--data", small_csv),
        ("data", "check", small_csv),
        ("data", "preview", "--data", small_csv, "--out", tmp_path / "sheet.png"),
        ("explain", "gradcam", out, "--data", small_csv, "--out", tmp_path / "gradcam.png"),
        ("explain", "occlusion", out, "--data", small_csv, "--out", tmp_path / "occlusion.png"),
        (
            "search",
            "--data",
            small_csv,
            "--out",
            tmp_path / "search",
            "--space",
            space,
            "--trials",
            1,
            *settings,
            *ours,
        ),
        ("models", "model1", "--summary"),
        ("recipes", "model1"),
    )
    words = [str(word) for command in commands for word in (*command, THEN)]
    done = subprocess.run(
        [sys.executable, SCRIPT, notes, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert 'model = "model1"' in done.stdout  # so the last was run too
    assert not notes.exists(), notes.read_text()
