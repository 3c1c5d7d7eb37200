import os
import re

import pytest

from ferkit.data import csv, read_fer2013
from ferkit.errors import DataError

PIXELS = " ".join(str(n % 256) for n in range(48 * 48))
GOOD = f"3,{PIXELS},Training"
LEVEL = "a pixel must be a whole number from 0 to 255, got "
EMOTION = "emotion must be a whole number from 0 to 6, got "
USAGE = "Usage must be Training, PublicTest or PrivateTest, got "
CUT = " (the file ends in this line: it is cut off)"
COLUMNS = "expected the columns emotion, pixels, Usage; got "


@pytest.fixture
def refused(kept):
    """Return a function that reads a bad file, sees that nothing is left behind, and returns the message."""

    def read(path):
        before = set(path.parent.iterdir())
        with pytest.raises(DataError) as refusal:
            read_fer2013(path)
        assert kept() == []
        assert set(path.parent.iterdir()) == before
        return str(refusal.value)

    return read


def replaced(old, new):
    """Return the good row with one thing changed."""
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        pytest.param(replaced("3,", "7,"), EMOTION + "'7'", id="eighth class"),
        pytest.param(replaced("3,", "-1,"), EMOTION + "'-1'", id="negative class"),
        pytest.param(replaced("3,", "3.0,"), EMOTION + "'3.0'", id="class with a point"),
        pytest.param(replaced("3,", "happy,"), EMOTION + "'happy'", id="class as a word"),
        pytest.param(replaced("3,", ","), EMOTION + "nothing", id="no class"),
        pytest.param(replaced("3,", "3" * 500 + ","), EMOTION + "'33333333333333333333'", id="long class"),
        pytest.param(replaced("3,", "3" + " " * 70 + "x,"), EMOTION + "'3                   '", id="class far apart"),
        pytest.param(replaced("Training", "Train"), USAGE + "'Train'", id="unknown usage"),
        pytest.param(replaced("Training", "training"), USAGE + "'training'", id="usage in lower case"),
        pytest.param(replaced("Training", "Träning"), USAGE + "'Träning'", id="usage in another language"),
        pytest.param(replaced("Training", ""), USAGE + "nothing", id="empty usage"),
        pytest.param(replaced(",Training", ""), USAGE + "nothing", id="no usage"),
        pytest.param(replaced(" 9 ", " "), "expected 2304 pixels, got 2303", id="2303 pixels"),
        pytest.param(replaced(" 9 ", " 9 9 "), "expected 2304 pixels, got 2305", id="2305 pixels"),
        pytest.param(replaced(PIXELS, ""), "expected 2304 pixels, got 0", id="no pixels"),
        pytest.param(
            replaced(PIXELS, "1 " * 9000), "expected 2304 pixels, got 11520 characters or more", id="9000 pixels"
        ),
        pytest.param(replaced(" 9 ", " 256 "), LEVEL + "'256'", id="256"),
        pytest.param(replaced(" 9 ", " 1009 "), LEVEL + "'1009'", id="four digits"),
        pytest.param(replaced(" 9 ", " 18446744073709551625 "), LEVEL + "'18446744073709551625'", id="2**64 + 9"),
        pytest.param(replaced(" 9 ", " " + "9" * 900 + " "), LEVEL + "'99999999999999999999'", id="900 digits"),
        pytest.param(replaced(" 9 ", " -9 "), LEVEL + "'-9'", id="negative pixel"),
        pytest.param(replaced(" 9 ", " +9 "), LEVEL + r"'\+9'", id="sign"),
        pytest.param(replaced(" 9 ", " 9.0 "), LEVEL + r"'9\.0'", id="pixel with a point"),
        pytest.param(replaced(" 9 ", " nine "), LEVEL + "'nine'", id="word"),
        pytest.param(replaced(" 9 ", " ٩ "), LEVEL + "'٩'", id="digit of another script"),
        pytest.param(replaced(" 9 ", " 9\u00a0"), LEVEL + r"'9\\xa010'", id="no-break space"),
        pytest.param(replaced(" 9 ", " \0 "), LEVEL + r"'\\x00'", id="zero byte in the pixels"),
        pytest.param(replaced("Training", "Train\x1f\0"), USAGE + r"'Train\\x1f\\x00'", id="zero byte and another"),
        pytest.param(replaced("Training", "Training\0x"), USAGE + r"'Training\\x00x'", id="zero byte in the usage"),
        pytest.param(replaced(" 9 ", ' "9 '), LEVEL + "'\"9'", id="quotation mark in the pixels"),
        pytest.param(replaced("3,", '"3,'), EMOTION + "'\"3'", id="quotation mark that is not closed"),
        pytest.param(replaced("Training", 'Training"'), USAGE + "'Training\"'", id="quotation mark at the end"),
        pytest.param(GOOD + ",x", "expected 3 fields, got 4", id="one field too many"),
        pytest.param(GOOD + ",", "expected 3 fields, got 4", id="comma at the end"),
        pytest.param(GOOD.replace(" ", ","), "expected 3 fields, got 2306", id="commas between pixels"),
        pytest.param(GOOD.replace(",", ";"), EMOTION + "'3;0 1 2 3 4 5 6 7 8 '", id="semicolons"),
        pytest.param("emotion,pixels,Usage", EMOTION + "'emotion'", id="the header again"),
        pytest.param("\x1a", EMOTION + r"'\\x1a'", id="control character"),
    ],
)
@pytest.mark.parametrize("before", [pytest.param(0, id="first"), pytest.param(18, id="in the second block")])
def test_a_bad_row_is_refused_with_its_file_and_line(csv_file, refused, row, problem, before):
    path = csv_file(*[GOOD] * before, row, GOOD)
    assert re.fullmatch(rf"{re.escape(str(path))}:{before + 2}: {problem}", refused(path))


