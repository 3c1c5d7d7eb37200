"""What the command lines of all benchmarks share."""

import argparse
import subprocess
import sys
from collections.abc import Callable

from ferkit.errors import FerkitError


def plainly(main: Callable[[], None]) -> None:
    """Call ``main``; what is wrong with its input is one line, and so is a process of its own that failed."""
    try:
        main()
    except FerkitError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:  # it has said why itself
        sys.exit(f"error: a process of its own ended with {error.returncode}: {' '.join(map(str, error.cmd))}")


def count(text: str) -> int:
    """Return a number of rounds, runs and the like, which is at least 1; a type for ``argparse``."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number
