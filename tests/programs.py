"""Programs that a test starts in a session of their own, so that a signal reaches them alone."""

import os
import signal
import subprocess
import sys

_BEGUN: list[subprocess.Popen] = []


def begin(*arguments, text=False):
    """Start ferkit; both its streams are pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": text}
    command = [sys.executable, "-m", "ferkit", *map(str, arguments)]
    _BEGUN.append(subprocess.Popen(command, start_new_session=True, **pipes))
    return _BEGUN[-1]


def end_all():
    """Kill what a test that failed has left, with the processes it started."""
    while _BEGUN:
        process = _BEGUN.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
