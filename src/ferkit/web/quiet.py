"""Keeps what libjpeg and libpng say about damaged pictures out of the log of a service.

They write to file descriptor 2, whatever anybody sets: a line for each damaged picture that anybody sends, and a reader
of the log that is slow would hold the service up.
"""

import logging
import os
import sys


def log_handler() -> logging.Handler:
    """Return a handler that writes to what is stderr now, whatever becomes of file descriptor 2."""
    return logging.StreamHandler(os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))


def silence_libraries() -> None:
    """Send what is written to file descriptor 2 nowhere, for good; ``sys.stderr`` still goes where it went."""
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
