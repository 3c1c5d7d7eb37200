import errno
import os

import cv2
import numpy as np
import pytest

from ferkit.data import Split, read_fer2013
from ferkit.errors import DataError
from ferkit.labels import EXPRESSIONS

GREY = np.add.outer(np.arange(48), 2 * np.arange(48)).astype(np.uint8)


def test_folders_become_classes_and_splits(pictures):
    data = read_fer2013(
        pictures("train/angry/a.png", "train/neutral/b.png", "test/sad/PublicTest_1.png", "test/fear/PrivateTest_1.png")
    )
    assert [data.split(s).labels.tolist() for s in Split] == [[0, 6], [4], [2]]
    assert (data.md5, data.notes) == ("", ())


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        pytest.param(EXPRESSIONS, list(range(7)), id="of ferkit"),
        pytest.param(tuple("0123456"), list(range(7)), id="numbers"),
        pytest.param(("Angry", "Disgusted", "Fearful", "HAPPINESS"), [0, 1, 2, 3], id="words alike"),
    ],
)
def test_class_folders_may_have_several_names(pictures, names, labels):
    data = read_fer2013(pictures(*(f"train/{name}/x.png" for name in names)))
    assert sorted(data.faces.labels.tolist()) == labels


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_become_grey(pictures, channels):
    data = read_fer2013(pictures("train/happy/a.png", channels=channels))
    assert np.array_equal(data.faces.images[0], GREY)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG", "a.png"])
def test_jpeg_and_png_are_read(pictures, name):
    image = read_fer2013(pictures(f"train/happy/{name}")).faces.images[0]
    assert np.abs(image.astype(int) - GREY).max() < 12


def test_other_files_are_passed_over(pictures):
    folder = pictures("train/happy/a.png", "train/happy/.hidden.png", "other/happy/a.png", "train/a.png")
    pictures("train/.ipynb_checkpoints/a.png", "train/happy/.older/a.png")
    (folder / "train/happy/._a.png").write_bytes(b"what a Mac leaves beside a file")
    (folder / "train/happy/notes.txt").write_text("x")
    (folder / "train/happy/linked").symlink_to(folder / "other")
    data = read_fer2013(folder)
    assert len(data) == 1
    assert data.notes == (
        "There is no test folder: both tests are empty.",
        "Only train, validation and test are read; passed over: other.",
        f"Passed over, being in no class folder: 1, such as {folder}/train/a.png.",
        f"Passed over, being no jpg or png: 1, such as {folder}/train/happy/notes.txt.",
        f"Passed over, being links to folders: 1, such as {folder}/train/happy/linked.",
    )


def test_pictures_of_a_class_may_stand_in_folders_of_their_own(pictures):
    folder = pictures("train/happy/2024/may/a.png", "train/sad/a.png", "test/fear/test/happy/PublicTest_1.png")
    data = read_fer2013(folder)
    assert [data.split(s).labels.tolist() for s in Split] == [[3, 4], [2], []]
    assert data.notes == ()
    before = read_fer2013(folder).faces.images
    cv2.imwrite(str(folder / "train/happy/2024/may/b.png"), GREY)
    assert len(read_fer2013(folder)) == len(before) + 1
    pictures("train/luck/happy/a.png")
    with pytest.raises(DataError, match=rf"{folder}/train/luck: expected a folder named angry, .*; got 'luck'"):
        read_fer2013(folder)


def test_names_that_do_not_tell_the_tests_apart_are_told(pictures):
    data = read_fer2013(pictures("train/happy/a.png", "test/sad/1.png", "test/sad/2.png", "test/sad/PublicTest_3.png"))
    assert data.notes == (
        "2 of 3 files in test do not say PublicTest or PrivateTest in their names: they are counted as PrivateTest.",
    )
    assert [len(data.split(s)) for s in Split] == [1, 1, 2]


@pytest.mark.parametrize("name", ["validation", "Validation", "val"])
def test_a_validation_folder_is_publictest(pictures, name):
    data = read_fer2013(pictures("train/happy/a.png", f"{name}/sad/b.png", "test/fear/c.png", "test/neutral/d.png"))
    assert [data.split(s).labels.tolist() for s in Split] == [[3], [4], [2, 6]]
    assert data.notes == (
        "2 of 2 files in test do not say PublicTest or PrivateTest in their names: they are counted as PrivateTest.",
    )


def test_a_validation_folder_without_a_test_folder_is_told(pictures):
    data = read_fer2013(pictures("train/happy/a.png", "validation/sad/b.png"))
    assert [len(data.split(s)) for s in Split] == [1, 1, 0]
    assert data.notes == ("There is no test folder: PrivateTest is empty.",)


def test_a_folder_without_tests_is_told(pictures):
    assert read_fer2013(pictures("train/happy/a.png")).notes == ("There is no test folder: both tests are empty.",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("bad.jpg", b"not a picture", "expected a picture, got a file that cannot be read", id="text"),
        pytest.param("bad.jpg", b"", "expected a picture, got a file that cannot be read", id="empty"),
        pytest.param("bad.png", cv2.imencode(".png", GREY)[1].tobytes()[:-40], "cannot be read as one", id="cut PNG"),
        pytest.param("bad.jpg", cv2.imencode(".jpg", GREY)[1].tobytes()[:-40], "cannot be read as one", id="cut JPEG"),
        pytest.param(
            "bad.png",
            cv2.imencode(".png", GREY[:40])[1].tobytes(),
            "got 48 x 40; `ferkit data cut` makes such",
            id="low",
        ),
    ],
)
def test_a_bad_picture_is_named(pictures, kept, name, content, message):
    folder = pictures("train/happy/a.png")
    (folder / "train/happy" / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"train/happy/{name}: .*{message}"):
        read_fer2013(folder)
    assert kept() == []


