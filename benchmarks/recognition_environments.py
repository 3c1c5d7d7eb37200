"""The virtual environments of ``recognition.py`` and ``photographs.py``, and what runs in them.

Each contender is alone in one, as its user would install it.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkit.errors import FerkitError

ROOT = Path(__file__).parents[1]

FER = "fer==25.10.3"
LEAN = ("tensorflow", "opencv-contrib-python<5", "moviepy<2", "setuptools<81")
"""What fer's recognition loads with its default detector; its requirements name more, torch among them."""

TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")
"""What a virtual environment brings, by the start of the names in site-packages."""


class InstallError(FerkitError):
    """pip failed; the message is its last line of errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A contender's packages."""

    folder: Path
    needs_setuptools: bool
    packages: tuple[str, ...]
    """Whose versions the report names."""

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"

    def size(self) -> int:
        """Return the bytes in site-packages, without pip, and without setuptools where nothing needs it."""
        places = {"base": str(self.folder), "platbase": str(self.folder)}
        site = Path(sysconfig.get_path("purelib", scheme="venv", vars=places))
        left_out = TOOLS[:1] if self.needs_setuptools else TOOLS
        tops = [top for top in site.iterdir() if not top.name.startswith(left_out)]
        files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))]
        return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def add_work(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark's user name the folder of the environments."""
    usual = Path(tempfile.gettempdir()) / "ferkit-recognition"
    parser.add_argument("--work", type=Path, default=usual, help="folder of the two environments, which are kept")


def ferkit_environment(work: Path) -> Environment:
    """Return an environment with this checkout, without extras; a changed checkout is installed anew.

    Raises:
        InstallError: pip failed.
    """
    constraints = ROOT / "constraints.txt"
    sources = [ROOT / "pyproject.toml", constraints, *(ROOT / "src").rglob("*")]
    digest = hashlib.sha256()
    for file in sorted(file for file in sources if file.is_file() and file.suffix != ".pyc"):
        digest.update(file.read_bytes())
    environment = Environment(
        folder=work / "ferkit",
        needs_setuptools=False,
        packages=("ferkit", "numpy", "onnxruntime", "opencv-python-headless"),
    )
    _build(environment, digest.hexdigest(), [["--constraint", str(constraints), str(ROOT)]])
    return environment


def fer_environment(work: Path) -> Environment:
    """Return an environment with fer and the least it runs with.

    Raises:
        InstallError: pip failed, for example without a network.
    """
    environment = Environment(
        folder=work / "fer",
        needs_setuptools=True,
        packages=("fer", "tensorflow", "keras", "numpy", "opencv-contrib-python"),
    )
    _build(environment, " ".join((FER, *LEAN)), [["--no-deps", FER], list(LEAN)])
    return environment


def probe(environment: Environment, task: str, *asked: object, threads: int = 1) -> dict[str, Any]:
    """Return what ``recognition_probe.py`` says in an environment."""
    command = probe_command(environment, task, *asked, threads=threads)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables(threads))
    if done.returncode:
        raise RuntimeError(f"{task} {asked}: expected a measurement, got:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def probe_command(environment: Environment, task: str, *asked: object, threads: int) -> list[str]:
    """Return the command of a probe."""
    script = Path(__file__).with_name("recognition_probe.py")
    return [*map(str, (environment.python, "-I", script, task, *asked)), "--threads", str(threads)]


def variables(threads: int) -> dict[str, str]:
    """Return the environment variables of a probe: as many threads as it may use, no GPU, no chatter."""
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    named = {**dict.fromkeys(pools, str(threads)), "TF_NUM_INTEROP_THREADS": "1"}
    return {**os.environ, **named, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _build(environment: Environment, wanted: str, installs: list[list[str]]) -> None:
    """Make the environment unless it stands already; a stamp is written last, so half of one is made again."""
    stamp = environment.folder / "complete"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"installing {environment.folder.name} ...", flush=True)
    shutil.rmtree(environment.folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment.folder], check=True)
    for install in installs:
        command = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *install]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise InstallError((errors or [f"pip ended with {done.returncode}"])[-1])
    stamp.write_text(wanted, encoding="utf-8")
