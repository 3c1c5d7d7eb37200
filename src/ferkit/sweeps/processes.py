"""Runs as processes of this machine, several side by side: a run that crashes takes nothing with it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from ferkit.errors import RunError

ERRORS = "errors.txt"
"""File in the run folder with what a run's process wrote to stderr; removed where it is empty."""

_LOOK_SECONDS = 0.2  # between two looks whether a process has ended
_LAST_WORDS_SECONDS = 2.0  # for what an ended process wrote before


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to train; plain values, so that it can travel to another machine."""

    name: str
    recipe: dict[str, Any]
    data: Path
    """The data set; absolute."""
    folder: Path
    """The run folder; absolute, made if it is missing."""
    threads: int | None
    """Of the run on a processor; as PyTorch chooses if ``None``."""
    teachers: tuple[Path, ...] = ()
    """Run folders of its teachers; absolute."""
    init: Path | None = None
    """Run folder whose weights it begins with; absolute."""
    votes: Path | None = None
    """FER+ votes, for a recipe that learns from them; absolute."""
    tested: bool = True
    """Whether it may read the test split."""
    peak: float | None = None
    """Operations a second of the device in the run's precision; measured by the run itself if ``None``."""

    def request(self) -> str:
        """Return the line of JSON that a process which trains it reads."""
        return json.dumps(
            {
                "recipe": self.recipe,
                "data": str(self.data),
                "teachers": [str(folder) for folder in self.teachers],
                "init": str(self.init or ""),
                "votes": str(self.votes or ""),
                "tested": self.tested,
                "peak": self.peak,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run is under way."""

    name: str
    share: float
    """Done, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended."""

    name: str

    kind: Literal["finished", "stopped", "failed", "killed"]
    """``killed``: by someone else, so that another try may end well."""

    reason: str = ""
    """Why it failed or was killed, where it stopped; one line."""

    result: dict[str, Any] | None = None
    """The content of ``result.json`` of a finished run."""


class Executor(Protocol):
    """A way of running jobs."""

    slots: int
    """Jobs that may run side by side."""

    def start(self, job: Job) -> None:
        """Begin a job; returns at once."""

    def poll(self) -> Iterable[Progress | Outcome]:
        """Return what is new, after waiting a moment for it; one :class:`Outcome` a job."""

    def stop(self) -> None:
        """Ask every job to save and end; returns at once."""

    def close(self) -> None:
        """End what still runs, at once, and free everything."""


class Child:
    """A process that trains one job and ends when this one does."""

    def __init__(self, job: Job) -> None:
        """Start the process.

        Raises:
            RunError: The run folder cannot be written to.
        """
        self.job = job
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "ferkit.sweeps.child", str(job.folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=_environment(job.threads),
                    start_new_session=True,  # Ctrl-C reaches us alone, and we ask it to stop
                )
        except OSError as error:
            raise RunError(f"{job.folder}: cannot be written to ({error.strerror or error})") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self._last: dict[str, Any] = {}
        self._asked = False
        with suppress(BrokenPipeError):  # it is dead already; poll() will say why
            self._process.stdin.write(job.request().encode() + b"\n")
            self._process.stdin.flush()

    @property
    def _errors(self) -> Path:
        return self.job.folder / ERRORS

    def poll(self) -> list[Progress | Outcome]:
        """Return what is new; the last item of an ended process is its outcome."""
        ended = self._process.poll() is not None
        if ended:
            self._reader.join(_LAST_WORDS_SECONDS)  # not for ever: its helpers may hold the pipe a while longer
        new: list[Progress | Outcome] = []
        while not self._said.empty():
            self._last = self._said.get()
            if "progress" in self._last:
                new.append(Progress(name=self.job.name, share=self._last["progress"]))
        return [*new, self._outcome()] if ended else new

    def stop(self) -> None:
        """Ask it to save and end."""
        self._asked = True
        self._process.terminate()

    def kill(self) -> None:
        """End it at once; the last checkpoint is intact."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        """Close the pipes of an ended process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._reader.join(_LAST_WORDS_SECONDS)
        if not self._reader.is_alive():  # its helpers may hold the pipe a while longer; closing it would wait for them
            self._process.stdout.close()

    def _read(self, pipe: IO[bytes]) -> None:
        with suppress(ValueError):  # the last line of a killed process may be half a line
            for line in pipe:
                self._said.put(json.loads(line))

    def _outcome(self) -> Outcome:
        self._close()
        errors = self._errors.read_text(encoding="utf-8", errors="replace").strip()
        if not errors:
            self._errors.unlink(missing_ok=True)
        name, last, code = self.job.name, self._last, self._process.returncode
        if "finished" in last:
            content = json.loads((self.job.folder / "result.json").read_text(encoding="utf-8"))
            return Outcome(name=name, kind="finished", result=content)
        if "stopped" in last:
            return Outcome(name=name, kind="stopped", reason=last["stopped"])
        if "failed" in last:
            return Outcome(name=name, kind="failed", reason=last["failed"])
        if self._asked:
            return Outcome(name=name, kind="stopped", reason="while it was starting")
        if code < 0:
            return Outcome(name=name, kind="killed", reason=f"killed by {_signal(-code)}")
        reason = errors.rpartition("\n")[2] if errors else f"ended with exit code {code}, without a word"
        return Outcome(name=name, kind="failed", reason=reason)


class LocalProcesses:
    """Runs jobs as child processes."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._children: list[Child] = []

    def start(self, job: Job) -> None:
        """Begin a job; returns at once.

        Raises:
            RunError: The run folder cannot be written to.
        """
        self._children.append(Child(job))

    def poll(self) -> list[Progress | Outcome]:
        """Return what is new, after a moment."""
        time.sleep(_LOOK_SECONDS)
        new: list[Progress | Outcome] = []
        for child in list(self._children):
            said = child.poll()
            new += said
            if said and isinstance(said[-1], Outcome):
                self._children.remove(child)
        return new

    def stop(self) -> None:
        """Ask every job to save and end."""
        for child in self._children:
            child.stop()

    def close(self) -> None:
        """Kill what still runs."""
        for child in self._children:
            child.kill()
        self._children.clear()


def _signal(number: int) -> str:
    """Return the name of a signal.

    Example:
        >>> _signal(9), _signal(40)
        ('SIGKILL', 'signal 40')
    """
    return (
        signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    )  # real-time ones have none


def _environment(threads: int | None) -> Mapping[str, str]:
    return os.environ if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
