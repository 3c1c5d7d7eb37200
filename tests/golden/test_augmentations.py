"""What the augmentations make of faces drifts by no setting, field or order: later runs train on what earlier ones did.

``augmentations.json`` holds mean and deviation of each changed face, in grey levels; written by

    python tests/golden/test_augmentations.py
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ferkit.training.augment_camera import draw_pictures, take_pictures
from ferkit.training.augment_faces import augment_faces, draw_faces

GOLDEN = Path(__file__).with_name("augmentations.json")
FACES = 48


def uneven_faces():
    """Return smooth pictures, brighter to one corner, so that no turn and no shift leaves them as they are."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 90, 48)[:, None] + np.linspace(0, 50, 48)[None]
    noise = [cv2.GaussianBlur(rng.random((48, 48), np.float32), (0, 0), 2) for _ in range(FACES)]
    return torch.from_numpy(np.array([slope + 500 * (each - 0.4) for each in noise]).clip(0, 255).astype(np.uint8))


def changed():
    """Return what each augmentation makes of them, by its name."""
    faces, samples = uneven_faces(), torch.arange(FACES)
    epochs = samples % 4
    return {
        "faces": augment_faces(faces, draw_faces(3, epochs, samples)),
        "faces, alternating": augment_faces(faces, draw_faces(3, epochs, samples, "alternating")),
        "camera": take_pictures(faces, draw_pictures(3, epochs, samples)),
    }


def summary(pictures_NHW):
    """Return of each face the means of its quarters and its deviation."""
    x = pictures_NHW.double()
    quarters = [x[:, a : a + 24, b : b + 24].mean((1, 2)) for a in (0, 24) for b in (0, 24)]
    return torch.stack([*quarters, x.std((1, 2))], 1)


@pytest.mark.parametrize("name", ["faces", "faces, alternating", "camera"])
def test_augmentations_make_of_a_face_what_they_always_made(name):
    expected = torch.tensor(json.loads(GOLDEN.read_text())[name], dtype=torch.float64)
    difference = (summary(changed()[name]) - expected).abs()
    assert difference.max() < 0.3, f"face {int(difference.max(1).values.argmax())}"


def test_the_camera_touches_about_half_of_the_faces():
    left_alone = (changed()["camera"] == uneven_faces()).flatten(1).all(1).sum()
    assert 20 <= left_alone <= 40


if __name__ == "__main__":
    rows = {name: summary(x).mul(100).round().div(100).tolist() for name, x in changed().items()}
    lines = (f"{json.dumps(name)}: {json.dumps(values)}" for name, values in rows.items())
    GOLDEN.write_text("{" + ",\n".join(lines) + "}\n")
