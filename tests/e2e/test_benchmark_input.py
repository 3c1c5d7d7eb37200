"""What somebody is told who gives a benchmark the wrong thing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def said(monkeypatch, capfd):
    """Return a function from a benchmark and its arguments to the one line it ends with."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module("command_line").plainly(importlib.import_module(name).main)
        return ended.value.code if isinstance(ended.value.code, str) else capfd.readouterr().err.splitlines()[-1]

    return run


@pytest.mark.parametrize("name", ["detectors", "recognition", "robustness", "speedrun"])
def test_a_data_set_that_is_missing_is_one_line(said, name, tmp_path):
    line = said(name, "--data", tmp_path / "nothing.csv", "--out", tmp_path)
    assert line.startswith(f"error: {tmp_path / 'nothing.csv'}: ")
    assert "\n" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("detectors", ["--data", "x", "--scenes", "0"], "expected at least 1, got 0"),
        ("photographs", ["--photos", ".", "--labels", "nothing.csv"], "error: nothing.csv: expected a CSV file, got "),
        ("photographs", ["--photos", ".", "--labels", __file__], "expected the columns image and emotion, got "),
        ("speedrun", ["--data", "x", "--runs", "-1"], "expected at least 1, got -1"),
        ("detectors", ["--data", "x", "--yunet", "nothing.onnx"], "error: nothing.onnx: "),
        ("detectors", ["--data", "x", "--photos", "x"], "error: --photos needs --yunet FILE"),
        ("compare", ["--data", "x", "--after", "nothing.onnx"], "error: nothing.onnx: "),
        (
            "compare",
            ["--data", "x", "--after", "x", "--photos", "."],
            "error: --photos FOLDER and --labels ",
        ),
        ("robustness", ["--data", "x", "--model", "x"], "error: --model x: expected NAME=FILE"),
        ("robustness", ["--data", "x", "--model", "x=nothing.onnx"], "error: nothing.onnx: "),
    ],
)
def test_so_is_an_argument_that_makes_no_sense(said, name, arguments, told):
    assert re.search(re.escape(told), said(name, *arguments))


def test_so_is_a_process_of_its_own_that_failed(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def main():
        subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)

    with pytest.raises(SystemExit) as ended:
        importlib.import_module("command_line").plainly(main)
    assert str(ended.value.code).startswith("error: a process of its own ended with 3: ")
