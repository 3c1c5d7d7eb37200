"""What all tests share: a cache of their own, the real data set where there is one, and small ones made on the spot."""

import os
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side: each, and what it starts, keeps to one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from ferkit.data import Faces, Fer2013
from programs import end_all


@pytest.hookimpl(trylast=True)  # those that are left out are out by then
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each process begin with its share of the long tests, so that none of them is what all wait for at the end."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if "e2e" in item.path.parts]
    short = [item for item in items if "e2e" not in item.path.parts]
    items[:] = [
        item
        for number in range(processes)
        for all_of_them in (long, short)
        for item in all_of_them[len(all_of_them) * number // processes : len(all_of_them) * (number + 1) // processes]
    ]


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch) -> Path:
    """Keep the user's cache folder out of the tests."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture(autouse=True, scope="module")
def no_program_goes_on() -> Iterator[None]:
    """End what a failed test has left, which would slow down those that follow."""
    yield
    end_all()


@pytest.fixture(scope="session")
def fer2013_csv() -> Path:
    """Return the real file, or skip the test."""
    return named_by("FER2013_CSV", "the real fer2013.csv")


@pytest.fixture(scope="session")
def ferplus_csv() -> Path:
    """Return the file of the FER+ votes, or skip the test."""
    return named_by("FERPLUS_CSV", "the FER+ votes")


def named_by(variable: str, what: str) -> Path:
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} does not name {what}")
    return Path(path)


def make_faces(n: int, seed: int = 0) -> Faces:
    """Return ``n`` faces whose brightness tells their class, so that a network can learn it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    images = rng.integers(0, 60, (n, 48, 48)) + 28 * labels[:, None, None]
    return Faces(images.astype(np.uint8), labels.astype(np.int64))


def make_data(training: int = 96, tests: int = 40, seed: int = 0) -> Fer2013:
    """Return a small data set with all three splits."""
    splits = np.repeat([0, 1, 2], [training, tests, tests]).astype(np.uint8)
    return Fer2013(faces=make_faces(training + 2 * tests, seed), splits=splits, source="made by a test")


def make_part(accuracy: float, **changes) -> dict:
    """Return what a network might do on a split, in the form of ``result.json``."""
    from ferkit.evaluation.metrics import wilson_interval
    from ferkit.labels import EXPRESSIONS

    faces = changes.get("faces", 3589)
    right = round(accuracy * faces)
    confusion = [[0] * 7 for _ in range(7)]
    confusion[0][:2] = right, faces - right
    confusion = changes.get("confusion", confusion)
    hits = [row[k] for k, row in enumerate(confusion)]
    true, said = [sum(row) for row in confusion], [sum(row[k] for row in confusion) for k in range(7)]
    columns = [
        [hit / max(1, number) for hit, number in zip(hits, said, strict=True)],
        [hit / max(1, number) for hit, number in zip(hits, true, strict=True)],
        [2 * hit / max(1, t + s) for hit, t, s in zip(hits, true, said, strict=True)],
    ]
    rows = [*zip(*columns, strict=True), [sum(column) / 7 for column in columns]]
    scores = [dict(zip(("precision", "recall", "f1-score"), row, strict=True)) for row in rows]
    part = {"split": "PublicTest", "faces": faces, "loss": 1.0, "accuracy": accuracy}
    part |= {"interval": list(wilson_interval(right, faces)), "confusion": confusion}
    classes = dict(zip((*EXPRESSIONS, "macro avg"), scores, strict=True))
    return {**part, "classes": {name: {**each, "support": 10.0} for name, each in classes.items()}, **changes}


def kept_network(state):
    """Return the network of a training that is validated and kept: the average where there is one."""
    return state.model if state.average is None else state.average.module


def small_recipe(**settings):
    """Return a recipe of seconds on :func:`make_data`, exact to the last bit."""
    from ferkit.training.recipe import Recipe

    small = {"model": "layers", "optimizer": "adam", "lr": 0.01, "epochs": 1, "batch_size": 16}
    return Recipe(**{**small, "precision": "float32", "device": "cpu", "augmentation": "none", **settings})


def write_csv(path: Path, data: Fer2013) -> Path:
    """Write ``data`` in the form of fer2013.csv."""
    names = ("Training", "PublicTest", "PrivateTest")
    lines = ["emotion,pixels,Usage"]
    for image, label, split in zip(data.faces.images, data.faces.labels, data.splits, strict=True):
        lines.append(f"{label},{' '.join(map(str, image.ravel().tolist()))},{names[split]}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def small_csv(tmp_path) -> Path:
    """Return a small fer2013.csv."""
    return write_csv(tmp_path / "fer2013.csv", make_data())


def exit_code() -> int:
    """Run the command that ``sys.argv`` holds, and return its exit code."""
    from ferkit.cli.main import main

    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


@pytest.fixture
def ferkit(monkeypatch, capsys):
    """Return a function that runs a command in this process and returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["ferkit", *map(str, arguments)])
        code = exit_code()
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def gradients_of(network, faces: Faces, *, quick: bool) -> list:
    """Return what one batch of all ``faces`` teaches each weight of ``network`` in bf16 on the processor."""
    import torch
    from lightning_fabric import Fabric

    from ferkit.training.batches import Batch
    from ferkit.training.descent import Descent
    from ferkit.training.mixing import Mix

    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    model = fabric.setup_module(network.train())
    batch = Batch(torch.from_numpy(faces.images), torch.from_numpy(faces.labels), len(faces))
    Descent(fabric, model, small_recipe(), None, quick=quick)(batch, Mix(1.0), 0)
    return [weight.grad.clone() for weight in network.parameters()]
