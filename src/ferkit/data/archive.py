"""Opens a CSV as it is, gzipped, zipped or in the tar.gz that Kaggle hands out; told by content, not by name."""

import gzip
import io
import lzma
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

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second: without a member
_DAMAGED = (
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)


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
            elif magic in _ZIP:
                with _open_zip(raw) as archive, _open_member(archive, path) as member:
                    yield member
            else:
                yield raw
    except _DAMAGED as error:
        raise DataError(f"{path}: the archive is damaged ({error})") from None


def _open_zip(raw: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(raw)
    except RuntimeError as error:  # says that it is of a version of the format above any there is
        raise zipfile.BadZipFile(str(error)) from None


def _tar_member_or(unpacked: gzip.GzipFile, path: Path) -> Iterator[IO[bytes]]:
    head = unpacked.read(512)
    unpacked.seek(0)
    if head[257:262] != b"ustar":
        yield io.BufferedReader(unpacked)
        return
    with tarfile.open(fileobj=unpacked) as archive:
        try:
            member = archive.extractfile(_choose(archive.getnames(), path))
        except (KeyError, RecursionError):  # a link to nothing, or to itself
            member = None
        if member is None:
            raise DataError(f"{path}: expected a CSV file in the archive, got a folder or a link")
        yield member
    while unpacked.read(1 << 20):  # gzip compares its checksum at the end
        pass


_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_FLAGS = {0x1: "it is encrypted, password required", 0x20: "it is a patch", 0x40: "it is strongly encrypted"}


def _open_member(archive: zipfile.ZipFile, path: Path) -> IO[bytes]:
    member = archive.getinfo(_choose(archive.namelist(), path))
    reasons = [reason for flag, reason in _FLAGS.items() if member.flag_bits & flag]
    if member.compress_type not in _COMPRESSIONS:
        reasons.append(f"its compression has number {member.compress_type}, which is not supported")
    if reasons:
        raise DataError(f"{path}: {member.filename} cannot be unpacked ({', '.join(reasons)}); unpack it by hand")
    return archive.open(member)


def _choose(names: list[str], path: Path) -> str:
    """Return the name of the member to read; macOS adds companions that begin with ``._``."""
    tables = [n for n in names if n.lower().endswith(".csv") and not PurePosixPath(n).name.startswith("._")]
    known = [n for n in tables if PurePosixPath(n).name.lower() in NAMES]
    if known or len(tables) == 1:
        return (known or tables)[0]
    if not tables and any(n.lower().endswith((".jpg", ".jpeg", ".png")) for n in names):
        raise DataError(f"{path}: expected a CSV file in the archive, got pictures; unpack it and give the folder")
    raise DataError(f"{path}: expected one CSV file in the archive, got {', '.join(tables or names[:5]) or 'nothing'}")
