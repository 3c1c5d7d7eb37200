"""Signals that end the program, by way of an exception, so that temporary files are removed.

Long commands wait for signals themselves.
"""

import signal
import sys

came: list[int] = []
"""Numbers of the signals so far."""


def take() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP, unless they are to be ignored, into exceptions."""
    came.clear()
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def check() -> None:
    """Raise again what a signal raised and nobody got.

    Python drops what is raised while it calls back or finalises something, as it does among imports and in its
    collection of garbage. So whoever goes on for long asks now and then.

    Raises:
        KeyboardInterrupt: SIGINT came.
        SystemExit: Another signal came.
    """
    if came:
        _raise(came[-1])


def _end(number: int, _: object) -> None:
    came.append(number)
    _raise(number)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
