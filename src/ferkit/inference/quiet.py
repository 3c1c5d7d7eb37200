"""Keeps C libraries from writing to stderr what an error of ours will say."""

import os
import sys
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
