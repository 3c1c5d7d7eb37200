"""Reads ``fer2013.csv`` and Kaggle's ``icml_face_data.csv``; names the line of a bad row.

Source: https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge
Columns ``emotion`` (0..6), ``pixels`` (2304 grey levels, row by row, between spaces) and ``Usage`` (the split), in any
order; ``icml_face_data.csv`` writes a space before the names. CRLF, a byte order mark and blank lines are read.

pandas cuts the lines at their commas and hands out plain bytes; grey levels are read from those sixteen rows at a time
in :mod:`ferkit.data.pixels`. Quotation marks mean nothing to it, so that a row is a line whatever stands there.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ferkit.data.archive import open_csv
from ferkit.data.faces import SIDE, SPLITS, Faces, Fer2013
from ferkit.data.pixels import LONGEST, PIXELS, parse_pixels, parse_row, shown
from ferkit.errors import DataError
from ferkit.labels import NUM_CLASSES

COLUMNS = ("emotion", "pixels", "Usage")

_PIECE = 4 << 20  # bytes of text held at a time: about 500 rows
_LINE = 4 * _PIECE  # bytes of one line that are gathered at most
_ROWS = 2048  # rows parsed at a time, should they be short
_BLOCK = 16  # rows whose pixels are read at a time: what fits into a core's cache
_WIDTHS = dict(zip(COLUMNS, (64, LONGEST, 64), strict=True))  # bytes kept of a field; a longer one is refused
_EMOTIONS = {str(number).encode(): number for number in range(NUM_CLASSES)}
_SPLITS = {split.value.encode(): number for number, split in enumerate(SPLITS)}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

_Arrays = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]


def read_csv(path: Path) -> Fer2013:
    """Parse a CSV, plain or packed.

    Args:
        path: An existing file.

    Raises:
        DataError: The file is not such a CSV; the message names the line.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    names: list[str] = []
    parts: list[_Arrays] = []
    line = 1
    with open_csv(path) as raw, ThreadPoolExecutor(1) as pool:
        for piece in _pieces(raw):
            digesting = pool.submit(md5.update, piece)  # while this thread parses
            lines = piece.splitlines(keepends=True)
            if not names:
                names, header = _header(lines, path)
                line, lines = header + 1, lines[header:]
            for start in range(0, len(lines), _ROWS):
                rows = lines[start : start + _ROWS]
                parts.append(_parse(_cut(rows, names, path, line), path, line))
                line += len(rows)
            digesting.result()
    if not names:
        _header([], path)
    if not any(len(labels) for _, labels, _ in parts):
        raise DataError(f"{path}:1: expected one face a line below the header, got none")
    images, labels, splits = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Fer2013(faces=Faces(images, labels), splits=splits, source=str(path), md5=md5.hexdigest())


def _pieces(raw: IO[bytes]) -> Iterator[bytes]:
    """Yield the text in pieces of whole lines; a line that is far too long is cut, and then refused."""
    rest = b""
    while block := raw.read(_PIECE):
        text = rest + block
        end = text.rfind(b"\n") + 1 or text.rfind(b"\r") + 1 or (len(text) if len(text) > _LINE else 0)
        rest = text[end:]
        if end:
            yield text[:end]
    if rest:
        yield rest


def _cut(lines: list[bytes], names: list[str], path: Path, first_line: int) -> list[list[bytes]]:
    """Return the columns emotion, pixels and Usage of ``lines``, as they stand there."""
    import pandas as pd

    for number, line in enumerate(lines, first_line):
        if line.count(b",") >= len(names):  # pandas may drop what is too much
            raise DataError(f"{path}:{number}: expected {len(names)} fields, got {line.count(b',') + 1}")
    longest = max(map(len, lines)) + 1
    widths = {names.index(column): min(width, longest) for column, width in _WIDTHS.items()}
    text, mark = b"".join(lines), b"\0"
    if mark in text:  # to pandas it may be the end of a field: a byte that is not there stands in for it
        mark = next((bytes([byte]) for byte in range(0x1F, 0x0D, -1) if byte not in text), b"\x1a")
    try:
        rows = pd.read_csv(
            io.BytesIO(text.replace(b"\0", mark)),
            header=None,
            names=list(range(len(names))),
            dtype={n: f"S{widths.get(n, 1)}" for n in range(len(names))},
            encoding="utf-8",
            encoding_errors="backslashreplace",
            index_col=False,
            low_memory=False,  # the text is a small piece already
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            skip_blank_lines=False,
        )
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: not a readable CSV ({str(error).strip()})") from None
    return [[_bare(field, width).replace(mark, b"\0") for field in rows[n].tolist()] for n, width in widths.items()]


