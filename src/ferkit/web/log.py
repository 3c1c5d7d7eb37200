"""The log of a service, which stays apart from what libraries write to stderr."""

import logging
import os


def log_handler() -> logging.Handler:
    """Return a handler that writes to what is stderr now, whatever becomes of file descriptor 2.

    While a service runs, libjpeg and libpng write nowhere: they have a line for each damaged picture that anybody
    sends, and a slow reader of the log would hold the service up.
    """
    return logging.StreamHandler(os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))
