"""What else the machine does while something is measured."""

import math
import os
import resource
from pathlib import Path


def cpu_seconds_of_others() -> float:
    """Return what all processes but this one and its children have used; not a number where the system does not say."""
    try:
        user, nice, system = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=4)[1:4]
    except OSError:
        return math.nan
    everyone = (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return everyone - sum(usage.ru_utime + usage.ru_stime for usage in ours)
