"""The benchmark of a GPU runs, here on a CPU."""

import importlib.util
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


def test_a_way_that_fails_leaves_the_others_and_each_is_written_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)  # as where it is run
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    gpu = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_benchmark", gpu)  # dataclasses look it up
    spec.loader.exec_module(gpu)
    written = []

    def measure(recipe, way, *_):
        written.append([json.loads(path.read_text())["models"]["layers"]["ways"] for path in tmp_path.glob("*.json")])
        if way.augment_backend == "albumentations":
            raise RuntimeError("CUDA out of memory.\nMore of it")
        return {"faces_per_second": 100.0}

    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.setattr(gpu, "measure_augmentation", lambda _: 1e-6)
    command = ["gpu.py", "--device", "cpu", "--model", "layers", "--batches", "3", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    gpu.main()
    failed = {"problem": "RuntimeError: CUDA out of memory."}
    assert written[:2] == [[], [{"albumentations": failed}]]
    assert "| albumentations | RuntimeError: CUDA out of memory. |" in next(tmp_path.glob("cpu-*.md")).read_text()
