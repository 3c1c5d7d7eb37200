"""Photos to faces as FER2013's are."""

import cv2
import numpy as np
import pytest

from ferkit.data import Split, read_fer2013
from ferkit.errors import ImageError
from ferkit.inference.boxes import Box
from ferkit.inference.crops import cut
from ferkit.inference.cutting import Cut, cut_faces, list_photos

RAMP = np.add.outer(np.arange(200), np.arange(300)) // 2 % 256
PHOTO = np.dstack([RAMP, RAMP, RAMP]).astype(np.uint8)
BOXES = [Box(100, 50, 96), Box(10, 10, 60)]


def two_faces(_):
    return list(BOXES)


@pytest.fixture
def photos(tmp_path):
    def write(*names):
        for name in names:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), PHOTO)
        return tmp_path / "photos"

    return write


def run(folder, out, detector=two_faces, **options):
    return list(cut_faces(folder, list_photos(folder, out), out, detector, **options))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_largest_face_of_a_photo_is_written_as_the_network_takes_it(photos, tmp_path):
    out = tmp_path / "faces"
    (done,) = run(photos("train/happy/me.png"), out)
    assert done == Cut(tmp_path / "photos/train/happy/me.png", (out / "train/happy/me.png.png",))
    written = cv2.imread(str(out / "train/happy/me.png.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, cut(PHOTO, BOXES[0]))


def test_every_face_is_written_where_asked(photos, tmp_path):
    out = tmp_path / "faces"
    run(photos("me.png"), out, every_face=True)
    assert files(out) == ["me.png-2.png", "me.png.png"]
    np.testing.assert_array_equal(cv2.imread(str(out / "me.png-2.png"), -1), cut(PHOTO, BOXES[1]))


def test_photos_that_differ_in_their_ending_do_not_take_each_others_place(photos, tmp_path):
    run(photos("sad/me.png", "sad/me.jpg"), tmp_path / "faces")
    assert files(tmp_path / "faces") == ["sad/me.jpg.png", "sad/me.png.png"]


def test_what_is_cut_is_what_training_reads(photos, tmp_path):
    folder = photos("train/happy/a.jpg", "validation/sad/b.png", "test/fear/c.webp", "test/fear/d.tiff")
    run(folder, tmp_path / "faces")
    data = read_fer2013(tmp_path / "faces")
    assert [data.split(split).labels.tolist() for split in Split] == [[3], [4], [2, 2]]


def test_a_photo_without_a_face_and_one_that_is_none_stop_nothing(photos, tmp_path):
    folder = photos("a.png", "c.png")
    (folder / "b.png").write_bytes(b"x")
    seen = []

    def first_time_only(picture):
        seen.append(picture.shape)
        return BOXES if len(seen) == 1 else []

    first, damaged, empty = run(folder, tmp_path / "faces", first_time_only)
    assert (len(first.faces), first.error) == (1, "")
    assert damaged.error.startswith(f"{folder / 'b.png'}: expected a picture")
    assert empty == Cut(folder / "c.png")
    assert files(tmp_path / "faces") == ["a.png.png"]


def test_a_folder_of_faces_below_the_photos_is_not_searched(photos):
    folder = photos("a.png")
    (folder / "faces").mkdir()
    run(folder, folder / "faces")
    assert files(folder) == ["a.png", "faces/a.png.png"]


def test_nothing_that_is_there_is_replaced(photos):
    folder = photos("a.png")
    with pytest.raises(ImageError, match=r"photos: expected a new or an empty folder for the faces$"):
        list_photos(folder, folder)
    with pytest.raises(ImageError, match=r"a\.png: expected a new or an empty folder"):
        list_photos(folder, folder / "a.png")
    assert files(folder) == ["a.png"]


def test_folders_without_photos_are_told(photos, tmp_path):
    with pytest.raises(ImageError, match="nowhere: expected a folder with photos"):
        list_photos(tmp_path / "nowhere", tmp_path / "faces")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="empty: expected a folder with pictures, found none in it"):
        list_photos(tmp_path / "empty", tmp_path / "faces")


def test_a_face_that_cannot_be_written_is_told(photos, tmp_path):
    out = tmp_path / "faces"
    folder = photos("happy/a.png")
    found = list_photos(folder, out)
    out.mkdir()
    (out / "happy").write_text("a file")
    with pytest.raises(ImageError, match=r"happy/a\.png\.png: cannot be written"):
        list(cut_faces(folder, found, out, two_faces))
