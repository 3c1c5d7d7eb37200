import gzip
import io
import re
import tarfile
import zipfile

import numpy as np
import pytest

from ferkit.data import read_fer2013
from ferkit.errors import DataError


def gzipped(name, text):
    return gzip.compress(text)


def zipped(name, text, *others, method=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for other in others:
            archive.writestr(other, b"x")
        if name:
            archive.writestr(name, text)
    return packed.getvalue()


def tarred(name, text, *others):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member, content in [*((other, b"x") for other in others), (name, text)]:
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def text(csv_file, row) -> bytes:
    return csv_file(*(row(n, first=n) for n in range(7)), name="plain.csv").read_bytes()


@pytest.fixture
def packed(tmp_path):
    def write(content):
        path = tmp_path / "packed"  # the content tells what it is, not the name
        path.write_bytes(content)
        return path

    return write


PACKERS = [pytest.param(gzipped, id="gz"), pytest.param(zipped, id="zip"), pytest.param(tarred, id="tar.gz")]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv", "mine.CSV"])
def test_a_packed_csv_reads_like_the_plain_one(packed, tmp_path, text, pack, name):
    plain = read_fer2013(tmp_path / "plain.csv")
    data = read_fer2013(packed(pack(name, text)))
    assert np.array_equal(data.faces.images, plain.faces.images)
    assert data.faces.labels.tolist() == list(range(7))
    assert data.md5 == plain.md5


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            lambda t: zipped("icml_face_data.csv", t, "train.csv", "test.csv", "fer2013.tar.gz"), id="contest"
        ),
        pytest.param(lambda t: tarred("fer2013/fer2013.csv", t, "fer2013/README", "fer2013/a.bib"), id="tar.gz"),
        pytest.param(lambda t: zipped("faces.csv", t, "__MACOSX/._faces.csv"), id="made on a Mac"),
        pytest.param(lambda t: tarred("faces.csv", t, "._faces.csv"), id="tar.gz made on a Mac"),
        pytest.param(lambda t: zipped("fer2013.csv", t, method=zipfile.ZIP_BZIP2), id="another compression"),
    ],
)
def test_the_csv_is_found_among_other_files(packed, text, content):
    assert len(read_fer2013(packed(content(text)))) == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(zipped("", b"", "train/angry/1.doc", "b.txt"), "got train/angry/1.doc, b.txt", id="zip without"),
        pytest.param(zipped("", b""), "got nothing", id="empty zip"),
        pytest.param(zipped("a.csv", b"", "b.csv"), "got b.csv, a.csv", id="two of them"),
        pytest.param(tarred("README", b""), "got README", id="tar.gz without"),
    ],
)
def test_an_archive_without_one_csv_is_refused(packed, kept, content, message):
    with pytest.raises(DataError, match=rf"packed: expected one CSV file in the archive, {re.escape(message)}$"):
        read_fer2013(packed(content))
    assert kept() == []


def flipped(content, at):
    content = bytearray(content)
    content[at] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda c: c[: len(c) // 2], id="cut in the middle"),
        pytest.param(lambda c: c[:-5], id="cut at the end"),
        pytest.param(lambda c: c[:20], id="cut at the start"),
        pytest.param(lambda c: flipped(c, len(c) // 2), id="flipped in the middle"),
    ],
)
@pytest.mark.parametrize("pack", PACKERS)
def test_a_damaged_archive_is_refused(packed, kept, text, pack, damage):
    path = packed(damage(pack("fer2013.csv", text + b"\n" * 5000)))
    with pytest.raises(DataError, match=r"packed: the archive is damaged \([^\n]+\)$"):
        read_fer2013(path)
    assert kept() == []


def test_a_zip_of_damaged_lzma_is_refused(packed, kept, text):
    content = bytearray(zipped("fer2013.csv", text, method=zipfile.ZIP_LZMA))
    content[60:100] = b"\xff" * 40
    with pytest.raises(DataError, match=r"packed: the archive is damaged \([^\n]+\)$"):
        read_fer2013(packed(bytes(content)))
    assert kept() == []


def test_a_wrong_checksum_at_the_end_of_a_gzip_is_noticed(packed, text):
    with pytest.raises(DataError, match=r"the archive is damaged \(CRC check failed"):
        read_fer2013(packed(flipped(gzip.compress(text), -6)))


def test_a_gzip_of_something_else_is_refused(packed):
    with pytest.raises(DataError, match=r"packed:1: expected the columns .* got a binary file$"):
        read_fer2013(packed(gzip.compress(gzip.compress(b"x"))))


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        pytest.param(6, 1, "is encrypted, password required", id="password"),
        pytest.param(6, 0x20, "it is a patch", id="patch"),
        pytest.param(6, 0x40, "it is strongly encrypted", id="strong encryption"),
        pytest.param(8, 99, "its compression has number 99, which is not supported", id="compression"),
    ],
)
def test_a_zip_that_needs_another_program_says_so(packed, text, offset, value, reason):
    content = bytearray(zipped("fer2013.csv", text))
    content[offset] = content[content.index(b"PK\1\2") + offset + 2] = value
    with pytest.raises(DataError, match=rf"packed: fer2013\.csv cannot be unpacked .*{reason}.*; unpack it by hand$"):
        read_fer2013(packed(content))


def test_a_zip_of_a_version_that_does_not_exist_is_damaged(packed, text):
    content = bytearray(zipped("fer2013.csv", text))
    content[content.index(b"PK\1\2") + 6] = 99
    with pytest.raises(DataError, match=r"packed: the archive is damaged \(zip file version 9\.9\)$"):
        read_fer2013(packed(content))


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.DIRTYPE, ""), (tarfile.SYMTYPE, "nowhere.csv"), (tarfile.SYMTYPE, "fer2013.csv")],
    ids=["a folder", "a link to nothing", "a link to itself"],
)
def test_what_is_no_file_in_a_tar_but_named_like_the_csv_is_refused(packed, kind, target):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        info = tarfile.TarInfo("fer2013.csv")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    with pytest.raises(DataError, match="expected a CSV file in the archive, got a folder or a link"):
        read_fer2013(packed(content.getvalue()))


def test_an_archive_of_the_folder_form_is_to_be_unpacked(tmp_path):
    (tmp_path / "packed").write_bytes(zipped("", b"", "train/angry/1.jpg", "test/sad/2.jpg"))
    with pytest.raises(DataError, match=r"got pictures; unpack it and give the folder$"):
        read_fer2013(tmp_path / "packed")