def test_bytes_that_are_not_utf8_are_shown_as_numbers(csv_file, refused):
    path = csv_file(GOOD)
    path.write_bytes(path.read_bytes().replace(b"Training", b"Tr\xe4ining"))
    assert refused(path) == f"{path}:2: {USAGE}" + r"'Tr\\xe4ining'"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param("", 1, COLUMNS + "an empty file", id="empty"),
        pytest.param("\n\r\n\n", 1, COLUMNS + "an empty file", id="only line ends"),
        pytest.param("\ufeff", 1, COLUMNS + "an empty file", id="only a byte order mark"),
        pytest.param(
            "emotion,pixels,Usage\n", 1, "expected one face a line below the header, got none", id="only a header"
        ),
        pytest.param(
            "emotion,pixels,Usage\n\n,,\n", 1, "expected one face a line below the header, got none", id="blank rows"
        ),
        pytest.param(f"emotion,pixels\n3,{PIXELS}\n", 1, COLUMNS + "'emotion, pixels' without Usage", id="train.csv"),
        pytest.param(f"pixels\n{PIXELS}\n", 1, COLUMNS + "'pixels' without emotion and Usage", id="test.csv"),
        pytest.param("\n\nlabel,px,split\n", 3, COLUMNS + "'label, px, split'", id="other names"),
        pytest.param(
            f"Emotion,Pixels,Usage\n{GOOD}\n", 1, COLUMNS + "'Emotion, Pixels, Usage' without emotion and pixels",
            id="capitals",
        ),
        pytest.param(f"emotion,emotion,pixels,Usage\n3,{GOOD}\n", 1, COLUMNS + "emotion twice", id="one name twice"),
        pytest.param(f"{GOOD}\n" * 2, 1, COLUMNS + "'3, 0 1 2 3 4 5 6 7 8 9 , Training'", id="no header"),
        pytest.param(
            f"emotion;pixels;Usage\n{GOOD}\n", 1, COLUMNS + "semicolons between the columns instead of commas",
            id="semicolons",
        ),
        pytest.param(
            f"emotion\tpixels\tUsage\n{GOOD}\n", 1, COLUMNS + "tabs between the columns instead of commas", id="tabs"
        ),
        pytest.param("<!DOCTYPE html>\n<html>", 1, COLUMNS + "'<!DOCTYPE html>'", id="a web page"),
        pytest.param('"emotion,pixels,Usage\n', 1, COLUMNS + "'\"emotion, pixels, Usage' without emotion", id="quote"),
        pytest.param("x" * 3_000_000, 1, COLUMNS + "'xxxxxxxxxxxxxxxxxxxx'", id="one huge line"),
        pytest.param("," * 3000, 1, COLUMNS + "', , , , , '", id="nothing but commas"),
        pytest.param("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1, COLUMNS + "a binary file", id="binary"),
        pytest.param("a,b\n\0\n", 1, COLUMNS + "a binary file", id="binary behind some text"),
    ],
)  # fmt: skip
def test_what_is_not_fer2013_is_refused_at_its_header(csv_file, refused, text, line, problem):
    path = csv_file()
    path.write_bytes(text.encode())
    assert refused(path) == f"{path}:{line}: {problem}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused(csv_file, refused, encoding):
    path = csv_file(GOOD)
    path.write_bytes(path.read_text().encode(encoding))
    problem = "expected UTF-8 text, got UTF-16; save the file as 'CSV UTF-8'" if encoding == "utf-16" else "a binary"
    assert problem in refused(path)


