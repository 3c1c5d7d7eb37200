"""What the shipped network says must not drift, and its card must say what it does."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ferkit import Recognizer
from ferkit.data import Split, read_fer2013
from ferkit.data.audit import copies_of_training
from ferkit.data.votes import read_votes
from ferkit.errors import UnknownNameError
from ferkit.evaluation.calibration import accuracy_at, calibration_error
from ferkit.experiments.champion import FER_PLUS
from ferkit.files import file_sha256
from ferkit.inference.images import read_image
from ferkit.inference.session import Session
from ferkit.inference.views import views_of
from ferkit.inference.weights import DEFAULT, SHIPPED, card_from_json, network_file
from networks import SEVEN_BITS, largest_weight


def portrait(package, inside):
    spec = find_spec(package)
    return Path(spec.origin).parent / inside


@pytest.mark.parametrize(
    ("package", "inside", "expression", "least"),
    [
        pytest.param("skimage", "data/astronaut.png", "happy", 0.8, id="Eileen Collins"),
        pytest.param("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "neutral", 0.3, id="Grace Hopper"),
    ],
)
@pytest.mark.parametrize("model", SHIPPED)
def test_a_portrait_has_one_face_that_probably_has_its_expression(package, inside, expression, least, model):
    (face,) = Recognizer(model).recognize(portrait(package, inside))
    assert face.probabilities[expression] > least
    assert face.expression == expression or least < 0.5


@pytest.mark.parametrize("light", [0.5, 0.1, 0.05])
def test_the_astronaut_is_happy_in_little_light_too(light):
    picture = read_image(portrait("skimage", "data/astronaut.png"))
    (face,) = Recognizer().recognize((light * picture).astype(np.uint8))
    assert face.probabilities["happy"] > 0.8


@pytest.mark.parametrize("model", SHIPPED)
def test_the_file_is_the_one_its_card_is_of(model):
    file, session = SHIPPED[model], Session(model)
    text = file.with_suffix(".json").read_text(encoding="utf-8")
    assert json.loads(text)["sha256"] == file_sha256(file)
    assert card_from_json(text, "x") == session.card
    assert (session.file, session.card.name) == (file, model)
    assert file.stat().st_size < 4e6


def test_a_network_is_named_or_a_file_and_unless_told_otherwise_learnt_labels(tmp_path):
    assert Session().file == network_file(None) == DEFAULT == SHIPPED["compact"]
    assert network_file("compact-votes") == SHIPPED["compact-votes"]
    for file in (Path("compact-votes"), "./compact-votes", "compact-votes.onnx", tmp_path / "mine"):
        assert network_file(file) == Path(file)
    with pytest.raises(UnknownNameError, match="did you mean 'compact-votes'"):
        Recognizer("compact-vote")
    assert Session().card.recipe["votes"] == ""
    assert Session("compact-votes").card.recipe["votes"] == FER_PLUS
    both = [session(np.full((1, 48, 48), 99, np.uint8)) for session in map(Session, SHIPPED)]
    assert not np.allclose(*both)


@pytest.mark.parametrize("model", SHIPPED)
def test_the_weights_leave_room_for_processors_that_add_products_in_16_bits(model):
    assert 0 < largest_weight(SHIPPED[model]) <= SEVEN_BITS


@pytest.mark.data
@pytest.mark.parametrize("model", SHIPPED)
def test_the_metrics_of_the_card_are_those_of_the_file(fer2013_csv, model):
    data, session = read_fer2013(fer2013_csv), Session(model)
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


@pytest.mark.data
def test_the_network_of_votes_says_what_most_taggers_say(fer2013_csv, ferplus_csv):
    data, session = read_fer2013(fer2013_csv), Session("compact-votes")
    votes = read_votes(ferplus_csv, data)
    assert votes.digest().startswith(FER_PLUS)
    assert session.card.calibrated_by == "FER+ votes"
    for split in (Split.PUBLIC_TEST, Split.PRIVATE_TEST):
        stated, faces = session.card.metrics[split.value], data.split(split)
        plain, mirrored = (session(seen) for seen in views_of(faces.images, ("mirror",)))
        alone = ~copies_of_training(data, split)
        for said, whole in ((plain, stated["by_votes"]), ((plain + mirrored) / 2, stated["with_mirror"]["by_votes"])):
            choices = votes.nearest(split, said.argmax(1))
            for part, found in ((choices >= 0, whole), ((choices >= 0) & alone, whole["without_copies"])):
                assert found["faces"] == part.sum()
                assert np.mean(said[part].argmax(1) == choices[part]) == pytest.approx(found["accuracy"], abs=0.004)
                error = calibration_error(said[part], votes.probabilities(split)[part])
                assert error == pytest.approx(found["calibration_error"], abs=0.006)
                assert error < 0.05
