"""The log of a service: apart from what libraries write to stderr, and never in the way of a request."""

import atexit
import logging
import os
import queue
import time
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener

LINES = 1000
"""That wait to be written; further ones are dropped."""

_LAST = 1.0  # seconds a process that ends gives its last lines


class _Dropping(QueueHandler):
    """Puts lines into a bounded queue and drops what does not fit in."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put ``record`` into the queue if there is room."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class _Writer(logging.Handler):
    """Writes lines to a file descriptor; one thread's own, so that a process can end while it waits for a reader."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Take no lock: logging would wait for it when the process ends."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write ``record`` as logging does, which from Python 3.13 on cannot do without a lock."""
        wanted = bool(self.filter(record))
        if wanted:
            self.emit(record)
        return wanted

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless it cannot be: an error would end the thread, and with it the log."""
        with suppress(OSError):
            os.write(self._descriptor, f"{self.format(record)}\n".encode(errors="backslashreplace"))


def log_handler() -> logging.Handler:
    """Return a handler that writes to what is stderr now, whatever becomes of file descriptor 2.

    While a service runs, libjpeg and libpng write nowhere: they have a line for each damaged picture that anybody
    sends. And a thread of its own writes, as whoever reads the log may be slow, or stop reading.
    """
    lines: queue.Queue[logging.LogRecord] = queue.Queue(LINES)
    QueueListener(lines, _Writer(os.dup(2))).start()
    atexit.register(_let_out, lines)
    return _Dropping(lines)


def _let_out(lines: "queue.Queue[logging.LogRecord]") -> None:
    until = time.monotonic() + _LAST
    while lines.unfinished_tasks and time.monotonic() < until:
        time.sleep(0.005)