def test_noise_is_refused(tmp_path, refused):
    path = tmp_path / "noise"
    path.write_bytes(os.urandom(100_000))
    assert str(path) in refused(path)


@pytest.mark.parametrize(
    ("kept_text", "problem"),
    [
        pytest.param(GOOD[:5000], USAGE + "nothing" + CUT, id="in the pixels"),
        pytest.param(f"3,{PIXELS}", USAGE + "nothing" + CUT, id="after the pixels"),
        pytest.param(f"3,{PIXELS},", USAGE + "nothing" + CUT, id="before the usage"),
        pytest.param(f"3,{PIXELS},Trai", USAGE + "'Trai'" + CUT, id="in the usage"),
        pytest.param("3", USAGE + "nothing" + CUT, id="after the emotion"),
    ],
)
@pytest.mark.parametrize(("piece", "rows"), [(8 << 20, 2048), (8 << 20, 2), (8 << 20, 3), (10_000, 2048), (100, 1)])
def test_a_last_line_that_is_cut_off_is_called_so(csv_file, refused, monkeypatch, kept_text, problem, piece, rows):
    monkeypatch.setattr(csv, "_PIECE", piece)
    monkeypatch.setattr(csv, "_ROWS", rows)
    path = csv_file(GOOD, GOOD)
    path.write_bytes(path.read_bytes() + kept_text.encode())
    assert refused(path) == f"{path}:4: {problem}"


def test_a_last_line_cut_in_the_pixels_is_called_so_where_usage_stands_before_them(csv_file, refused):
    path = csv_file(f"3,Training,{PIXELS}", header="emotion, Usage, pixels")
    path.write_bytes(path.read_bytes()[:-4])
    assert refused(path) == f"{path}:2: expected 2304 pixels, got 2303{CUT}"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (f"9,{PIXELS},Training", EMOTION + "'9'"),
        (f"3,{PIXELS},Test", USAGE + "'Test'"),
        (f"3,{PIXELS} 1,Training", "expected 2304 pixels, got 2305"),
        (f"3,{PIXELS[:-3]}xyz,Training", LEVEL + "'xyz'"),
    ],
    ids=["emotion", "usage", "pixels too many", "pixel"],
)
def test_a_bad_last_line_without_its_end_is_not_called_cut_off_where_nothing_is_missing(
    csv_file, refused, row, problem
):
    path = csv_file(GOOD)
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n" + row.encode())
    assert refused(path) == f"{path}:3: {problem}"


def test_a_bad_last_line_that_ends_is_not_called_cut_off(csv_file, refused):
    path = csv_file(GOOD, GOOD.replace("Training", "Test"))
    assert refused(path) == f"{path}:3: {USAGE}'Test'"


def test_of_two_bad_rows_the_first_is_named(csv_file, refused):
    path = csv_file(GOOD, GOOD.replace(" 9 ", " 256 "), GOOD.replace("3,", "8,", 1))
    assert refused(path) == f"{path}:3: {LEVEL}'256'"


def test_a_line_without_end_is_not_gathered_in_memory(csv_file, refused, monkeypatch):
    monkeypatch.setattr(csv, "_PIECE", 5000)
    monkeypatch.setattr(csv, "_LINE", 20_000)
    path = csv_file("3," + "1 " * 100_000 + ",Training")
    assert re.fullmatch(rf"{re.escape(str(path))}:2: .*got nothing", refused(path))


def test_what_pandas_cannot_cut_is_refused_with_its_words(csv_file, refused, monkeypatch):
    import pandas as pd

    def fail(*_, **__):
        raise pd.errors.ParserError("Error tokenizing data. C error: out of memory\n")

    path = csv_file(GOOD)
    monkeypatch.setattr(pd, "read_csv", fail)
    assert refused(path) == f"{path}: not a readable CSV (Error tokenizing data. C error: out of memory)"
