"""The report's augmentation: which transforms, and what their randomness depends on."""

import copy
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferkit.training.augment import build_augmentation
from ferkit.training.augment_report import REPORT, SeededPipeline

WHITE_AT = 200

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def some_images(n=40):
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)


def augmented(images, seed=0, epoch=0, pipeline=None):
    pipeline = pipeline or build_augmentation("report", seed)
    return np.stack([pipeline(image, epoch=epoch, sample=i) for i, image in enumerate(images)])


def always(index):
    """Return a pipeline of one transform of the report, applied to every face."""
    transform = copy.deepcopy(REPORT[index])
    transform.p = 1.0
    return SeededPipeline((transform,), seed=0)


# --------------------------------------------------------------------------------------------------- which transforms


@pytest.mark.parametrize(
    ("index", "name", "settings"),
    [
        pytest.param(0, "HorizontalFlip", {"p": 0.5}, id="horizontal flip"),
        pytest.param(1, "VerticalFlip", {"p": 0.3}, id="vertical flip"),
        pytest.param(2, "Rotate", {"p": 0.2, "limit": (-90, 90), "border_mode": 4, "interpolation": 1}, id="rotation"),
        pytest.param(
            3,
            "CoarseDropout",
            {
                "p": 0.2,
                "num_holes_range": (8, 8),
                "hole_height_range": (8, 8),
                "hole_width_range": (8, 8),
                "fill": 0,
            },
            id="holes",
        ),
        pytest.param(
            4,
            "GaussNoise",
            {"p": 0.2, "mean_range": (0, 0), "std_range": (pytest.approx(3.16228 / 255), pytest.approx(7.07107 / 255))},
            id="noise of variance 10 to 50",
        ),
    ],
)
def test_the_pipeline_has_the_transforms_and_parameters_of_its_docstring(index, name, settings):
    transform = REPORT[index]
    assert type(transform).__name__ == name
    assert {key: transform.get_transform_init_args()[key] for key in settings} == settings


def test_the_pipeline_has_five_transforms():
    assert len(REPORT) == 5


def test_about_one_face_in_six_stays_as_it_is():
    images = some_images(2000)
    changed = (augmented(images) != images).any(axis=(1, 2)).mean()
    assert changed == pytest.approx(1 - 0.5 * 0.7 * 0.8**3, abs=0.03)  # three standard deviations and a half


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        pytest.param(0, lambda image: image[:, ::-1], id="left to right"),
        pytest.param(1, lambda image: image[::-1], id="top to bottom"),
    ],
)
def test_a_flip_mirrors_the_face(index, expected):
    image = some_images(1)[0]
    np.testing.assert_array_equal(always(index)(image, epoch=0, sample=0), expected(image))


def test_a_rotation_leaves_no_black():
    white = np.full((48, 48), WHITE_AT, np.uint8)
    for sample in range(20):
        assert (always(2)(white, epoch=0, sample=sample) == WHITE_AT).all()


def test_the_holes_are_black_and_at_most_eight_of_8_by_8():
    white = np.full((20, 48, 48), WHITE_AT, np.uint8)
    holed = augmented(white, pipeline=always(3))
    assert np.unique(holed).tolist() == [0, WHITE_AT]
    black = (holed == 0).sum(axis=(1, 2))
    assert black.max() <= 8 * 8 * 8
    assert black.min() > 8 * 8
    assert black.mean() > 5 * 8 * 8


def test_the_noise_has_a_standard_deviation_from_3_to_7_grey_levels():
    grey = np.full((300, 48, 48), 128, np.uint8)
    noise = augmented(grey, pipeline=always(4)).astype(float) - 128
    deviations = noise.std(axis=(1, 2))
    # Albumentations cuts the noise down to whole grey levels, towards zero, which costs 0.4 of the deviation.
    assert 3.16 - 0.45 < deviations.min() < 3.16
    assert 7.07 - 0.75 < deviations.max() < 7.07
    assert abs(noise.mean()) < 0.1