def _header(lines: list[bytes], path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the line they stand in, counted from 1."""
    if lines and lines[0].startswith(_UTF16):
        raise DataError(f"{path}:1: expected UTF-8 text, got UTF-16; save the file as 'CSV UTF-8'")
    texts = (line.removeprefix(b"\xef\xbb\xbf").strip() for line in lines)
    number, text = next(((number, text) for number, text in enumerate(texts, 1) if text), (1, b""))
    names = [_bare(field).decode("utf-8", "backslashreplace") for field in text.split(b",")]
    wrong = _wrong_header(names, lines)
    if wrong:
        raise DataError(f"{path}:{number}: expected the columns {', '.join(COLUMNS)}; {wrong}")
    return names, number


def _wrong_header(names: list[str], lines: list[bytes]) -> str:
    missing = [column for column in COLUMNS if column not in names]
    if not missing:
        twice = [column for column in COLUMNS if names.count(column) > 1]
        return f"got {twice[0]} twice" if twice else ""
    if names == [""]:
        return "got an empty file"
    if any(map(_CONTROL.search, lines)):
        return "got a binary file"
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            return f"got {called} between the columns instead of commas"
    got = repr(", ".join(name[:20] for name in names[:6]))
    return f"got {got}" if len(missing) == len(COLUMNS) else f"got {got} without {' and '.join(missing)}"


def _parse(rows: list[list[bytes]], path: Path, first_line: int) -> _Arrays:
    """Return images ``(n, 48, 48)``, labels ``(n,)`` and splits ``(n,)`` of the rows that are not blank."""
    kept = [(first_line + n, *fields) for n, fields in enumerate(zip(*rows, strict=True)) if any(fields)]
    images = np.empty((len(kept), PIXELS), np.uint8)
    labels, splits = np.empty(len(kept), np.int64), np.empty(len(kept), np.uint8)
    for start in range(0, len(kept), _BLOCK):
        lines, emotions, pixels, usages = zip(*kept[start : start + _BLOCK], strict=True)
        block = slice(start, start + len(lines))
        grey = parse_pixels(pixels)
        try:
            labels[block] = [_EMOTIONS[emotion] for emotion in emotions]
            splits[block] = [_SPLITS[usage] for usage in usages]
            images[block] = [parse_row(row) for row in pixels] if grey is None else grey
        except (KeyError, ValueError):
            _find_bad_row(zip(lines, emotions, pixels, usages, strict=True), path)
            raise
    return images.reshape(-1, SIDE, SIDE), labels, splits


def _find_bad_row(rows: Iterable[tuple[int, bytes, bytes, bytes]], path: Path) -> None:
    """Raise a DataError for the first row that is not a face."""
    for line, emotion, pixels, usage in rows:
        problem, short = "", False
        if emotion not in _EMOTIONS:
            short = not emotion
            problem = f"emotion must be a whole number from 0 to {NUM_CLASSES - 1}, got {shown(emotion)}"
        elif usage not in _SPLITS:
            short = any(name.startswith(usage.lstrip(b'"')) for name in _SPLITS)
            problem = f"Usage must be Training, PublicTest or PrivateTest, got {shown(usage)}"
        else:
            try:
                parse_row(pixels)
            except ValueError as error:
                short = len(pixels.split()) < PIXELS
                problem = str(error)
        if problem:
            raise DataError(f"{path}:{line}: {problem}{_cut_off(path, line, short=short)}")


def _cut_off(path: Path, line: int, *, short: bool) -> str:
    """Return a hint if the file ends in the middle of ``line``, in which something is missing.

    Whatever the row, the file is read to its end, where an archive may turn out to be damaged.
    """
    line_ends, last = 0, b""
    with open_csv(path) as raw:
        while block := raw.read(_PIECE):
            line_ends += block.count(b"\n")
            last = block[-1:]
    cut = short and line == line_ends + 1 and last != b"\n"
    return " (the file ends in this line: it is cut off)" if cut else ""


def _bare(field: bytes, width: int = _PIECE) -> bytes:
    """Return a field without white space and quotation marks around it; one that may go on past ``width`` is marked."""
    if len(field) >= width:
        return field + b"..."
    field = field.strip()
    if len(field) > 1 and field[:1] == field[-1:] == b'"':
        field = field[1:-1].strip()
    return field
