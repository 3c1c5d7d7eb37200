"""Reads ``fer2013.csv`` and Kaggle's ``icml_face_data.csv``; names the line of a bad row.

Source: https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge
Columns ``emotion`` (0..6), ``pixels`` (2304 grey levels, row by row, between spaces) and ``Usage`` (the split), in any
order; ``icml_face_data.csv`` writes a space before the names. CRLF, a byte order mark and blank lines are read.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ferkit.data.archive import open_csv
from ferkit.data.faces import SIDE, SPLITS, Faces, Fer2013
from ferkit.errors import DataError
from ferkit.labels import NUM_CLASSES

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("emotion", "pixels", "Usage")
PIXELS = SIDE * SIDE

_ROWS = 2048  # rows held as text at a time: about 17 MB
_BOM = b"\xef\xbb\xbf"
_EMOTIONS = {str(number): number for number in range(NUM_CLASSES)}
_SPLITS = {split.value: number for number, split in enumerate(SPLITS)}


def read_csv(path: Path) -> Fer2013:
    """Parse a CSV, plain or packed.

    Args:
        path: An existing file.

    Raises:
        DataError: The file is not such a CSV; the message names the line.
    """
    images, labels, splits = [], [], []
    with open_csv(path) as raw:
        stream = _Hashing(raw)
        for first_line, rows in _rows(io.BufferedReader(stream, 1 << 20), path):
            part = _parse(rows, path, first_line)
            images.append(part[0])
            labels.append(part[1])
            splits.append(part[2])
    if not sum(map(len, labels)):
        raise DataError(f"{path}: expected one face a row, got a header and no rows")
    faces = Faces(np.concatenate(images), np.concatenate(labels))
    return Fer2013(faces=faces, splits=np.concatenate(splits), source=str(path), md5=stream.md5.hexdigest())


class _Hashing(io.RawIOBase):
    """A stream that takes the MD5 of what is read through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.md5 = hashlib.md5(usedforsecurity=False)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self.raw.read(len(buffer))
        self.md5.update(content)
        buffer[: len(content)] = content
        return len(content)


def _rows(stream: io.BufferedReader, path: Path) -> Iterator[tuple[int, "pd.DataFrame"]]:
    """Yield ``(line number of the first row, rows as text)``, a piece of the file at a time."""
    import pandas as pd

    head = stream.peek(1 << 16)
    if not head:
        raise DataError(f"{path}: expected the columns {', '.join(COLUMNS)}, got an empty file")
    if b"\0" in head:
        raise DataError(f"{path}: expected CSV text, got a binary file")
    if head.startswith(_BOM):
        stream.read(len(_BOM))
    try:
        chunks = pd.read_csv(
            stream,
            dtype=object,
            chunksize=_ROWS,
            encoding="latin-1",  # every byte is text; what is not a digit is refused with its line
            na_filter=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            index_col=False,
            low_memory=True,
        )
        with chunks:
            for rows in chunks:
                rows.columns = rows.columns.str.strip()
                missing = [name for name in COLUMNS if name not in rows.columns]
                if missing:
                    got = ", ".join(str(name)[:20] for name in rows.columns[:6])
                    raise DataError(f"{path}:1: expected the columns {', '.join(COLUMNS)}, got {got}")
                yield int(rows.index[0]) + 2 if len(rows) else 2, rows[list(COLUMNS)]
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}:1: expected the columns {', '.join(COLUMNS)}, got an empty line") from None
    except pd.errors.ParserError as error:
        raise DataError(_parser_message(path, str(error))) from None


def _parser_message(path: Path, text: str) -> str:
    fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text)
    if fields:
        return f"{path}:{fields[2]}: expected {fields[1]} fields, got {fields[3]}"
    quote = re.search(r"EOF inside string starting at row (\d+)", text)
    if quote:
        return f"{path}:{int(quote[1]) + 1}: a quotation mark is opened and never closed"
    return f"{path}: not a readable CSV ({text.strip()})"


def _parse(
    rows: "pd.DataFrame", path: Path, first_line: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Return images ``(n, 48, 48)``, labels ``(n,)`` and splits ``(n,)`` of the rows that are not blank."""
    blank = (rows["emotion"] == "") & ~rows["pixels"].astype(bool) & ~rows["Usage"].astype(bool)
    blank |= rows.isna().all(axis=1)
    images = np.empty((len(rows), PIXELS), np.uint8)
    labels, splits = np.empty(len(rows), np.int64), np.empty(len(rows), np.uint8)
    keep = ~blank.to_numpy()
    for n, (emotion, pixels, usage) in enumerate(zip(*(rows[c] for c in COLUMNS), strict=True)):
        if not keep[n]:
            continue
        try:
            labels[n] = _lookup("emotion", emotion, _EMOTIONS, f"a number from 0 to {NUM_CLASSES - 1}")
            splits[n] = _lookup("Usage", usage, _SPLITS, " or ".join(_SPLITS))
            images[n] = _pixels(pixels)
        except ValueError as problem:
            hint = " (the last line: the file looks truncated)" if n == len(rows) - 1 and n + 1 < _ROWS else ""
            raise DataError(f"{path}:{first_line + n}: {problem}{hint}") from None
    return images[keep].reshape(-1, SIDE, SIDE), labels[keep], splits[keep]


def _lookup(column: str, text: object, known: dict[str, int], expected: str) -> int:
    number = known.get(text.strip()) if isinstance(text, str) else None
    if number is None:
        got = f"{text[:40]!r}" if isinstance(text, str) and text else "nothing"
        raise ValueError(f"{column} must be {expected}, got {got}")
    return number


def _pixels(text: object) -> NDArray[np.int64]:
    if not isinstance(text, str):
        raise ValueError(f"expected {PIXELS} pixels, got none")  # noqa: TRY004
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error", DeprecationWarning
        )  # NumPy's way to say that it met something else than a number
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            bad = next((word for word in text.split() if not re.fullmatch(r"[0-9]+", word)), text[:20])
            raise ValueError(f"a pixel must be a whole number from 0 to 255, got {bad[:20]!r}") from None
    if len(values) != PIXELS:
        raise ValueError(f"expected {PIXELS} pixels, got {len(values)}")
    if values.min() < 0 or values.max() > 255:
        bad_value = values[(values < 0) | (values > 255)][0]
        raise ValueError(f"a pixel must be a whole number from 0 to 255, got {bad_value}")
    return values
