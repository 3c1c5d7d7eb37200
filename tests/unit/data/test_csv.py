import hashlib
import re

import numpy as np
import pytest

from ferkit.data import Split, csv, read_fer2013
from ferkit.errors import DataError

PIXELS = [n % 256 for n in range(48 * 48)]


def test_rows_keep_their_order_labels_and_splits(csv_file, row):
    data = read_fer2013(csv_file(row(6, "PrivateTest"), row(0), row(3, "PublicTest"), row(1)))
    assert data.faces.labels.tolist() == [6, 0, 3, 1]
    assert [data.split(s).labels.tolist() for s in Split] == [[0, 1], [3], [6]]


def test_pixels_are_read_row_by_row_as_uint8(csv_file, row):
    image = read_fer2013(csv_file(row())).faces.images[0]
    assert image.dtype == np.uint8
    assert image.ravel().tolist() == PIXELS


def test_the_source_and_the_md5_of_the_text_are_told(csv_file, row):
    path = csv_file(row(), start="\ufeff", end="\r\n")
    data = read_fer2013(path)
    assert (data.source, data.md5) == (str(path), hashlib.md5(path.read_bytes()).hexdigest())


def in_order(*columns):
    """Return a header and a row with the columns in this order."""
    fields = {"emotion": "3", "pixels": " ".join(map(str, PIXELS)), "Usage": "Training"}
    return ",".join(columns), ",".join(fields.get(c.strip(' "'), "x") for c in columns)


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(("emotion", "pixels", "Usage"), id="fer2013.csv"),
        pytest.param(("emotion", " Usage", " pixels"), id="icml_face_data.csv"),
        pytest.param(("Usage", "pixels", "emotion"), id="reversed"),
        pytest.param(("", "emotion", "pixels", "Usage"), id="an index before them"),
        pytest.param(("emotion", "pixels", "Usage", "note", "note"), id="others after them"),
        pytest.param(('"emotion"', '"pixels"', '"Usage"'), id="quoted names"),
    ],
)
def test_columns_may_stand_in_any_order(csv_file, columns):
    header, line = in_order(*columns)
    data = read_fer2013(csv_file(line, header=header))
    assert data.faces.labels.tolist() == [3]
    assert data.faces.images.ravel().tolist() == PIXELS


@pytest.mark.parametrize(
    ("change", "with_what"),
    [
        pytest.param("\n", "\r\n", id="CRLF"),
        pytest.param("\n", "\r", id="CR"),
        pytest.param("\n", "\n\n", id="a blank line after every line"),
        pytest.param("\n", "\n  \r\n\n", id="blank lines with spaces"),
        pytest.param("emotion", "\n\r\nemotion", id="blank lines before the header"),
        pytest.param("emotion", "\n" * 200 + "emotion", id="many blank lines before the header"),
        pytest.param("emotion", "\ufeffemotion", id="byte order mark"),
        pytest.param("Test\n", "Test", id="no line end at the end"),
        pytest.param(" ", "  ", id="two spaces between pixels"),
        pytest.param(" ", "\t", id="tabs between pixels"),
        pytest.param(",", " , ", id="spaces around commas"),
        pytest.param(" 7 8 ", " 007 0008 ", id="leading zeros"),
    ],
)
def test_the_same_content_in_another_dress_reads_the_same(csv_file, row, change, with_what):
    path = csv_file(row(1), row(2, "PublicTest"))
    plain = read_fer2013(path)
    path.write_bytes(path.read_text().replace(change, with_what).encode())
    dressed = read_fer2013(path)
    assert dressed.faces.labels.tolist() == [1, 2]
    assert np.array_equal(dressed.faces.images, plain.faces.images)
    assert np.array_equal(dressed.splits, plain.splits)


@pytest.mark.parametrize(
    "quoted",
    [
        pytest.param('3,"{}",Training', id="pixels"),
        pytest.param('"3","{}","Training"', id="all"),
        pytest.param('3, "{}", "Training"', id="after a space"),
    ],
)
def test_quotation_marks_around_fields_are_read(csv_file, quoted):
    data = read_fer2013(csv_file(quoted.format(" ".join(map(str, PIXELS)))))
    assert data.faces.images.ravel().tolist() == PIXELS


def test_a_split_without_rows_is_empty(csv_file, row):
    assert len(read_fer2013(csv_file(row())).split(Split.PUBLIC_TEST)) == 0


@pytest.mark.parametrize(("piece", "rows"), [(8 << 20, 5), (10_000, 2048), (50_000, 2), (100, 1)])
def test_many_pieces_join_in_order(csv_file, row, monkeypatch, piece, rows):
    monkeypatch.setattr(csv, "_PIECE", piece)
    monkeypatch.setattr(csv, "_ROWS", rows)
    monkeypatch.setattr(csv, "_BLOCK", 3)
    data = read_fer2013(csv_file(*(row(n % 7, first=n) for n in range(23))))
    assert data.faces.images[:, 0, 0].tolist() == list(range(23))
    assert data.faces.labels.tolist() == [n % 7 for n in range(23)]


@pytest.mark.parametrize(
    ("end", "start"),
    [
        pytest.param("\n", "", id="LF"),
        pytest.param("\r\n", "", id="CRLF"),
        pytest.param("\n", "\ufeff", id="byte order mark"),
        pytest.param("\r\n", "\ufeff\r\n", id="CRLF, byte order mark, blank line"),
    ],
)
@pytest.mark.parametrize("rows_before", [0, 3, 4, 5, 11, 40])
@pytest.mark.parametrize("piece", [8 << 20, 20_000])
def test_the_line_of_a_bad_row_is_right_in_every_piece(csv_file, row, monkeypatch, end, start, rows_before, piece):
    monkeypatch.setattr(csv, "_PIECE", piece)
    monkeypatch.setattr(csv, "_ROWS", 4)
    good = [row() if n % 3 else "" for n in range(rows_before)]  # every third line is blank
    path = csv_file(*good, row(7), row(), row(8), end=end, start=start)
    line = path.read_bytes()[: path.read_bytes().index(b"7,0 1 2")].count(b"\n") + 1
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}:{line}: emotion must be .* got '7'$"):
        read_fer2013(path)


def test_many_short_lines_are_read_a_few_at_a_time(csv_file, row, monkeypatch):
    import pandas as pd

    lines = []
    read = pd.read_csv
    monkeypatch.setattr(pd, "read_csv", lambda text, **k: lines.append(text.getvalue().count(b"\n")) or read(text, **k))
    assert len(read_fer2013(csv_file(row(), *[""] * 5000, row()))) == 2
    assert lines == [2048, 2048, 906]


@pytest.mark.parametrize("rows_before", [0, 1, 2, 3, 9])
def test_the_line_of_a_row_with_too_many_fields_is_right_in_every_piece(csv_file, row, monkeypatch, rows_before):
    monkeypatch.setattr(csv, "_ROWS", 4)
    path = csv_file(*[row()] * rows_before, "", row() + ",x,y", row())
    with pytest.raises(DataError, match=rf"fer2013\.csv:{rows_before + 3}: expected 3 fields, got 5$"):
        read_fer2013(path)
