"""What is measured of a network file, and what a file with the mirror image inside says."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from conftest import make_data
from ferkit.data import Split
from ferkit.data.faces import SPLITS
from ferkit.errors import ModelError
from ferkit.export.onnx import _Recognition, export_run, measure
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
