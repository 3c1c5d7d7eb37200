"""What Prometheus reads: counts and times, nothing about any picture."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the folder in which several processes add up; Prometheus's own."""

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meters:
    """The meters of one service."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "ferkit_requests", "Requests by route and status.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "ferkit_request_seconds", "From the head of a request to its answer.", ("route",), registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.reading = Histogram(
            "ferkit_reading_seconds", "Decoding, detecting and reading of a request's pictures.", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.pictures = Counter("ferkit_pictures", "Pictures read, frames of streams among them.", registry=registry)
        self.faces = Counter("ferkit_faces", "Faces read.", registry=registry)
        self.dropped = Counter("ferkit_frames_dropped", "Frames of streams that were not read.", registry=registry)
        self.taken = Gauge(
            "ferkit_work", "Pieces of work that wait or are being done.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.streams = Gauge(
            "ferkit_streams", "Open camera streams.", registry=registry, multiprocess_mode="livesum"
        )  # fmt: skip

    def text(self) -> bytes:
        """Return all meters as Prometheus reads them; of all processes where several serve."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        _forget_the_dead(Path(os.environ[SHARED]))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def close(self) -> None:
        """Say that this process counts no more."""
        if SHARED in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    def remove_shared(self) -> None:
        """Remove the folder in which several processes add up."""
        if SHARED in os.environ:
            shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def _forget_the_dead(folder: Path) -> None:
    """Leave out what processes count as now that were killed, and could not say so."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        if not _is_alive(pid):
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere the question would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
