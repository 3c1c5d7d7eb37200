"""What is measured of a network file, and what a file with the mirror image inside says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from conftest import make_data
from ferkit.data import Split
from ferkit.data.faces import SPLITS
from ferkit.data.votes import Votes
from ferkit.errors import ModelError
from ferkit.export.onnx import _Recognition, export_run, measure
from ferkit.inference.session import Session
from networks import write_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


def test_a_test_whose_faces_all_stand_in_training_is_measured_whole_alone(network):
    data = make_data(training=40, tests=10)
    images = data.faces.images.copy()
    images[data.splits == SPLITS.index(Split.PUBLIC_TEST)] = images[0]
    found = measure(network, replace(data, faces=replace(data.faces, images=images)), mirrored=False)
    assert "without_copies" not in found["PublicTest"]
    assert "without_copies" not in found["PublicTest"]["with_mirror"]
    assert found["PrivateTest"]["without_copies"]["faces"] == 10


def test_by_votes_counts_what_most_taggers_say_and_leaves_out_faces_of_which_they_say_nothing(network):
    data = make_data(training=40, tests=10)
    images = data.faces.images.copy()
    images[np.flatnonzero(data.splits == SPLITS.index(Split.PRIVATE_TEST))[3]] = images[0]  # a copy of Training
    data = replace(data, faces=replace(data.faces, images=images))
    counts = np.zeros((60, 7), np.int64)
    private = np.flatnonzero(data.splits == SPLITS.index(Split.PRIVATE_TEST))
    said = Session(network)(data.split(Split.PRIVATE_TEST).images).argmax(1)
    counts[private, said] = 4
    counts[private, (said + 1) % 7] = 4  # a tie
    counts[private[:3]] = 0
    counts[private[3:5], (said[3:5] + 1) % 7] = 5
    votes = Votes(counts, np.zeros(60, np.int64), data.faces.labels, data.splits)
    found = measure(network, data, mirrored=False, votes=votes)["PrivateTest"]["by_votes"]
    assert (found["faces"], found["accuracy"]) == (7, pytest.approx(5 / 7))
    alone = found["without_copies"]
    assert (alone["faces"], alone["accuracy"]) == (6, pytest.approx(5 / 6))  # the copy was read wrongly
    confidence = Session(network)(data.split(Split.PRIVATE_TEST).images).max(1)[3:]
    shares = np.array([4 / 9, 4 / 9, *[0.5] * 5])  # of taggers who say what it says; it is sure of all alike
    assert found["calibration_error"] == pytest.approx(abs(confidence.mean() - shares.mean()), abs=0.01)
    assert "by_votes" not in measure(network, data, mirrored=False)["PrivateTest"]


class Tilted(nn.Module):
    """Says one thing of a face that is brighter on the left and another where it is brighter on the right."""

    def forward(self, x):
        difference = x[..., :24].mean((1, 2, 3)) - x[..., 24:].mean((1, 2, 3))
        return torch.log_softmax(difference[:, None] * torch.arange(7.0), 1)


def test_with_the_mirror_image_inside_it_says_the_mean_of_both_probabilities():
    faces = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    faces[:, :, :24] //= 2
    one, both = _Recognition(Tilted(), mirror=False), _Recognition(Tilted(), mirror=True)
    mean = (one(faces) + one(faces.flip(2))) / 2
    torch.testing.assert_close(both(faces), mean)
    assert not torch.allclose(one(faces), mean, atol=0.01)


@pytest.mark.parametrize("name", ["folder", "card.json"])
def test_a_name_that_is_no_files_or_its_cards_is_refused_before_anything_is_read(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match=r"got a folder|ends in \.onnx"):
        export_run(tmp_path / "no run", make_data(training=4, tests=2), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
