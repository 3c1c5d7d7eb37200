"""What the benchmarks beside fer compute of their own, without fer."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def probe(*asked, **variables):
    command = [sys.executable, BENCHMARKS / "recognition_probe.py", *map(str, asked)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    return done.stdout.splitlines()


def test_operations_of_a_product_are_counted_as_they_are_written(load, tmp_path):
    peak = load("recognition_peak")
    operations = peak.write_product(tmp_path / "product.onnx", 64, int8=False)
    assert operations == 2 * 64**3
    took = json.loads(probe("product", "--file", tmp_path / "product.onnx", "--seconds", "0.01")[-1])
    assert 0 < took["shortest"] <= took["median"]


def test_the_runtime_of_a_product_writes_no_id_and_so_sends_none(load, tmp_path):
    load("recognition_peak").write_product(tmp_path / "product.onnx", 64, int8=False)
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": "", "ORT_DISABLE_TELEMETRY": ""}
    probe("product", "--file", tmp_path / "product.onnx", "--seconds", "0.01", **variables)
    assert not list(home.iterdir())


def test_operations_of_a_convolution_are_its_multiplications_and_additions(load, tmp_path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["faces", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["faces", 5, 4, 4])],
        [numpy_helper.from_array(np.zeros((5, 3, 3, 3), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "network.onnx")
    assert load("recognition_peak").operations_per_face(tmp_path / "network.onnx") == 2 * (5 * 4 * 4) * (3 * 3 * 3)


def test_the_paired_test_counts_faces_only_one_reads_right(load):
    labels = np.zeros(12, int)
    ours, theirs = np.zeros(12, int), np.zeros(12, int)
    theirs[:9], ours[9] = 1, 1
    found = load("recognition").mcnemar(ours, theirs, labels)
    assert (found["only_ours"], found["only_theirs"]) == (9, 1)
    assert found["p"] == pytest.approx(2 * 11 / 2**10)


def test_readers_that_never_differ_are_not_told_apart(load):
    same = np.zeros(3, int)
    assert load("recognition").mcnemar(same, same, same)["p"] == 1.0


def test_the_probe_hands_back_ferkits_probabilities(tmp_path):
    from ferkit.inference.session import Session

    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    out = tmp_path / "out.npy"
    said = probe("read", "--contender", "ferkit", "--file", tmp_path / "crops.npy", "--out", out, "--batch", "2")
    assert json.loads(said[-1])["differs"] is None
    assert np.load(out) == pytest.approx(Session()(crops), abs=1e-6)


@pytest.mark.parametrize("contender", ["ferkit", "ferkit (mirror images)", "ferkit (compact-votes)"])
def test_the_probe_says_what_photographs_express(tmp_path, contender):
    import skimage

    samples = Path(skimage.__file__).parent / "data"
    listed = tmp_path / "photos.txt"
    listed.write_text(f"{samples / 'astronaut.png'}\n{samples / 'brick.png'}\n{tmp_path / 'nothing.png'}", "utf-8")
    values = json.loads(probe("photographs", "--contender", contender, "--file", listed)[-1])
    assert values["said"] == ["happy", None, None]
    assert values["milliseconds"] > 0


def test_photographs_are_drawn_by_class_the_same_each_time(load, tmp_path):
    rows = [f"{number}.png,{('Anger', 'happiness', 'contempt')[number % 3]}" for number in range(30)]
    for number in range(27):  # the last three are missing
        (tmp_path / f"{number}.png").touch()
    (tmp_path / "legend.csv").write_text("\n".join(["image,emotion", *rows]), "utf-8")
    draw = load("photographs").draw
    drawn = draw(tmp_path, tmp_path / "legend.csv", 4)
    assert sorted(drawn.values()) == ["angry"] * 4 + ["happy"] * 4
    assert {int(path.stem) % 3 for path, name in drawn.items() if name == "happy"} == {1}
    assert draw(tmp_path, tmp_path / "legend.csv", 4) == drawn
    assert len(draw(tmp_path, tmp_path / "legend.csv", 100)) == 18


def test_a_photograph_without_a_face_is_read_wrongly(load):
    said = {"ferkit": ["happy", None, "sad", "sad"], "fer (TFLite)": ["happy", "happy", None, "angry"]}
    found = load("photographs").judge(said, ["happy", "happy", "sad", "angry"])
    assert found["contenders"]["ferkit"]["found"] == 3
    assert found["contenders"]["ferkit"]["right"] == 2
    assert found["contenders"]["ferkit"]["of_class"] == {"angry": 0, "happy": 0.5, "sad": 1}
    assert found["paired"]["fer (TFLite)"] == {"only_ours": 1, "only_theirs": 2, "p": 1.0}


def test_the_report_names_what_is_missing_and_warns_of_a_busy_machine(load):
    newest = max(BENCHMARKS.glob("reports/recognition-*.json"))
    found = json.loads(newest.read_text(encoding="utf-8"))
    found |= {"fer_missing": "ERROR: no network", "others": 0.5}
    page = load("recognition_report").to_markdown(found)
    assert "fer could not be installed here, so ferkit stands alone:** ERROR: no network" in page
    assert "Other processes used 0.50 cores" in page


@pytest.mark.parametrize(("report", "module"), [("recognition", "recognition_report"), ("photographs", "photographs")])
def test_the_committed_report_is_the_one_its_numbers_make(load, report, module):
    newest = max(BENCHMARKS.glob(f"reports/{report}-*.json"))
    page = newest.with_suffix(".md").read_text(encoding="utf-8")
    made = load(module).to_markdown(json.loads(newest.read_text(encoding="utf-8")))
    assert page.startswith(made.rstrip("\n"))
