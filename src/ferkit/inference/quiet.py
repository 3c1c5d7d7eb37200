"""Keeps C libraries from writing to stderr what an error of ours will say."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep what libjpeg and libpng print about damaged pictures from stderr; Python's own lines still go there.

    They write to file descriptor 2 whatever OpenCV's log level is; our error says which picture is damaged.
    """
    try:
        ours = sys.stderr.fileno() == 2
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # no stderr, or one that is no file
        yield
        return
    python: Any = sys.stderr
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    if ours:
        sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1, encoding=python.encoding, errors="backslashreplace")
    try:
        yield
    finally:
        if ours:
            sys.stderr.close()
            sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)


_quiet = threading.Lock()
_silenced: list[int] = []  # the level to go back to, once for each thread that wants silence


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from printing what an error of ours will say; in several threads at once, too."""
    from cv2.utils import logging

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with _quiet:
        _silenced.append(logging.getLogLevel())
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        with _quiet:
            level = _silenced.pop()
            if not _silenced:
                logging.setLogLevel(level)
