"""Writes a whole file or none.

A file is written under a temporary name in its own folder, flushed to the disk and moved into place, so that a reader
never meets half of it, whatever happens to the writer.
"""

import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Numbers of the errors that hit every further file, too: the disk is full, or takes nothing."""

_ABANDONED = 3600.0  # seconds after which a temporary file belongs to a writer that was killed


@contextmanager
def replacing(path: Path, ending: str = "") -> Iterator[Path]:
    """Yield a temporary path; move it to ``path`` when the block ends well, remove it when it does not.

    Args:
        path: The file to write.
        ending: Of the temporary name, for writers that go by it, as OpenCV's of videos does.

    Raises:
        OSError: The folder cannot be written to, or the disk is full; ``path`` is as it was.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as part:
        ...     _ = part.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part{ending}")  # short: `path` may be as long as names can be
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the process's umask
    try:
        yield part
        with part.open("r+b") as written:  # Windows flushes only what is open for writing
            os.fsync(written.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(folder: Path) -> None:
    """Make ``folder``, if it is not there, and find out whether files can be written into it.

    Raises:
        OSError: They cannot.
    """
    from tempfile import TemporaryFile

    folder.mkdir(parents=True, exist_ok=True)
    TemporaryFile(dir=folder).close()


def expanded(path: str | Path) -> Path:
    """Return ``path`` with the home folder in place of ``~``, as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises there


def exists(path: str | Path) -> bool:
    """Return whether there is something at ``path``; not where its name is too long or it is out of reach."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises there, and so do those below


def is_file(path: str | Path) -> bool:
    """Return whether there is a file at ``path``, as :func:`exists` does."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Return whether there is a folder at ``path``, as :func:`exists` does."""
    return os.path.isdir(path)  # noqa: PTH112


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path`` as JSON, whole or not at all.

    Raises:
        ValueError: A number is not finite: JSON has no word for it.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(content)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove_abandoned(folder: Path, older_than: float = _ABANDONED) -> None:
    """Remove what killed writers left in ``folder``.

    Args:
        folder: Searched without its subfolders.
        older_than: Age in seconds; younger files may belong to a writer at work.
    """
    for part in (*folder.glob(".*.part"), *folder.glob(".*.part.*")):
        try:
            if time.time() - part.stat().st_mtime >= older_than:
                part.unlink()
        except FileNotFoundError:  # another process was faster
            continue
