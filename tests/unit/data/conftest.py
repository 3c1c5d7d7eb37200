"""Small files in the forms that read_fer2013 takes."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

HEADER = "emotion,pixels,Usage"


@pytest.fixture
def row() -> Callable[..., str]:
    """Return a factory of rows; unless told otherwise, one that is good."""

    def make(emotion: object = 3, usage: str = "Training", pixels: str | None = None, first: int = 0) -> str:
        if pixels is None:
            pixels = " ".join(str((first + n) % 256) for n in range(48 * 48))
        return f"{emotion},{pixels},{usage}"

    return make


@pytest.fixture
def csv_file(tmp_path) -> Callable[..., Path]:
    """Return a factory of CSV files."""

    def write(*rows: str, header: str = HEADER, end: str = "\n", start: str = "", name: str = "fer2013.csv") -> Path:
        path = tmp_path / name
        path.write_bytes((start + end.join((header, *rows, ""))).encode())
        return path

    return write


@pytest.fixture
def pictures(tmp_path) -> Callable[..., Path]:
    """Return a factory of folders with one 48 x 48 picture under each of the names."""

    def write(*names: str, channels: int = 1, side: int = 48) -> Path:
        image = np.add.outer(np.arange(side), 2 * np.arange(side)).astype(np.uint8)
        for name in names:
            path = tmp_path / "fer" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(path.suffix, np.dstack([image] * channels))[1].tobytes())
        return tmp_path / "fer"

    return write


@pytest.fixture
def kept(cache_home) -> Callable[[], list[str]]:
    """Return a function that lists the files in the cache folder."""
    return lambda: sorted(path.name for path in cache_home.rglob("*") if path.is_file())
