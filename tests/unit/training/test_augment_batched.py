"""The batched augmentation: exact where it can be, and drawn from the distribution of Albumentations.

The comparisons are two-sample tests at fixed seeds: each accepts what is drawn, and refuses it with one parameter
changed.
"""

import copy
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
from scipy import stats

from ferkit.training import augment_batched, augment_settings
from ferkit.training.augment_batched import add_noise, augment_batch, cut_holes, draw, flip, rotate
from ferkit.training.augment_report import REPORT, SeededPipeline
from ferkit.training.splitmix import random_fields, random_words

ENOUGH = 1e-3
"""Probability below which two samples are not of one distribution."""

FLIP, UPSIDE_DOWN, ROTATE, HOLES, NOISE = range(5)
QUARTER = [0, 65535]
"""Angles of the two ends of the range, 90 degrees but for a thousandth."""


def some_images(n=300):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8))


def picture():
    """Return a smooth picture without symmetry, as a face is."""
    coarse = np.random.default_rng(5).integers(40, 216, (6, 6), dtype=np.uint8)
    return cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)


def augmented(images, seed=0, epoch=0, samples=None):
    samples = torch.arange(len(images)) if samples is None else torch.as_tensor(samples)
    return augment_batch(images, draw(seed, torch.full_like(samples, epoch), samples))


@pytest.fixture
def changed_settings(monkeypatch):
    """Return a function that changes a parameter of the batched form alone; the pipeline was built before."""

    def change(name, value):
        monkeypatch.setattr(augment_settings, name, value)
        augment_batched._tables.cache_clear()

    yield change
    augment_batched._tables.cache_clear()


# -------------------------------------------------------------------------------- a function of seed, epoch and sample


@pytest.mark.parametrize("size", [1, 7, 64, 299])
def test_a_face_is_the_same_to_the_last_bit_in_a_batch_of_any_size(size):
    images = some_images()
    expected = augmented(images)
    parts = [augmented(images[i : i + size], samples=range(i, min(i + size, 300))) for i in range(0, 300, size)]
    assert torch.equal(torch.cat(parts), expected)


def test_neither_order_nor_repetition_changes_a_face():
    images = some_images()
    order = torch.tensor([*reversed(range(300)), 0, 0, 7])
    assert torch.equal(augmented(images[order], samples=order), augmented(images)[order])


def test_faces_of_several_epochs_may_share_a_batch():
    images = some_images(100)
    epochs, samples = torch.tensor([0, 3]).repeat_interleave(100), torch.arange(100).repeat(2)
    together = augment_batch(torch.cat([images, images]), draw(0, epochs, samples))
    assert torch.equal(together, torch.cat([augmented(images), augmented(images, epoch=3)]))


def test_the_generator_of_torch_neither_matters_nor_moves():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augmented(some_images())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(augmented(some_images()), first)


@pytest.mark.parametrize(
    ("seed", "epoch", "shift"),
    [
        pytest.param(1, 0, 0, id="another seed"),
        pytest.param(0, 1, 0, id="another epoch"),
        pytest.param(0, 0, 1, id="another sample"),
    ],
)
def test_another_seed_epoch_or_sample_is_another_change(seed, epoch, shift):
    images = some_images(1).expand(300, 48, 48)
    there = augmented(images, seed, epoch, torch.arange(300) + shift)
    assert (augmented(images) == there).flatten(1).all(1).float().mean() < 0.2  # where both are flips alone


def test_the_input_is_not_written_to():
    images = some_images()
    before = images.clone()
    changed = augmented(images)
    assert torch.equal(images, before)
    assert (changed.shape, changed.dtype) == ((300, 48, 48), torch.uint8)


