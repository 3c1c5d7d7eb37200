"""Keeps parsed arrays in the user's cache folder, so that a file is parsed once.

A note remembers which digest a file had at which size and time, and the arrays stand under the digest.
Arrays are stored in an ``npz``, whose CRC-32 is checked on reading: a damaged cache is a cache that is not there.
"""

import hashlib
import json
import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs

from ferkit.data.faces import Faces, Fer2013
from ferkit.data.folder import list_pictures
from ferkit.files import remove_abandoned, replacing, write_text

VERSION = 1
"""Part of the path; a change of the format leaves old files unread."""

KEPT = 5
"""Data sets whose arrays are kept, those that were read last; pictures of a folder that changes are one each time."""

_SETTLED = 2_000_000_000  # ns; a file system may give two changes the same time if they are closer than that

Stamp = list[list[int | str]]
"""One entry a file; survives JSON."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return where parsed arrays are kept: below ``XDG_CACHE_HOME`` on Linux."""
    return Path(platformdirs.user_cache_dir("ferkit", appauthor=False)) / f"fer2013-v{VERSION}"


def stamp(source: Path) -> Stamp:
    """Return what changes when a file, or a picture of a folder, does: name, size, times and number.

    A program may set back the time of the last change of the content, but not the one of the last change of all.
    """
    files = list_pictures(source) if source.is_dir() else [source.resolve()]
    names = [file.relative_to(source).as_posix() if source.is_dir() else "/".join(file.parts[-3:]) for file in files]
    stats = [(name, file.stat()) for name, file in zip(names, files, strict=True)]
    return [[name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for name, s in stats]


def fingerprint(source: Path, now: Stamp) -> str:
    """Return a digest of a source: of the bytes of a file, of the stamps of a folder.

    Args:
        source: An existing file or folder. The digest of a file that :func:`remember` knows is looked up.
        now: Its :func:`stamp`.
    """
    if source.is_dir():
        return hashlib.sha256(json.dumps(now).encode()).hexdigest()
    known = _look_up(source, now)
    if known:
        return known
    with source.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remember(source: Path, then: Stamp, digest: str) -> None:
    """Note that a file with the stamp ``then`` has this digest, unless it is so young that the stamp may not tell."""
    newest = max(int(changed) for _, _, *times, _ in then for changed in times)
    if source.is_dir() or time.time_ns() - newest < _SETTLED or _look_up(source, then):
        return
    with suppress(OSError):  # store() writes to the same folder, and speaks up
        write_text(_note(source), json.dumps({"stamp": then, "digest": digest}))


def _note(source: Path) -> Path:
    return cache_folder() / f"{hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:32]}.json"


def _look_up(source: Path, now: Stamp) -> str:
    """Return the digest noted for a file with this stamp, or nothing."""
    try:
        known = json.loads(_note(source).read_bytes())
        if known["stamp"] == now and re.fullmatch("[0-9a-f]{64}", known["digest"]):
            return str(known["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or a damaged one: it is written anew
    return ""


def load(digest: str, source: Path) -> Fer2013 | None:
    """Return what :func:`store` kept under ``digest``, or ``None`` where there is nothing whole."""
    try:
        with _arrays(digest).open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            with suppress(OSError):  # of a folder that may only be read
                os.utime(_arrays(digest))
            return Fer2013(
                faces=Faces(kept["images"], kept["labels"]),
                splits=kept["splits"],
                source=str(source),
                md5=str(kept["md5"]),
                notes=tuple(kept["notes"].tolist()),
            )
    except Exception as error:  # zipfile, zlib, NumPy and its tokenizer each have their own for a damaged file
        _log.debug("no parsed data under %s: %r", digest, error)
        return None


def store(digest: str, data: Fer2013) -> None:
    """Keep ``data`` under ``digest``; a cache folder that cannot be written to is logged, not fatal."""
    try:
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
        _forget()
    except OSError as error:
        _log.warning("could not keep the parsed data in %s: %s", cache_folder(), error.strerror or error)


def _forget() -> None:
    """Remove the arrays of all data sets but :data:`KEPT`."""
    read: dict[Path, int] = {}
    for path in cache_folder().glob("*.npz"):
        with suppress(FileNotFoundError):  # another process forgets, too
            read[path] = path.stat().st_mtime_ns
    for path in sorted(read, key=read.__getitem__)[:-KEPT]:
        path.unlink(missing_ok=True)


def _arrays(digest: str) -> Path:
    return cache_folder() / f"{digest}.npz"
