"""What a camera does to faces: as OpenCV does it, and as a function of the face alone."""

import cv2
import numpy as np
import pytest
import torch

from conftest import make_faces
from ferkit.training import augment_camera as module
from ferkit.training.augment import build_augmentation
from ferkit.training.augment_camera import draw_pictures, take_pictures
from ferkit.training.augment_faces import augment_faces, draw_faces

MANY = 4000


def draws(samples, seed=0, epoch=0):
    samples = torch.as_tensor(samples)
    return draw_pictures(seed, torch.full_like(samples, epoch), samples)


def faces(n):
    """Return ``n`` smooth pictures of different brightness and contrast."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(n):
        noise = cv2.GaussianBlur(rng.random((48, 48), np.float32), (0, 0), 3)
        pictures.append(rng.integers(120, 235) * (noise - noise.min()) / np.ptp(noise) + 20)
    return torch.from_numpy(np.array(pictures).astype(np.uint8))


def only(monkeypatch, **strengths):
    """Let nothing happen but what is named, to every face and as strongly as it may."""
    monkeypatch.setattr(module, "TOUCHED", 1.0)
    monkeypatch.setattr(module, "EACH", 1.0)
    nothing = {"FAINT": 1.0, "BLUR": (0.01, 0.01), "NOISE": 0.0, "QUALITY": (100.0, 100.0)}
    for name, value in {**nothing, **strengths}.items():
        monkeypatch.setattr(module, name, value)


def test_a_face_is_the_same_alone_and_in_any_batch():
    pictures = faces(64)
    together = take_pictures(pictures, draws(range(64)))
    alone = torch.cat([take_pictures(pictures[n : n + 1], draws([n])) for n in range(64)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_seed_and_epoch_change_it(other):
    pictures = faces(64)
    assert not torch.equal(
        take_pictures(pictures, draws(range(64))), take_pictures(pictures, draws(range(64), **other))
    )


def test_what_it_was_given_stays_as_it_was():
    pictures = faces(16)
    before = pictures.clone()
    take_pictures(pictures, draws(range(16)))
    assert torch.equal(pictures, before)


def test_as_many_faces_as_said_are_left_alone():
    grey = torch.full((MANY, 48, 48), 90, dtype=torch.uint8)
    grey[:, ::5] = 160  # so that each of the four shows
    left = (take_pictures(grey, draws(range(MANY))) == grey).flatten(1).all(1).float().mean()
    expected = 1 - module.TOUCHED * (1 - (1 - module.EACH) ** 4)
    assert left == pytest.approx(expected, abs=0.03)  # four standard deviations; some changes are too small to show


@pytest.mark.parametrize("sigma", [0.4, 1.0, 1.6])
def test_blur_is_that_of_opencv(monkeypatch, sigma):
    only(monkeypatch, BLUR=(sigma, sigma))
    pictures = faces(16)
    expected = [cv2.GaussianBlur(each, (11, 11), sigma, borderType=cv2.BORDER_REPLICATE) for each in pictures.numpy()]
    found = take_pictures(pictures, draws(range(16)))
    assert (found.int() - torch.from_numpy(np.array(expected)).int()).abs().max() <= 2  # quality 100 rounds, too


@pytest.mark.parametrize("quality", [10, 35, 70])
def test_jpeg_is_that_of_opencv(monkeypatch, quality):
    only(monkeypatch, QUALITY=(float(quality), float(quality)))
    pictures = faces(16)
    packed = [cv2.imencode(".jpg", each, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for each in pictures.numpy()]
    expected = torch.from_numpy(np.array([cv2.imdecode(each, cv2.IMREAD_GRAYSCALE) for each in packed])).int()
    difference = (take_pictures(pictures, draws(range(16))).int() - expected).abs().float()
    assert (
        difference.mean() < 0.5
    )  # the decoder works with integers, and a wave that lies between two steps may go either way
    assert (pictures.int() - expected).abs().float().mean() > 2 * difference.mean()


def test_noise_is_normal_and_differs_from_pixel_to_pixel_and_face_to_face(monkeypatch):
    only(monkeypatch, NOISE=10.0)
    grey = torch.full((MANY, 48, 48), 128, dtype=torch.uint8)
    noise = take_pictures(grey, draws(range(MANY))).float() - 128
    deviations = noise.flatten(1).std(1)
    assert noise.mean().abs() < 0.05
    assert deviations.max() == pytest.approx(10, abs=0.7)
    assert deviations.mean() == pytest.approx(5, abs=0.2)  # from none to ten
    strongest = noise[deviations.argmax()].flatten()
    assert (strongest.abs() < deviations.max()).float().mean() == pytest.approx(0.683, abs=0.04)
    assert abs(np.corrcoef(noise[0].flatten(), noise[1].flatten())[0, 1]) < 0.1
    assert abs(np.corrcoef(strongest[:-1], strongest[1:])[0, 1]) < 0.1


def test_little_light_leaves_less_contrast_anywhere_between_black_and_white(monkeypatch):
    only(monkeypatch, FAINT=0.25)
    ramp = torch.arange(48).mul(255 / 47).round().to(torch.uint8).repeat(MANY, 48, 1)
    found = take_pictures(ramp, draws(range(MANY))).flatten(1).float()
    spans = found.amax(1) - found.amin(1)
    assert 60 <= spans.min() < 75
    assert 240 < spans.max() <= 255
    assert found.amin(1).min() < 5
    assert found.amax(1).max() > 250
    faint = spans < 80
    assert found.amin(1)[faint].max() > 150, "faint faces may be bright"


def test_one_face_at_a_time_gets_what_a_batch_gets():
    one = build_augmentation("camera", 5)
    pictures = torch.from_numpy(make_faces(8).images)
    alone = np.stack([one(face.numpy(), epoch=2, sample=n) for n, face in enumerate(pictures)])
    samples = torch.arange(8)
    epochs = torch.full_like(samples, 2)
    together = take_pictures(augment_faces(pictures, draw_faces(5, epochs, samples)), draw_pictures(5, epochs, samples))
    assert np.array_equal(alone, together.numpy())