# -------------------------------------------------------------------------------- a function of seed, epoch and sample


def test_another_pipeline_of_the_same_seed_does_the_same():
    images = some_images()
    np.testing.assert_array_equal(augmented(images), augmented(images))


def test_neither_order_nor_repetition_changes_a_face():
    images = some_images()
    forward = augmented(images)
    pipeline = build_augmentation("report", 0)
    for sample in [*reversed(range(len(images))), 0, 0, 7]:
        np.testing.assert_array_equal(pipeline(images[sample], epoch=0, sample=sample), forward[sample])


def test_calls_for_other_epochs_and_faces_in_between_change_nothing():
    images = some_images()
    expected = augmented(images)
    pipeline = build_augmentation("report", 0)
    found = []
    for sample, image in enumerate(images):
        pipeline(image, epoch=5, sample=1000 + sample)
        found.append(pipeline(image, epoch=0, sample=sample))
    np.testing.assert_array_equal(np.stack(found), expected)


def test_two_pipelines_side_by_side_do_not_disturb_each_other():
    images = some_images()
    alone = augmented(images, seed=1), augmented(images, seed=2)
    first, second = build_augmentation("report", 1), build_augmentation("report", 2)
    together = [(first(image, epoch=0, sample=i), second(image, epoch=0, sample=i)) for i, image in enumerate(images)]
    np.testing.assert_array_equal(np.stack([one for one, _ in together]), alone[0])
    np.testing.assert_array_equal(np.stack([other for _, other in together]), alone[1])


def test_the_global_random_numbers_neither_matter_nor_move():
    images = some_images()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = augmented(images)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(augmented(images), first)


def test_a_copy_that_went_to_another_process_does_the_same():
    images = some_images()
    pipeline = build_augmentation("report", 3)
    pipeline(images[0], epoch=1, sample=1)
    np.testing.assert_array_equal(augmented(images, pipeline=copy.deepcopy(pipeline)), augmented(images, seed=3))


@pytest.mark.parametrize(
    ("seed", "epoch", "shift"),
    [
        pytest.param(1, 0, 0, id="another seed"),
        pytest.param(0, 1, 0, id="another epoch"),
        pytest.param(0, 0, 1, id="another sample"),
    ],
)
def test_another_seed_epoch_or_sample_is_another_change(seed, epoch, shift):
    image = some_images(1)[0]
    here, there = build_augmentation("report", 0), build_augmentation("report", seed)
    same = [
        np.array_equal(here(image, epoch=0, sample=i), there(image, epoch=epoch, sample=i + shift)) for i in range(200)
    ]
    # Two independent draws agree where both are flips alone: below one in ten.
    assert np.mean(same) < 0.2


# ------------------------------------------------------------------------------------------------ images in and out


@pytest.mark.parametrize("name", ["report", "none"])
def test_shape_and_type_stay_and_the_input_is_not_written_to(name):
    images = some_images(100)
    before = images.copy()
    changed = augmented(images, pipeline=build_augmentation(name, 0))
    np.testing.assert_array_equal(images, before)
    assert (changed.shape, changed.dtype) == ((100, 48, 48), np.uint8)


def test_no_augmentation_changes_nothing():
    images = some_images()
    np.testing.assert_array_equal(augmented(images, pipeline=build_augmentation("none", 0)), images)


@pytest.mark.parametrize("module", ["ferkit.training.augment_report", "plain"])
def test_albumentations_is_told_not_to_look_for_updates_before_it_is_imported(module):
    code = f"""
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "albumentations":
            print("NO_ALBUMENTATIONS_UPDATE is", os.environ.get("NO_ALBUMENTATIONS_UPDATE"))
            raise SystemExit

sys.meta_path.insert(0, Watch())
os.environ.pop("NO_ALBUMENTATIONS_UPDATE", None)
sys.path.append({str(BENCHMARKS)!r})
import {module}
"""
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("NO_ALBUMENTATIONS_UPDATE is 1\n", "")
