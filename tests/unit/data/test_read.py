import errno
import os

import pytest

from ferkit.data import Faces, Fer2013, read_fer2013
from ferkit.errors import DataError, FerkitError


@pytest.mark.parametrize("path", ["nowhere.csv", "no/such/folder/fer2013.csv", "~nobody-at-all/fer2013.csv", "a\0b"])
def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as refusal:
        read_fer2013(path)
    assert str(refusal.value) == f"{path}: no such file or folder".replace("\0", r"\x00")


def test_a_dangling_link_is_not_there(tmp_path):
    (tmp_path / "link.csv").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"link\.csv: no such file or folder$"):
        read_fer2013(tmp_path / "link.csv")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: expected a file or folder, got a device or pipe$"):
        read_fer2013(tmp_path / "pipe")


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_file_that_may_not_be_read_is_named(csv_file, row, monkeypatch, use_cache):
    path = csv_file(row())

    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(DataError, match=r"fer2013\.csv: Permission denied$"):
        read_fer2013(path, use_cache=use_cache)


def test_text_is_a_path_too_and_a_tilde_is_home(csv_file, row, monkeypatch):
    path = csv_file(row())
    monkeypatch.setenv("HOME", str(path.parent))
    assert len(read_fer2013(str(path))) == len(read_fer2013("~/fer2013.csv")) == 1


def test_a_name_that_is_not_utf8_is_read(csv_file, row):
    path = csv_file(row(), name=os.fsdecode(b"fer\xff.csv"))
    assert len(read_fer2013(path)) == len(read_fer2013(path)) == 1


def test_faces_come_back_as_checked_values(csv_file, row):
    data = read_fer2013(csv_file(row()))
    assert isinstance(data, Fer2013)
    assert isinstance(data.faces, Faces)


def test_a_refusal_can_be_caught_as_a_ferkit_error_or_a_value_error(tmp_path):
    assert issubclass(DataError, FerkitError)
    with pytest.raises(ValueError, match="no such file"):
        read_fer2013(tmp_path / "nowhere.csv")
