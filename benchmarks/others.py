"""What else the machine does while something is measured."""

import os
import time
from pathlib import Path


class Others:
    """The processor time of all other processes from now on."""

    def __init__(self) -> None:
        self._began, self._before = time.perf_counter(), _cpu_seconds()

    def cores(self) -> float | None:
        """Return how many cores they have used on average; None where the system does not say."""
        now = _cpu_seconds()
        if now is None or self._before is None:
            return None
        return round((now - self._before) / (time.perf_counter() - self._began), 2)


def in_words(cores: float | None) -> str:
    """Return what :meth:`Others.cores` found as a report says it."""
    return "an unknown number of" if cores is None else f"{cores:.2f}"


def _cpu_seconds() -> float | None:
    """Return what all processes but this one and its children have used."""
    try:
        user, nice, system = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=4)[1:4]
    except OSError:
        return None
    import resource  # which Windows lacks, as it lacks /proc

    everyone = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return everyone - sum(usage.ru_utime + usage.ru_stime for usage in ours)