def test_a_cut_png_is_told_in_one_line(pictures, capfd):
    folder = pictures("train/happy/a.png")
    picture = folder / "train/happy/a.png"
    picture.write_bytes(picture.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read as one"):
        read_fer2013(folder)
    assert capfd.readouterr() == ("", "")


def test_a_link_to_nothing_is_named(pictures, tmp_path):
    folder = pictures("train/happy/a.png")
    (folder / "train/happy/b.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(DataError, match=r"train/happy/b\.png: expected a picture, got a link to nothing"):
        read_fer2013(folder)


def test_a_class_folder_that_may_not_be_read_is_named(pictures, monkeypatch):
    folder = pictures("train/happy/a.png", "train/sad/b.png")
    list_folder = os.listdir, os.scandir

    def refuse(number):
        def listed(path="."):
            if str(path).endswith("sad"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return list_folder[number](path)

        return listed

    monkeypatch.setattr(os, "listdir", refuse(0))
    monkeypatch.setattr(os, "scandir", refuse(1))
    with pytest.raises(DataError, match=r"train/sad: Permission denied$"):
        read_fer2013(folder)


def test_a_picture_larger_than_opencv_reads_is_named(pictures, monkeypatch):
    def refuse(*_):
        raise cv2.error("(-215:Assertion failed) pixels <= CV_IO_MAX_IMAGE_PIXELS")

    folder = pictures("train/happy/a.png")
    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(DataError, match=r"a\.png: expected a picture, got a file that cannot be read as one"):
        read_fer2013(folder)


def test_a_class_that_is_none_is_named(pictures):
    with pytest.raises(DataError, match=r"train/joy: expected a folder named angry, .*, neutral; got 'joy'"):
        read_fer2013(pictures("train/joy/a.png"))


@pytest.mark.parametrize(
    ("names", "got"),
    [
        pytest.param(["train/a.png"], "train", id="no class folders"),
        pytest.param(["happy/a.png", "sad/a.png"], "happy, sad", id="only class folders"),
        pytest.param(["test/happy/a.png"], "test", id="only test"),
        pytest.param(["archive/train/happy/a.png"], "archive", id="one folder too high"),
    ],
)
def test_a_folder_that_is_not_fer2013_is_refused(pictures, kept, names, got):
    folder = pictures(*names)
    message = f"fer: expected folders train/<class> and test/<class> with jpg or png files, got {got}$"
    with pytest.raises(DataError, match=message):
        read_fer2013(folder)
    assert kept() == []


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="got an empty folder"):
        read_fer2013(tmp_path)


def test_a_picture_changed_behind_its_size_and_time_is_read_anew(pictures):
    folder = pictures("train/happy/a.png")
    picture = folder / "train/happy/a.png"
    stored = [
        cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes() for image in (GREY, 255 - GREY)
    ]
    assert len(stored[0]) == len(stored[1])
    picture.write_bytes(stored[0])
    stat = picture.stat()
    assert np.array_equal(read_fer2013(folder).faces.images[0], GREY)
    picture.write_bytes(stored[1])
    os.utime(picture, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(read_fer2013(folder).faces.images[0], 255 - GREY)


def test_the_second_reading_comes_from_the_cache(pictures, monkeypatch):
    folder = pictures("train/happy/a.png", "test/sad/1.png")
    first = read_fer2013(folder)
    monkeypatch.setattr(cv2, "imdecode", None)
    second = read_fer2013(folder)
    assert np.array_equal(second.faces.images, first.faces.images)
    assert (second.faces.labels.tolist(), second.splits.tolist(), second.notes) == ([4, 3], [2, 0], first.notes)


def test_what_is_passed_over_is_told(pictures):
    folder = pictures("train/angry/a.png", "test/sad/PublicTest_1.png", "older/sad/c.png")
    (folder / "train" / "angry" / "b.bmp").write_bytes(b"BM")
    assert read_fer2013(folder).notes == (
        "Only train, validation and test are read; passed over: older.",
        f"Passed over, being no jpg or png: 1, such as {folder / 'train' / 'angry' / 'b.bmp'}.",
    )


def test_pictures_in_no_class_folder_are_told_whenever_they_come(pictures):
    folder = pictures("train/angry/a.png", "test/sad/PublicTest_1.png", "test/sad/PrivateTest_1.png", "train/.b.png")
    assert read_fer2013(folder).notes == ()
    pictures("train/b.png", "test/c.png")
    assert read_fer2013(folder).notes == (
        f"Passed over, being in no class folder: 2, such as {folder / 'test' / 'c.png'}.",
    )


def test_a_test_folder_without_class_folders_is_not_called_missing(pictures):
    folder = pictures("train/angry/a.png", "test/PublicTest_1.png")
    assert read_fer2013(folder).notes == (
        "There is no picture in a class folder of test: both tests are empty.",
        f"Passed over, being in no class folder: 1, such as {folder / 'test' / 'PublicTest_1.png'}.",
    )
