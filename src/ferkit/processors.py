"""How many processors there are to use."""

import os

MOST_THREADS = 1024
"""Largest number of threads that may be asked for: more bring no machine a gain, and many more bring one down."""


def usable_processors() -> int:
    """Return the processors this process may run on, which a container or a scheduler may have made fewer."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
