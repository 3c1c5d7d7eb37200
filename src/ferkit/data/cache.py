"""Keeps parsed arrays in the user's cache folder, so that a file is parsed once.

A small index file remembers which digest a source had at which size and time, and the arrays stand under the digest.
Arrays are stored in an ``npz``, whose CRC-32 is checked on reading: a damaged cache is a cache that is not there.
"""

import hashlib
import json
import logging
import zipfile
import zlib
from pathlib import Path

import numpy as np
import platformdirs

from ferkit.data.faces import Faces, Fer2013
from ferkit.data.folder import list_pictures
from ferkit.errors import DataError
from ferkit.files import remove_abandoned, replacing, write_text

VERSION = 1
"""Part of the path; a change of the format leaves old files unread."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return where parsed arrays are kept: below ``XDG_CACHE_HOME`` on Linux."""
    return Path(platformdirs.user_cache_dir("ferkit", appauthor=False)) / f"fer2013-v{VERSION}"


def fingerprint(source: Path) -> str:
    """Return a digest of a source: of the bytes of a file, of names, sizes and times for a folder.

    Args:
        source: An existing file or folder. The digest of a file that did not change since the last call is looked up.
    """
    if source.is_dir():
        stamps = [(str(p.relative_to(source)), *_stamp(p)[:2]) for p in list_pictures(source)]
        return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    note = cache_folder() / f"{hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:32]}.json"
    stamp = _stamp(source)
    try:
        known = json.loads(note.read_text())
        if known["stamp"] == stamp:
            return str(known["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no index, or a damaged one: it is written anew
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if _stamp(source) == stamp:
        _try_to_write(note, lambda: write_text(note, json.dumps({"stamp": stamp, "digest": digest})))
    return digest


def load(digest: str, source: Path) -> Fer2013 | None:
    """Return what :func:`store` kept under ``digest``, or ``None`` where there is nothing whole."""
    try:
        with np.load(_arrays(digest), allow_pickle=False) as kept:
            return Fer2013(
                faces=Faces(kept["images"], kept["labels"]),
                splits=kept["splits"],
                source=str(source),
                md5=str(kept["md5"]),
                notes=tuple(kept["notes"].tolist()),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, DataError):
        return None


def store(digest: str, data: Fer2013) -> None:
    """Keep ``data`` under ``digest``; a cache folder that cannot be written to is logged, not fatal."""

    def write() -> None:
        with replacing(_arrays(digest)) as part, part.open("wb") as sink:
            np.savez(
                sink,
                images=data.faces.images,
                labels=data.faces.labels,
                splits=data.splits,
                md5=np.array(data.md5),
                notes=np.array(data.notes, dtype=np.str_),
            )
        remove_abandoned(cache_folder())

    _try_to_write(_arrays(digest), write)


def _arrays(digest: str) -> Path:
    return cache_folder() / f"{digest}.npz"


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _try_to_write(path: Path, write) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    try:
        write()
    except OSError as error:
        _log.warning("could not keep the parsed data in %s: %s", path.parent, error.strerror or error)
