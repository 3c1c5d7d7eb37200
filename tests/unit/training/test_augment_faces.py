"""The augmentation for recognition: what it does to a face, and that it depends on the face alone."""

import cv2
import numpy as np
import pytest
import torch

from conftest import make_faces
from ferkit.training import augment_faces as module
from ferkit.training.augment import build_augmentation
from ferkit.training.augment_faces import augment_faces, draw_faces

FACES = torch.from_numpy(make_faces(64).images)


def draws(samples, seed=0, epoch=0):
    samples = torch.as_tensor(samples)
    return draw_faces(seed, torch.full_like(samples, epoch), samples)


def fields(**values):
    """Return the draws of one face to which nothing happens, but for the named fields, each 0 to 1."""
    names = ["angle", "size", "mirror", "x", "y", "unused", "contrast", "brightness", "erase", "height", "width"]
    row = torch.full((1, 16), 1 << 15, dtype=torch.int32)
    row[0, names.index("erase")] = 65535
    for name, value in values.items():
        row[0, names.index(name)] = round(value * 65535)
    return row


def smooth_face():
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((48, 48), np.float32), (0, 0), 4)
    return torch.from_numpy((200 * (noise - noise.min()) / np.ptp(noise) + 20).astype(np.uint8))[None]


def test_a_face_is_the_same_alone_and_in_any_batch():
    together = augment_faces(FACES, draws(range(64)))
    alone = torch.cat([augment_faces(FACES[n : n + 1], draws([n])) for n in range(64)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_seed_and_epoch_change_it(other):
    assert not torch.equal(augment_faces(FACES, draws(range(64))), augment_faces(FACES, draws(range(64), **other)))


def test_the_middle_of_every_draw_leaves_a_face_as_it_is():
    face = smooth_face()
    assert (augment_faces(face, fields()).int() - face.int()).abs().max() <= 1


def test_a_mirrored_face_is_mirrored():
    face = smooth_face()
    assert (augment_faces(face, fields(mirror=0)).int() - face.flip(2).int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("name", "value", "angle", "scale", "shift"),
    [
        pytest.param("angle", 1, module.ROTATION, 1, 0, id="rotated one way"),
        pytest.param("angle", 0, -module.ROTATION, 1, 0, id="rotated the other way"),
        pytest.param("size", 1, 0, module.SIZE, 0, id="enlarged"),
        pytest.param("size", 0, 0, 1 / module.SIZE, 0, id="made smaller"),
        pytest.param("x", 1, 0, 1, -48 * module.SHIFT, id="shifted"),
    ],
)
def test_a_face_moves_as_opencv_moves_it(name, value, angle, scale, shift):
    face = smooth_face()
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), angle, scale)
    matrix[0, 2] += shift
    expected = cv2.warpAffine(face[0].numpy(), matrix, (48, 48), borderMode=cv2.BORDER_REPLICATE)
    difference = augment_faces(face, fields(**{name: value}))[0].int() - torch.from_numpy(expected).int()
    assert difference.abs().max() <= 3


def test_contrast_and_brightness_are_those_of_the_settings():
    grey = torch.full((1, 48, 48), 100, dtype=torch.uint8)
    assert augment_faces(grey, fields(brightness=1)).float().mean() == 100 + module.BRIGHTNESS
    expected = round(127.5 + (100 - 127.5) * module.CONTRAST)
    assert abs(augment_faces(grey, fields(contrast=1)).float().mean() - expected) <= 1


def test_a_part_is_covered_as_often_and_as_large_as_the_settings_say():
    grey = torch.full((4000, 48, 48), 90, dtype=torch.uint8)
    row = fields()
    many = row.repeat(4000, 1)
    many[:, 8:14] = draws(range(4000))[:, 8:14]
    changed = (augment_faces(grey, many) - 90 != 0).flatten(1).float().mean(1)
    covered = changed[changed > 0]
    assert abs(len(covered) / 4000 - module.ERASED) < 0.03
    low, high = module.ERASED_SIDE
    assert covered.min() > (low - 0.03) ** 2
    assert covered.max() < (high + 0.03) ** 2
    assert abs(covered.mean() - ((low + high) / 2) ** 2) < 0.01


def test_alternating_mirror_images_turn_every_face_round_every_epoch_half_of_them_in_each():
    samples = torch.arange(2000)

    def mirrored(epoch):
        return draw_faces(0, torch.full_like(samples, epoch), samples, "alternating")[:, 2] < 1 << 15

    first = mirrored(0)
    assert 0.45 < first.float().mean() < 0.55
    assert torch.equal(mirrored(1), ~first)
    assert torch.equal(mirrored(2), first)


def test_alternating_mirror_images_leave_the_other_draws_as_they_are():
    samples = torch.arange(50)
    epochs = torch.full_like(samples, 3)
    random, alternating = (draw_faces(7, epochs, samples, mirror) for mirror in ("random", "alternating"))
    others = [n for n in range(16) if n != 2]
    assert torch.equal(random[:, others], alternating[:, others])


def test_one_face_at_a_time_is_what_many_at_once_are():
    one = build_augmentation("faces", 5)
    alone = np.stack([one(FACES[n].numpy(), epoch=2, sample=n) for n in range(8)])
    assert np.array_equal(alone, augment_faces(FACES[:8], draws(range(8), seed=5, epoch=2)).numpy())
