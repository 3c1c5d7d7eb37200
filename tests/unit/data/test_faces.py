import numpy as np
import pytest

from ferkit.data import Faces, Fer2013, Split
from ferkit.errors import DataError


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        pytest.param((2, 48, 48), [0], r"images must have shape \(1, 48, 48\), one per label; got \(2,", id="too few"),
        pytest.param((1, 32, 32), [0], r"got \(1, 32, 32\)$", id="wrong side"),
        pytest.param((1, 1, 48, 48), [0], r"got \(1, 1, 48, 48\)$", id="a channel"),
        pytest.param((1, 48, 48), [7], r"labels must lie in 0\.\.6$", id="eighth class"),
        pytest.param((1, 48, 48), [-1], r"labels must lie in 0\.\.6$", id="negative class"),
    ],
)
def test_faces_refuse_arrays_that_do_not_fit_together(images, labels, message):
    with pytest.raises(DataError, match=message):
        Faces(np.zeros(images, np.uint8), np.array(labels, np.int64))


@pytest.mark.parametrize(("images", "labels"), [("float32", "int64"), ("uint8", "int32"), ("uint8", "float64")])
def test_faces_refuse_other_types(images, labels):
    with pytest.raises(DataError, match=f"images must be uint8 and labels int64, got {images} and {labels}$"):
        Faces(np.zeros((1, 48, 48), images), np.zeros(1, labels))


def test_no_faces_are_faces():
    faces = Faces(np.zeros((0, 48, 48), np.uint8), np.zeros(0, np.int64))
    assert (len(faces), sum(faces.counts().values())) == (0, 0)


@pytest.mark.parametrize("rows", [slice(1, 3), [1, 2], np.array([False, True, True, False])])
def test_faces_are_picked_by_slice_position_or_mask(rows):
    faces = Faces(np.arange(4, dtype=np.uint8).repeat(48 * 48).reshape(4, 48, 48), np.arange(4))[rows]
    assert faces.labels.tolist() == faces.images[:, 0, 0].tolist() == [1, 2]


def test_counts_name_every_expression_in_class_order():
    faces = Faces(np.zeros((3, 48, 48), np.uint8), np.array([3, 3, 0]))
    counts = {"angry": 1, "disgust": 0, "fear": 0, "happy": 2, "sad": 0, "surprise": 0, "neutral": 0}
    assert list(faces.counts().items()) == list(counts.items())


def test_a_data_set_wants_a_split_for_every_face():
    faces = Faces(np.zeros((2, 48, 48), np.uint8), np.zeros(2, np.int64))
    with pytest.raises(DataError, match=r"splits must have shape \(2,\), one per face; got \(3,\)$"):
        Fer2013(faces=faces, splits=np.zeros(3, np.uint8), source="")


def test_a_split_keeps_the_order_of_the_source():
    faces = Faces(np.zeros((4, 48, 48), np.uint8), np.array([6, 5, 4, 3]))
    data = Fer2013(faces=faces, splits=np.array([2, 0, 2, 0], np.uint8), source="")
    assert [data.split(s).labels.tolist() for s in Split] == [[5, 3], [], [6, 4]]
