"""The networks that find faces, trained a little: what they learn from is true, what is written can be loaded."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch

from ferkit.inference.boxes import Box
from ferkit.inference.haar import CARD, CLOSE, NETWORKS, Haar
from ferkit.inference.images import read_image
from ferkit.inference.levels import grey_levels, stretched

TOOL = Path(__file__).parents[2] / "tools" / "detector"


@pytest.fixture
def batches(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL))
    return importlib.import_module("batches")


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL))
    return importlib.import_module("pictures")


def spots(count):
    """Return pictures of FER2013's size, 0 to 1: dark, with a bright spot in the middle and one right above it."""
    faces = torch.zeros(count, 48, 48)
    faces[:, 22:26, 22:26] = 1
    faces[:, 10:14, 22:26] = 1
    return faces


def test_moved_as_the_second_network_is_to_say_a_window_is_the_face(batches, monkeypatch):
    monkeypatch.setattr(batches, "_lit", lambda windows, _: windows)
    monkeypatch.setattr(batches.Dice, "happens", lambda _, probability, *shape: torch.full(shape, probability > 0.6))
    nothing = torch.zeros(9, CLOSE, CLOSE, dtype=torch.uint8)
    made = batches.to_refine(spots(4), nothing, None, 40, batches.Dice(0))
    assert made.windows.shape == (40 + 20 + 40, CLOSE, CLOSE)
    assert made.is_face.tolist() == [1] * 40 + [0] * 60
    checked = 0
    for seen, (right, down, larger, turn) in zip(made.windows.numpy(), made.places.tolist(), strict=False):
        size = np.exp(larger)  # of the face, in windows
        for up in (0.0, 0.25):  # of a picture's side
            x = 0.5 + right + up * size * np.sin(turn)
            y = 0.5 + down - up * size * np.cos(turn)
            row, column = int(CLOSE * y), int(CLOSE * x)
            if 2 <= row < CLOSE - 2 and 2 <= column < CLOSE - 2:
                checked += 1
                assert seen[row - 1 : row + 2, column - 1 : column + 2].max() > 150
    assert checked > 60


def test_parts_of_faces_and_other_things_are_no_faces(batches):
    nothing = torch.full((9, CLOSE, CLOSE), 255, dtype=torch.uint8)
    mined = torch.full((9, 40, 40), 255, dtype=torch.uint8)
    made = batches.to_refine(torch.zeros(4, 48, 48), nothing, mined, 40, batches.Dice(0))
    assert made.is_face.sum() == 40
    assert len(made.windows) == 40 + 20 + 40 + 40
    bright = made.windows.mean((1, 2))
    assert bright[60:].min() > bright[:40].median()
    made = batches.to_propose(torch.zeros(4, 48, 48), nothing[:, :19, :19], 40, batches.Dice(0))
    assert made.windows.shape == (40 + 20 + 80, 19, 19)
    assert made.is_face.tolist() == [1] * 40 + [0] * 100


def test_no_window_without_faces_shares_much_with_one(pictures):
    grey = np.full((100, 100), 10, np.uint8)
    grey[20:60, 30:70] = 250
    background = pictures.Background(grey, (Box(30, 20, 40),), 1)
    assert not background.is_free(50, 40, 40)
    assert background.is_free(50, 40, 15)  # a part of it
    assert background.is_free(20, 80, 30)
    seen = pictures.windows([background], 200, 19, 0)
    assert seen.shape == (200, 19, 19)
    assert (seen > 128).mean((1, 2)).max() < 0.8
    unaware = pictures.windows([pictures.Background(grey, (), 1)], 200, 19, 0)
    assert (unaware > 128).mean((1, 2)).max() > 0.9


def test_trained_networks_take_the_place_of_the_shipped_ones(fer2013_csv, tmp_path):
    command = [sys.executable, str(TOOL / "train.py"), "--data", str(fer2013_csv), "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--steps", "4", "--windows", "400"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / CARD).read_text())
    assert set(card["sha256"]) == set(NETWORKS)
    assert (card["steps"], card["photographs"]) == (4, {})
    detector = Haar(tmp_path)
    astronaut = read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
    assert detector.propose(stretched(grey_levels(astronaut)), 30).shape[1] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--photos", "{}"], "--photos needs --yunet FILE", id="no detector"),
        pytest.param(
            ["--photos", "{}", "--yunet", "{}/no.onnx"], "expected the file of a YuNet detector", id="no file"
        ),
    ],
)
def test_what_is_missing_is_told_in_one_line(fer2013_csv, tmp_path, arguments, message):
    command = [sys.executable, str(TOOL / "train.py"), "--data", str(fer2013_csv), "--out", str(tmp_path / "out")]
    more = [argument.format(tmp_path) for argument in arguments]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
