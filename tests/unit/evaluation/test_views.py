"""Several views of a face, and what a network says of them together."""

import numpy as np
import pytest
import torch
from torch import nn

from conftest import make_faces
from ferkit.errors import UnknownNameError
from ferkit.evaluation import predict
from ferkit.evaluation.views import mean_of, predict_views

FACES = make_faces(6).images


class Corner(nn.Module):
    """A network that looks at one pixel near the left edge, so that every view counts."""

    def forward(self, x):
        levels = torch.linspace(0, 1, 7)
        return torch.log_softmax(-(4 * (x[:, 0, 20, 3, None] - levels)).square(), dim=1)


def test_a_face_as_it_is_is_what_predict_says():
    np.testing.assert_array_equal(predict_views(Corner(), FACES), predict(Corner(), FACES))


def test_with_its_mirror_image_it_is_the_mean_of_both_probabilities():
    both = [np.exp(predict(Corner(), faces)) for faces in (FACES, np.ascontiguousarray(FACES[:, :, ::-1]))]
    found = predict_views(Corner(), FACES, ("mirror",))
    np.testing.assert_allclose(np.exp(found), np.mean(both, axis=0), atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 0.1


def test_shifts_are_four_more_views_two_pixels_away():
    rows, columns = [20, 18, 22, 20, 20], [3, 3, 3, 1, 5]
    seen = []
    for row, column in zip(rows, columns, strict=True):
        moved = FACES.copy()
        moved[:, 20, 3] = FACES[:, row, column]
        seen.append(np.exp(predict(Corner(), moved)))
    found = predict_views(Corner(), FACES, ("shifts",))
    np.testing.assert_allclose(np.exp(found), np.mean(seen, axis=0), atol=1e-6)


def test_probabilities_of_all_views_and_networks_sum_to_one():
    found = mean_of([predict_views(Corner(), FACES, ("shifts", "mirror")), predict(Corner(), FACES)])
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-5)


def test_an_unknown_view_gets_its_near_match():
    with pytest.raises(UnknownNameError) as caught:
        predict_views(Corner(), FACES, ("mirrow",))
    assert str(caught.value) == "unknown view 'mirrow'; did you mean 'mirror'?"