def test_no_face_is_a_batch_too():
    assert augmented(some_images(0)).shape == (0, 48, 48)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_does_the_same_to_the_last_bit_and_nothing_waits_for_it():
    images, samples = some_images(), torch.arange(300)
    there, draws = images.cuda(), draw(0, torch.zeros_like(samples), samples)
    on_gpu = augment_batched.Draws(*(part.cuda() for part in draws))
    augment_batch(there, on_gpu)  # makes the tables
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = augment_batch(there, on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found.cpu(), augment_batch(images, draws))


# ----------------------------------------------------------------------------------------------- transforms, one by one


def test_flips_mirror_the_faces_they_are_asked_for():
    images = some_images(4)
    horizontal, vertical = torch.tensor([False, True, False, True]), torch.tensor([False, False, True, True])
    found = flip(images, horizontal, vertical)
    expected = [images[0], images[1].flip(1), images[2].flip(0), images[3].flip(0, 1)]
    assert torch.equal(found, torch.stack(expected))


@pytest.mark.parametrize("angle", range(0, 65536, 4369), ids=lambda angle: f"{(angle + 0.5) / 65536 * 180 - 90:.0f}")
def test_a_rotation_is_that_of_opencv(angle):
    degrees = (angle + 0.5) / 65536 * 180 - 90
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), degrees, 1.0)
    expected = cv2.warpAffine(picture(), matrix, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    found = rotate(torch.from_numpy(picture())[None], torch.tensor([angle], dtype=torch.int32))[0].numpy()
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 2  # OpenCV rounds positions twice
    assert difference.mean() < 0.1


def test_a_quarter_turn_moves_pixels_and_mixes_none():
    image = torch.from_numpy(picture())
    turned = rotate(image.expand(2, 48, 48), torch.tensor(QUARTER, dtype=torch.int32))
    assert torch.equal(turned[0], image.rot90(-1))
    assert torch.equal(turned[1], image.rot90(1))


def test_a_rotation_leaves_no_black():
    white = torch.full((64, 48, 48), 200, dtype=torch.uint8)
    assert (rotate(white, torch.arange(0, 65536, 1024, dtype=torch.int32)) == 200).all()


def test_holes_are_black_where_they_are_asked_for():
    corners = torch.tensor(
        [[[0, 0], [40, 40], [3, 5], [3, 5], [10, 30], [12, 33], [40, 0], [20, 20]]], dtype=torch.int32
    )
    expected = some_images(1)
    for row, column in corners[0].tolist():
        expected[0, row : row + 8, column : column + 8] = 0
    assert torch.equal(cut_holes(some_images(1), corners), expected)


@pytest.mark.parametrize("level", [0, 3, 128, 252, 255])
def test_noise_is_whole_grey_levels_and_clipped(level):
    keys = random_words(torch.tensor(0), torch.arange(50))
    flat = torch.full((50, 48, 48), level, dtype=torch.uint8)
    steady = torch.full((50,), 65535, dtype=torch.int32)
    normal = torch.special.ndtri((random_fields(keys, 6, 582).double() + 0.5) / 65536).view(50, 48, 48)
    expected = (level + (normal.float() * np.float32(50**0.5)).trunc()).clamp(0, 255)
    found = add_noise(flat, steady, keys)
    assert (found != expected).float().mean() < 1e-4  # a deviation that is a rounding smaller than the root of 50
    assert (found.float() - expected).abs().max() <= 1


# --------------------------------------------------------------------------- the same distribution as Albumentations


PICTURE, FLAT, RAMP = range(3)
PICTURES = (picture(), np.full((48, 48), 128, np.uint8), np.tile(np.arange(48, dtype=np.uint8) * 4 + 30, (48, 1)))


@lru_cache(maxsize=32)
def from_albumentations(transforms, n, always, image=PICTURE):
    """Return ``n`` changed copies of a picture by some transforms of the report."""
    chosen = [copy.deepcopy(REPORT[index]) for index in transforms]
    for transform in chosen:
        transform.p = 1.0 if always else transform.p
    pipeline = SeededPipeline(tuple(chosen), seed=11)
    return np.stack([pipeline(PICTURES[image], epoch=0, sample=sample) for sample in range(n)])


def batched_faces(transform, n, image=PICTURE):
    """Return at least ``n`` copies of a picture, all changed by one transform."""
    draws = draw(12, torch.zeros(8 * n, dtype=torch.int64), torch.arange(8 * n))
    copies = torch.from_numpy(PICTURES[image]).expand(8 * n, 48, 48)
    if transform == ROTATE:
        return rotate(copies[: len(draws.angles)], draws.angles).numpy()
    if transform == HOLES:
        return cut_holes(copies[: len(draws.corners)], draws.corners).numpy()
    return add_noise(copies[: len(draws.keys)], draws.deviations, draws.keys).numpy()


def permutation_test(one, other, rounds=400):
    """Return the probability of so large a difference between the means ``(N, features)`` of two samples."""
    both = np.concatenate([one, other]).reshape(len(one) + len(other), -1).astype(np.float32)
    both -= both.mean(0)
    both /= both.std(0) + 1e-3
    rng = np.random.default_rng(0)
    signs = np.where(np.arange(len(both)) < len(one), 1 / len(one), -1 / len(other)).astype(np.float32)
    shuffled = np.stack([signs, *(rng.permutation(signs) for _ in range(rounds))])
    distances = ((shuffled @ both) ** 2).sum(1)
    # The tail is finer than the rounds where a gamma distribution, as a sum of squares has, is put through them.
    shape = distances[1:].mean() ** 2 / distances[1:].var()
    return stats.gamma.sf(distances[0], shape, scale=distances[1:].mean() / shape)


def moments(faces):
    """Return each pixel and its square: their means are mean and variance of every pixel."""
    values = faces.reshape(len(faces), -1).astype(np.float32)
    return np.concatenate([values, (values - 128) ** 2], axis=1)


def p_of_frequency(transform):
    n, many = 2500, 20_000
    changed = (from_albumentations((transform,), n, always=False) != picture()).any((1, 2)).sum()
    draws = draw(3, torch.zeros(many, dtype=torch.int64), torch.arange(many))
    ours = int(
        [draws.horizontal.sum(), draws.vertical.sum(), *map(len, (draws.rotated, draws.holed, draws.noisy))][transform]
    )
    return stats.fisher_exact([[changed, n - changed], [ours, many - ours]]).pvalue


def p_of_angle():
    faces = from_albumentations((ROTATE,), 700, always=True, image=RAMP), batched_faces(ROTATE, 700, RAMP)
    return stats.ks_2samp(*map(shown_angle, faces)).pvalue


def shown_angle(ramps):
    """Return the angle that rotated ramps show in their middle, where no border reaches."""
    middle = ramps[:, 14:34, 14:34].astype(float)
    return np.degrees(np.arctan2(np.diff(middle, axis=1).mean((1, 2)), np.diff(middle, axis=2).mean((1, 2))))


def p_of_pixels(transform):
    n = 700
    return permutation_test(
        moments(from_albumentations((transform,), n, always=True)), moments(batched_faces(transform, n))
    )


def p_of_black():
    black = [
        (faces == 0).sum((1, 2)) for faces in (from_albumentations((HOLES,), 700, True), batched_faces(HOLES, 700))
    ]
    return stats.ks_2samp(*black).pvalue


def p_of_deviation():
    faces = from_albumentations((NOISE,), 700, True, image=FLAT), batched_faces(NOISE, 700, FLAT)
    return stats.ks_2samp(*(sample.std((1, 2)) for sample in faces)).pvalue


def p_of_noise_levels():
    """Compare the grey levels of one pixel a face; those of one face share a deviation and are no independent draws."""
    faces = from_albumentations((NOISE,), 700, True, image=FLAT), batched_faces(NOISE, 700, FLAT)
    levels = [
        np.clip(sample[np.arange(len(sample)), np.arange(len(sample)) % 48, 7].astype(int) - 128, -8, 8)
        for sample in faces
    ]
    return stats.chi2_contingency([np.bincount(sample + 8, minlength=17) for sample in levels]).pvalue


def p_of_all():
    n = 1500
    ours = augmented(torch.from_numpy(picture()).expand(n, 48, 48), seed=9).numpy()
    return permutation_test(moments(from_albumentations(tuple(range(5)), n, always=False)), moments(ours))


COMPARISONS = {
    "frequency of horizontal flips": lambda: p_of_frequency(FLIP),
    "frequency of vertical flips": lambda: p_of_frequency(UPSIDE_DOWN),
    "frequency of rotations": lambda: p_of_frequency(ROTATE),
    "frequency of holes": lambda: p_of_frequency(HOLES),
    "frequency of noise": lambda: p_of_frequency(NOISE),
    "angles": p_of_angle,
    "pixels after a rotation": lambda: p_of_pixels(ROTATE),
    "pixels after holes": lambda: p_of_pixels(HOLES),
    "pixels after noise": lambda: p_of_pixels(NOISE),
    "black pixels": p_of_black,
    "deviation of the noise": p_of_deviation,
    "grey levels of the noise": p_of_noise_levels,
    "pixels after all five": p_of_all,
}


@pytest.mark.parametrize("what", COMPARISONS)
def test_it_is_drawn_as_albumentations_draws(what):
    assert COMPARISONS[what]() > ENOUGH


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [
        pytest.param("frequency of horizontal flips", "HORIZONTAL_FLIP", 0.42, id="fewer horizontal flips"),
        pytest.param("frequency of vertical flips", "VERTICAL_FLIP", 0.36, id="more vertical flips"),
        pytest.param("frequency of rotations", "ROTATION", 0.25, id="more rotations"),
        pytest.param("frequency of holes", "DROPOUT", 0.15, id="fewer faces with holes"),
        pytest.param("frequency of noise", "NOISE", 0.25, id="more faces with noise"),
        pytest.param("angles", "LARGEST_ANGLE", 70, id="smaller angles"),
        pytest.param("pixels after a rotation", "LARGEST_ANGLE", 60, id="smaller angles, seen in the pixels"),
        pytest.param("pixels after holes", "HOLE_SIDE", 7, id="smaller holes"),
        pytest.param("black pixels", "HOLES", 7, id="fewer holes"),
        pytest.param("deviation of the noise", "NOISE_STD", (10**0.5, 40**0.5), id="less noise"),
        pytest.param("grey levels of the noise", "NOISE_STD", (1.0, 50**0.5), id="less noise at the lower end"),
        pytest.param("pixels after noise", "NOISE_STD", (10**0.5, 80**0.5), id="more noise, seen in the pixels"),
        pytest.param("pixels after all five", "HORIZONTAL_FLIP", 0.4, id="fewer flips, seen in the pixels"),
    ],
)
def test_the_comparison_notices_another_parameter(what, name, value, changed_settings):
    changed_settings(name, value)
    assert COMPARISONS[what]() < ENOUGH


def test_the_five_transforms_are_drawn_independently_of_each_other():
    n = 60_000
    draws = draw(2, torch.zeros(n, dtype=torch.int64), torch.arange(n))
    chosen = torch.zeros(5, n, dtype=torch.int64)
    chosen[0], chosen[1] = draws.horizontal, draws.vertical
    for index, rows in zip((2, 3, 4), (draws.rotated, draws.holed, draws.noisy), strict=True):
        chosen[index, rows] = 1
    counts = torch.bincount((chosen * 2 ** torch.arange(5)[:, None]).sum(0), minlength=32)
    odds = [0.5, 0.3, 0.2, 0.2, 0.2]
    bits = (np.arange(32)[:, None] >> np.arange(5)) & 1
    expected = n * np.where(bits, odds, 1 - np.array(odds)).prod(1)
    assert stats.chisquare(counts.numpy(), expected).pvalue > ENOUGH
