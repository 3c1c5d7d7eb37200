"""What decides which network is shipped: two of them, face by face."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkit.inference.weights import SHIPPED

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def compare(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("compare")


@pytest.fixture
def run(compare, small_csv, tmp_path, monkeypatch, capsys):
    def report(*arguments):
        command = ["compare", "--data", small_csv, "--rounds", 2, "--out", tmp_path / "reports", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        compare.main()
        capsys.readouterr()
        (written,) = (tmp_path / "reports").glob("compare-*.json")
        return json.loads(written.read_text()), written.with_suffix(".md").read_text()

    return report


def test_a_network_is_no_better_than_itself(compare, run):
    found, text = run("--after", SHIPPED["compact"])
    for values in (*found["as_they_are"].values(), found["worse"]):
        assert values["accuracy"][0] == values["accuracy"][1]
        assert values["loss"][0] == values["loss"][1]
        assert values["p_accuracy"] == values["p_loss"] == 1
    assert found["worse"]["kinds"].keys() == compare.CHANGES.keys() - {"as they are"}
    assert "photographs" not in found
    assert "medians of 2 rounds" in text


def test_of_two_networks_both_columns_are_told_and_photographs_where_asked_for(run, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.zeros((60, 60), np.uint8)).save(photos / "a.png")
    (photos / "b.png").write_text("no picture")
    (tmp_path / "labels.csv").write_text("image,emotion\na.png,happiness\nb.png,neutral\n")
    found, text = run("--after", SHIPPED["compact-votes"], "--photos", photos, "--labels", tmp_path / "labels.csv")
    first, second = found["as_they_are"]["one view"]["loss"]
    assert first != second
    assert found["as_they_are"]["one view"]["p_loss"] < 1
    assert found["photographs"]["photographs"] == 2
    assert found["photographs"]["accuracy"] == [0, 0]
    assert "| 2 photographs | 0.00 % | 0.00 % |" in text


def test_a_pair_is_tested_face_by_face(compare):
    labels = np.array([0, 1, 2, 3])
    right = np.eye(7, dtype=np.float32)[labels] * 0.8 + 0.2 / 7
    wrong = np.roll(right, 1, axis=1)
    half = np.where(np.arange(4)[:, None] < 2, right, wrong)
    found = compare.compared((half, right), labels)
    assert found["accuracy"] == [0.5, 1.0]
    assert (found["only_before"], found["only_after"], found["p_accuracy"]) == (0, 2, 0.5)
    of_right, of_wrong = -np.log(0.8 + 0.2 / 7), -np.log(0.2 / 7)
    assert found["loss"] == pytest.approx([(of_right + of_wrong) / 2, of_right], rel=1e-5)
    assert found["p_loss"] == pytest.approx(0.1817, abs=1e-3)  # t = -sqrt(3) with three degrees of freedom
