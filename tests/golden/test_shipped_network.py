"""What the shipped network says must not drift, and its card must say what it does."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ferkit import Recognizer
from ferkit.data import Split, read_fer2013
from ferkit.data.audit import copies_of_training
from ferkit.evaluation.calibration import accuracy_at, calibration_error
from ferkit.inference.session import Session
from ferkit.inference.views import views_of
from ferkit.inference.weights import DEFAULT, card_from_json, file_sha256
from networks import SEVEN_BITS, largest_weight


def portrait(package, inside):
    spec = find_spec(package)
    return Path(spec.origin).parent / inside


@pytest.mark.parametrize(
    ("package", "inside", "expression"),
    [
        pytest.param("skimage", "data/astronaut.png", "happy", id="Eileen Collins"),
        pytest.param("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "neutral", id="Grace Hopper"),
    ],
)
def test_a_portrait_has_one_face_with_its_expression(package, inside, expression):
    (face,) = Recognizer().recognize(portrait(package, inside))
    assert face.expression == expression
    assert face.confidence > 0.4  # the next likeliest has at most half of that
    assert sorted(face.probabilities.values())[-2] < face.confidence / 2


def test_the_file_is_the_one_its_card_is_of():
    beside = json.loads(DEFAULT.with_suffix(".json").read_text(encoding="utf-8"))
    assert beside["sha256"] == file_sha256(DEFAULT)
    assert card_from_json(DEFAULT.with_suffix(".json").read_text(encoding="utf-8"), "x") == Session().card
    assert DEFAULT.stat().st_size < 4e6


def test_the_weights_leave_room_for_processors_that_add_products_in_16_bits():
    assert 0 < largest_weight(DEFAULT) <= SEVEN_BITS


@pytest.mark.data
def test_the_metrics_of_the_card_are_those_of_the_file(fer2013_csv):
    data, session = read_fer2013(fer2013_csv), Session()
    for split in (Split.PUBLIC_TEST, Split.PRIVATE_TEST):
        faces, stated = data.split(split), session.card.metrics[split.value]
        plain, mirrored = (session(seen) for seen in views_of(faces.images, ("mirror",)))
        both = (plain + mirrored) / 2
        alone = ~copies_of_training(data, split)
        for said, part, found in (
            (plain, slice(None), stated),
            (plain, alone, stated["without_copies"]),
            (both, slice(None), stated["with_mirror"]),
            (both, alone, stated["with_mirror"]["without_copies"]),
        ):
            p, labels = said[part], faces.labels[part]
            # Processors round sums of other orders in other ways: a few faces near a border may change sides.
            assert found["faces"] == len(labels)
            assert np.mean(p.argmax(1) == labels) == pytest.approx(found["accuracy"], abs=0.004)
            assert calibration_error(p, labels) == pytest.approx(found["calibration_error"], abs=0.006)
            assert accuracy_at(0.6, p, labels) == pytest.approx(found["accuracy_at_coverage"]["60%"], abs=0.008)
