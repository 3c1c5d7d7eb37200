import json

import numpy as np
import pytest

from ferkit.data import Faces, Fer2013, Split, audit, read_fer2013
from ferkit.data.audit import (
    ORIGINAL_MD5,
    content_digest,
    copies_of_training,
    faces_digest,
    not_in_training,
    only_copies,
)


def data_of(*rows, md5="", notes=()):
    """Return a data set; each row is the number of an image, a label and the number of a split."""
    kinds = np.random.default_rng(0).integers(0, 256, (20, 48, 48)).astype(np.uint8)
    kinds[0], kinds[1] = 0, 200  # images 0 and 1 are of one grey level
    images, labels, splits = zip(*rows, strict=True)
    faces = Faces(kinds[list(images)], np.array(labels, np.int64))
    return Fer2013(faces=faces, splits=np.array(splits, np.uint8), source="made up", md5=md5, notes=notes)


ROWS = [
    (2, 0, 0),
    (3, 1, 0),
    (3, 1, 0),  # a copy within Training
    (4, 2, 0),
    (4, 3, 1),  # in PublicTest, with another label
    (4, 2, 1),  # once more
    (3, 1, 2),
    (5, 4, 1),
    (5, 4, 2),  # in both tests, not in Training
    (0, 6, 0),
    (1, 6, 2),
    (6, 6, 2),
]


def test_rows_are_counted_by_split_and_expression():
    found = audit(data_of(*ROWS))
    assert found.rows == 12
    assert list(found.counts) == ["Training", "PublicTest", "PrivateTest"]
    assert list(found.counts["Training"].items())[:4] == [("angry", 1), ("disgust", 2), ("fear", 1), ("happy", 0)]
    assert {split: sum(counts.values()) for split, counts in found.counts.items()} == {
        "Training": 5,
        "PublicTest": 3,
        "PrivateTest": 4,
    }


def test_duplicates_are_counted_within_and_across_splits():
    found = audit(data_of(*ROWS))
    assert (found.duplicate_groups, found.surplus_duplicates) == (3, 5)
    assert found.duplicates_within == {"Training": 1, "PublicTest": 1, "PrivateTest": 0}
    assert found.copies_across == {
        "PublicTest in Training": 2,
        "PrivateTest in Training": 1,
        "PrivateTest in PublicTest": 1,
    }


def test_duplicates_with_different_labels_are_conflicts():
    assert audit(data_of(*ROWS)).conflicting_groups == 1
    assert audit(data_of((2, 0, 0), (2, 0, 1), (3, 1, 0))).conflicting_groups == 0


def test_images_of_one_grey_level_are_counted_by_split():
    assert audit(data_of(*ROWS)).constant_images == {"Training": 1, "PublicTest": 0, "PrivateTest": 1}


def test_images_that_differ_in_one_pixel_are_no_duplicates():
    images = np.zeros((2, 48, 48), np.uint8)
    images[1, 47, 47] = 1
    found = audit(Fer2013(faces=Faces(images, np.zeros(2, np.int64)), splits=np.zeros(2, np.uint8), source=""))
    assert (found.surplus_duplicates, found.constant_images["Training"]) == (0, 1)


@pytest.mark.parametrize(
    ("split", "copies"),
    [
        (Split.PUBLIC_TEST, [True, True, False]),
        (Split.PRIVATE_TEST, [True, False, False, False]),
        (Split.TRAINING, [True] * 5),
    ],
)
def test_copies_of_training_are_marked_in_the_order_of_the_split(split, copies):
    marks = copies_of_training(data_of(*ROWS), split)
    assert not_in_training(data_of(*ROWS), split).tolist() == (~marks).tolist()
    assert (marks.dtype, marks.tolist()) == (np.bool_, copies)


def test_copies_in_an_empty_split_are_none():
    assert copies_of_training(data_of((2, 0, 0)), Split.PUBLIC_TEST).shape == (0,)


def test_without_training_nothing_says_which_faces_are_no_copies():
    assert not_in_training(data_of((1, 0, 1), (2, 1, 1)), Split.PUBLIC_TEST).tolist() == [False, False]
    assert not_in_training(data_of((0, 0, 0)), Split.TRAINING).tolist() == [False]


def test_tests_that_hold_nothing_but_copies_are_named():
    training = [(1, 0, 0), (2, 0, 0)]
    assert only_copies(data_of(*training, (1, 0, 1), (3, 0, 2))) == [Split.PUBLIC_TEST]
    assert only_copies(data_of(*training, (2, 0, 2), (1, 1, 2))) == [Split.PRIVATE_TEST]
    assert only_copies(data_of(*training, (1, 0, 1), (3, 0, 1))) == []
    assert only_copies(data_of((1, 0, 1))) == []


def test_an_audit_is_plain_values_ready_for_json():
    found = audit(data_of(*ROWS, md5="0" * 32, notes=("a note",)))
    back = json.loads(json.dumps(found.to_dict()))
    assert (back["source"], back["md5"], back["notes"]) == ("made up", "0" * 32, ["a note"])
    assert back["copies_across"] == found.copies_across
    assert set(back) == set(found.__slots__)


def test_the_md5_tells_the_original():
    assert audit(data_of(*ROWS, md5=ORIGINAL_MD5)).verdict == "the original fer2013.csv"
    assert audit(data_of(*ROWS, md5="0" * 32)).verdict == "not the original file"


def test_as_many_faces_in_each_split_are_not_yet_the_original():
    splits = np.repeat([0, 1, 2], [28709, 3589, 3589]).astype(np.uint8)
    faces = Faces(np.zeros((len(splits), 48, 48), np.uint8), np.zeros(len(splits), np.int64))
    found = audit(Fer2013(faces=faces, splits=splits, source=""))
    assert found.verdict == "not the original file; it has as many faces in each split, but they differ"


def test_the_digest_of_the_content_does_not_see_how_the_file_is_written(csv_file, row, tmp_path):
    plain = read_fer2013(csv_file(row(1), row(2, "PublicTest")))
    lines = [",".join(reversed(line.split(","))) for line in (row(1), row(2, "PublicTest"))]
    other = read_fer2013(csv_file(*lines, header="Usage, pixels, emotion", end="\r\n", name="other.csv"))
    assert plain.md5 != other.md5
    assert content_digest(plain) == content_digest(other)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param([(3, 0, 0), (3, 1, 1)], id="an image"),
        pytest.param([(2, 5, 0), (3, 1, 1)], id="a label"),
        pytest.param([(2, 0, 2), (3, 1, 1)], id="a split"),
        pytest.param([(3, 1, 1), (2, 0, 0)], id="the order"),
        pytest.param([(2, 0, 0)], id="a row less"),
    ],
)
def test_the_digest_of_the_content_sees_every_change(change):
    assert content_digest(data_of((2, 0, 0), (3, 1, 1))) != content_digest(data_of(*change))


def test_the_digest_of_faces_sees_images_and_labels_and_no_memory_layout():
    faces = data_of(*ROWS).faces
    every_second = faces[::2]
    copy = Faces(every_second.images.copy(), every_second.labels.copy())
    assert faces_digest(every_second) == faces_digest(copy)
    assert len({faces_digest(faces), faces_digest(every_second), faces_digest(faces[::-1])}) == 3


def test_a_folder_has_no_md5_and_says_so_in_the_verdict(pictures):
    found = audit(read_fer2013(pictures("train/happy/a.png")))
    assert (found.md5, found.verdict) == ("", "not the original file")
    assert found.notes == ("There is no test folder: both tests are empty.",)
