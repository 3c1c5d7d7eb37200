"""Grey levels as detectors and the network look at them."""

import numpy as np
import pytest

from ferkit import Recognizer
from ferkit.data import Split, read_fer2013
from ferkit.inference.levels import CONTRAST, LARGEST_GAIN, MIDDLE, contrasted, stretched
from ferkit.labels import EXPRESSIONS


def face(low, high):
    """Return a face with levels from ``low`` to ``high``, evenly, before something white."""
    grey = np.full((48, 48), 255, np.uint8)
    grey[4:44, 8:40] = np.random.default_rng(0).permutation(np.linspace(low, high, 40 * 32)).reshape(40, 32).round()
    return grey


def middle_of(grey):
    return grey[MIDDLE].astype(float)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (40, 180), (100, 240)])
def test_a_face_with_contrast_stays_as_it_is(low, high):
    grey = face(low, high)
    assert contrasted(grey) is grey


@pytest.mark.parametrize(("low", "high"), [(2, 22), (10, 80), (220, 250), (100, 160), (60, 180)])
def test_a_face_with_little_contrast_is_given_half_of_the_range(low, high):
    found = middle_of(contrasted(face(low, high)))
    darkest, brightest = np.percentile(found, (1, 99))
    assert brightest - darkest == pytest.approx(CONTRAST, abs=CONTRAST / (high - low) + 2)
    assert found.std() / middle_of(face(low, high)).std() == pytest.approx(CONTRAST / (high - low), rel=0.1)
    assert 0 <= darkest < brightest <= 255


def test_what_is_grey_in_the_middle_of_the_range_stays_there():
    assert middle_of(contrasted(face(110, 150))).mean() == pytest.approx(130, abs=4)


def test_a_face_that_has_just_enough_differs_little_from_one_that_has_not():
    just, nearly = face(60, 60 + CONTRAST + 4), face(60, 60 + CONTRAST - 4)
    assert contrasted(just) is just
    assert np.abs(middle_of(contrasted(nearly)) - middle_of(nearly)).max() < 6


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_a_picture_of_one_level_stays_one(level):
    grey = np.full((48, 48), level, np.uint8)
    assert np.ptp(contrasted(grey)) == 0
    grey[20, 20:34] = min(255, level + 2)  # more than a hundredth
    assert np.ptp(contrasted(grey)) <= 2 * LARGEST_GAIN


def test_a_face_of_one_level_stays_as_it_is_before_whatever_it_is():
    grey = np.full((48, 48), 90, np.uint8)
    grey[:5] = 100
    assert contrasted(grey) is grey


def test_a_picture_is_stretched_over_the_whole_range_but_not_more_than_16_times():
    ramp = np.repeat(np.linspace(100, 150, 60).round().astype(np.uint8)[None], 60, axis=0)
    assert stretched(ramp).min() == 0
    assert stretched(ramp).max() >= 254
    halves = np.repeat(np.array([[100, 104]], np.uint8), 30, axis=0)
    assert np.ptp(stretched(halves)) == 4 * 255 // 16


def test_faces_in_little_light_are_read_nearly_as_well_as_others(fer2013_csv):
    """Of all of PublicTest in a tenth of the light 57.7 % were read right before there was :func:`contrasted`."""
    faces = read_fer2013(fer2013_csv).split(Split.PUBLIC_TEST)
    images, labels = faces.images[:1200], faces.labels[:1200]
    reads = Recognizer()

    def accuracy(changed):
        said = [EXPRESSIONS.index(face.likeliest) for face in reads.recognize_crops(changed)]
        return float((np.array(said) == labels).mean())

    plain = accuracy(images)
    assert plain > 0.66
    for darker in (images // 10, images // 5 + 200, (images // 4 + 96)):
        assert accuracy(darker.astype(np.uint8)) > plain - 0.03
