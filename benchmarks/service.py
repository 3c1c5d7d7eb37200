"""How much a running service carries, beside the bare Recognizer in a loop over the same photos.

    pip install locust
    python benchmarks/service.py --out benchmarks/reports

Starts ``ferkit serve`` with its defaults and lets Locust send photos of one and of four faces over 1, 8 and 64
connections, then at twice the rate the service can carry. The load generator takes its time from the same cores; its
share stands in the report. The portrait is skimage.data.astronaut; four of them make the photo of four faces.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage

from command_line import plainly
from ferkit import Recognizer
from ferkit.inference.session import Session
from ferkit.processors import usable_processors
from ferkit.web import Settings
from report_files import write_report

CONNECTIONS = (1, 8, 64)
CORES = usable_processors()


@dataclass(frozen=True, slots=True)
class Load:
    """What one load did."""

    faces: int
    connections: int
    rate: float
    """Requests a second that were asked for; 0: as many as the connections could send."""
    served: float
    """Requests a second."""
    refused: float
    """Requests a second that were answered 503."""
    p50: float
    """Milliseconds of served requests, as p95 and p99."""
    p95: float
    p99: float
    generator: float
    """Cores the load generator took."""


def main() -> None:
    """Measure and write the report."""
    options = _options()
    if find_spec("locust") is None:
        sys.exit("error: this benchmark needs locust, which is not installed; run: pip install locust")
    with tempfile.TemporaryDirectory() as folder:
        photos = _photos(Path(folder))
        bare = {faces: _bare(file, options.seconds) for faces, file in photos.items()}
        network = {faces: _network_seconds(faces) for faces in photos}
        loads = []
        with _service() as address:
            for faces, file in photos.items():
                _load(address, file, faces, 8, 0, 3)  # warms up
                loads += [_load(address, file, faces, users, 0, options.seconds) for users in CONNECTIONS]
                carried = max(load.served for load in loads if load.faces == faces)
                loads.append(_load(address, file, faces, 64, 2 * carried, options.seconds))
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cores": CORES,
        "seconds": options.seconds,
        "waiting": Settings().waiting,
        "bare": bare,
        "network": network,
        "loads": [asdict(load) for load in loads],
    }
    text = _text(report)
    print(text)
    print("written:", write_report(options.out, f"service-{report['date'][:10]}", report, text))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "reports", help="folder of the report")
    parser.add_argument("--seconds", type=float, default=15, help="of each load")
    return parser.parse_args()


def _photos(folder: Path) -> dict[int, Path]:
    portrait = cv2.imread(str(Path(skimage.__file__).parent / "data" / "astronaut.png"))
    assert portrait is not None
    found = {}
    for faces, picture in ((1, portrait), (4, np.tile(portrait, (2, 2, 1)))):
        found[faces] = folder / f"{faces}.jpg"
        cv2.imwrite(str(found[faces]), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        seen = len(Recognizer().recognize(found[faces]))
        assert seen == faces, f"expected {faces} faces in the photo, found {seen}"
    return found


def _bare(file: Path, seconds: float) -> dict[str, float]:
    """Return photos a second of a Recognizer in a loop, and of as many loops as there are cores."""
    content, recognizer = file.read_bytes(), Recognizer()

    def loop(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            recognizer.recognize(content)
            done += 1
        return done

    loop(time.perf_counter() + 1)
    found = {}
    for name, threads, inner in (("one loop", 1, -1), ("a loop a core", CORES, 1)):
        cv2.setNumThreads(inner)
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            done = sum(pool.map(loop, [began + seconds / 2] * threads))
            found[name] = done / (time.perf_counter() - began)
    cv2.setNumThreads(-1)
    return found


def _network_seconds(faces: int) -> float:
    """Return the seconds the network takes for the faces of a photo."""
    session, crops = Session(), np.full((faces, 48, 48), 128, np.uint8)
    times = []
    for _ in range(300):
        began = time.perf_counter()
        session(crops)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


@contextmanager
def _service() -> Iterator[str]:
    command = [sys.executable, "-m", "ferkit", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("ferkit serves on"), line
        try:
            yield line.split()[3].rstrip(";,")
        finally:
            process.terminate()


def _load(address: str, photo: Path, faces: int, users: int, rate: float, seconds: float) -> Load:
    script = Path(__file__).with_name("service_load.py")
    command = [
        sys.executable, "-m", "locust", "-f", str(script), "--headless", "--host", address, "--users", str(users),
        "--spawn-rate", str(users), "--run-time", f"{seconds:g}s", "--json", "--only-summary", "--loglevel", "ERROR",
    ]  # fmt: skip
    environment = {**os.environ, "LOAD_PHOTO": str(photo), "LOAD_RATE": str(rate / users)}
    time.sleep(3)  # what the load before has left is done by then
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {part["name"]: part for part in json.loads(done.stdout)}
    assert "served" in found, (list(found), done.stderr)
    served = found["served"]
    assert served["num_failures"] == 0, done.stderr
    times = np.repeat([float(ms) for ms in served["response_times"]], [*served["response_times"].values()])
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    refused = found.get("refused", {"num_requests": 0})["num_requests"] / seconds
    return Load(faces, users, rate, len(times) / seconds, refused, p50, p95, p99, used / took)


def _text(report: dict[str, Any]) -> str:
    lines = [
        f"# The service under load, {report['date'][:10]}",
        "",
        "Generated by `python benchmarks/service.py`; do not edit.",
        "",
        f"{report['platform']}, {report['cores']} cores, which the load generator (Locust) shares; "
        f"{report['seconds']:g} seconds a load; {report['waiting']} requests may wait.",
        "",
        "| faces a photo | bare Recognizer, photos/s | a loop a core, photos/s | the network's own time a photo, ms |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for faces, bare in report["bare"].items():
        network = 1000 * report["network"][faces]
        lines.append(f"| {faces} | {bare['one loop']:.1f} | {bare['a loop a core']:.1f} | {network:.2f} |")
    lines += [
        "",
        "*Of bare*: served requests by the photos of the faster of the two bare loops. *Network*: its own time by the "
        "median time of a request.",
        "",
        "| faces | connections | offered /s | served /s | of bare | 503 /s | p50 ms | p95 ms | p99 ms | network "
        "| generator, cores |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for load in report["loads"]:
        best = max(report["bare"][load["faces"]].values())
        share = 1000 * report["network"][load["faces"]] / load["p50"]
        offered = f"{load['served'] + load['refused']:.0f}" if load["rate"] else "all they can"
        lines.append(
            f"| {load['faces']} | {load['connections']} | {offered} "
            f"| {load['served']:.1f} | {load['served'] / best:.0%} "
            f"| {load['refused']:.1f} | {load['p50']:.0f} | {load['p95']:.0f} | {load['p99']:.0f} | {share:.1%} "
            f"| {load['generator']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    plainly(main)
