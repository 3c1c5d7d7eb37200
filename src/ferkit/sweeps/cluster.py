"""Runs spread over a Ray cluster; needs the extra ``ray``.

A task of Ray starts the same child process that :mod:`ferkit.sweeps.processes` starts, and hands back the content of
its ``result.json``. Where a worker or a node dies, Ray starts the task again elsewhere: it goes on from the checkpoint
where it sees the run folder, else anew. Every node needs ferkit and the data set under the same path.
"""

import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from typing import Any

from ferkit.errors import MissingExtraError, RunError
from ferkit.sweeps.processes import Child, Job, Outcome

RETRIES = 5
"""Times a task is started again after its worker or node died."""

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 10.0
_STORE_BYTES = 80 * 2**20  # of a cluster of our own; results are small, and this is about the least Ray takes


class RayCluster:
    """Runs jobs as tasks of Ray: on the cluster at an address, or on one of its own on this machine."""

    def __init__(self, jobs: int, address: str | None = None, *, gpu: bool = False) -> None:
        """Connect to a cluster, or start one.

        Args:
            jobs: Runs side by side on one node, which share out its processors and GPUs.
            address: As ``ray start`` prints it; if left out, a cluster of this machine that ends with this process.
            gpu: Runs are to have a share of a GPU, where nodes have them.

        Raises:
            MissingExtraError: Ray is not installed.
            RunError: There is no cluster at ``address``.
        """
        address = address or "local"
        own = address == "local"
        self._ray = _quiet_ray(own=own)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if own:
            options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        else:
            _check_address(address)
        try:
            self._ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RunError(f"no Ray cluster at {address}: {str(error).partition(chr(10))[0]}") from None
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        if not nodes:
            self._ray.shutdown()
            raise RunError(f"the Ray cluster at {address} has no node with processors")
        if gpu and any(node.get("GPU") for node in nodes):
            nodes = [node for node in nodes if node.get("GPU")]
            gpus = _share(min(node["GPU"] for node in nodes), jobs)
        else:
            gpus = 0
        processors = _share(min(node["CPU"] for node in nodes), jobs)
        self._threads = max(1, int(processors))
        resources = {"num_cpus": processors, "num_gpus": gpus}
        self._task = self._ray.remote(max_retries=RETRIES, **resources)(train_in_task)
        self.slots = jobs * len(nodes)
        self._pending: dict[Any, Job] = {}
        self._asked = False

    def start(self, job: Job) -> None:
        """Submit a job; returns at once."""
        threads = self._threads if job.threads is not None else None
        self._pending[self._task.remote({**asdict(job), "threads": threads})] = job

    def poll(self) -> list[Outcome]:
        """Return the jobs that have ended, after waiting a moment for one."""
        if not self._pending:
            time.sleep(_LOOK_SECONDS)
            return []
        ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=_LOOK_SECONDS)
        return [self._outcome(task, self._pending.pop(task)) for task in ready]

    def stop(self) -> None:
        """Ask every job to save and end."""
        self._asked = True
        for task in self._pending:
            self._ray.cancel(task, force=False)

    def close(self) -> None:
        """Leave the cluster; one of our own ends with everything that still runs on it."""
        for task in self._pending:
            with suppress(Exception):  # it may end at this very moment
                self._ray.cancel(task, force=True)
        self._pending.clear()
        self._ray.shutdown()

    def _outcome(self, task: Any, job: Job) -> Outcome:
        try:
            return Outcome(**self._ray.get(task))
        except self._ray.exceptions.TaskCancelledError:
            return Outcome(name=job.name, kind="stopped", reason="on its node")
        except self._ray.exceptions.RayError as error:
            kind: Any = "stopped" if self._asked else "killed"
            return Outcome(name=job.name, kind=kind, reason=f"{type(error).__name__}: {_first_line(error)}")


def train_in_task(job: dict[str, Any]) -> dict[str, Any]:
    """Train a job in a child process of this worker and return its :class:`Outcome` as plain values."""
    child = Child(Job(**job))
    said = child.poll()
    asked = False
    try:
        while not (said and isinstance(said[-1], Outcome)):
            try:
                time.sleep(_LOOK_SECONDS)
                said = child.poll()
            except KeyboardInterrupt:  # how Ray cancels a task
                if asked:
                    raise
                asked = True
                child.stop()
    except BaseException:
        child.kill()
        raise
    return asdict(said[-1])


def _check_address(address: str) -> None:
    """Raise a RunError where nobody listens; Ray itself would go on asking for many minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except OSError as error:
            raise RunError(f"no Ray cluster at {address}: {error.strerror or error}") from None


def _share(number: float, jobs: int) -> float:
    """Return what each of so many jobs gets; Ray takes whole numbers above 1."""
    return number / jobs if number < jobs else number // jobs


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _quiet_ray(*, own: bool) -> Any:
    """Import Ray so that it neither reports home nor looks around."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # it warns of a default that is to change
    if own:  # despite its name: nodes talk over the loopback, and nobody asks for the address of this machine
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_worker_niceness", "0")  # else anything else on this machine goes first
    try:
        ray: Any = import_module("ray")
        node: Any = import_module("ray._private.node")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "ray", "ray") from None
    if own:  # even without a dashboard its process asks the metadata services of three clouds who they are
        node.Node.start_api_server = lambda *_, **__: None
    return ray
