"""Where a run happens, as its result tells: device, versions, commit."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ferkit import __version__
from ferkit.training.environment import cpu_capabilities


def describe(device: str) -> dict[str, Any]:
    """Return device, versions and commit as plain values, ready for JSON."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(terse=True),
        "versions": {
            "ferkit": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),  # names the build too, which the package's version may not
            **{name: version(name) for name in ("numpy", "albumentations", "opencv-python-headless")},
        },
        **_commit(),
    }


def _processor() -> str:
    cores = cpu_capabilities().get("num_logical_cores")
    name = cpu_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {cores} cores" if cores else str(name)


def _commit() -> dict[str, Any]:
    """Return the commit of the checkout ferkit runs from, if it runs from one."""
    root = Path(__file__).resolve().parents[3]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return {"commit": None, "dirty": None}
        return {
            "commit": git("rev-parse", "--short=12", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", "src")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
