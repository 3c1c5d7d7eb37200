"""Opens a CSV as it is, gzipped, zipped or in the tar.gz that Kaggle hands out; told by content, not by name."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ferkit.errors import DataError

NAMES = ("fer2013.csv", "icml_face_data.csv")
"""Names an archive's CSV is looked for under, before any other ``.csv``."""

_DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error)


@contextmanager
def open_csv(path: Path) -> Iterator[IO[bytes]]:
    """Yield the CSV text in ``path`` as a binary stream.

    Raises:
        DataError: An archive is damaged or holds no CSV.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield from _tar_member_or(unpacked, path)
            elif magic == b"PK\x03\x04":
                with zipfile.ZipFile(raw) as archive, archive.open(_choose(archive.namelist(), path)) as member:
                    yield member
            else:
                yield raw
    except _DAMAGED as error:
        raise DataError(f"{path}: the archive is damaged ({error})") from None


def _tar_member_or(unpacked: gzip.GzipFile, path: Path) -> Iterator[IO[bytes]]:
    head = unpacked.read(512)
    unpacked.seek(0)
    if head[257:262] != b"ustar":
        yield io.BufferedReader(unpacked)
        return
    with tarfile.open(fileobj=unpacked) as archive:
        member = archive.extractfile(_choose(archive.getnames(), path))
        if member is None:
            raise DataError(f"{path}: expected a CSV file in the archive, got a folder or a link")
        yield member


def _choose(names: list[str], path: Path) -> str:
    tables = [n for n in names if n.lower().endswith(".csv") and not n.startswith("__MACOSX/")]
    known = [n for n in tables if PurePosixPath(n).name in NAMES]
    if known or len(tables) == 1:
        return (known or tables)[0]
    raise DataError(f"{path}: expected one CSV file in the archive, got {', '.join(tables or names[:5]) or 'nothing'}")
