"""A run folder: where its parts lie, and how they are read and written.

recipe.toml          the settings
log.txt              what happened, with times
metrics.csv          a line an epoch
tensorboard/         the same for TensorBoard
checkpoints/last.pt  everything, to go on from
checkpoints/best.pt  the weights of the epoch with the best validation accuracy
weights.safetensors  the weights that were kept
lesson.npz           what the teachers of a student say of Training, where it has any
teachers/            the teachers themselves, where they are asked about every batch
predictions.npz      log-probabilities (N, K) of validation and test, in the order of the data set
.training.lock       held while a process trains here
result.json          metrics, protocol, curves, commit, versions, device, seconds; its presence says: finished
report.html          the same for people
"""

import csv
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from ferkit.errors import RunError
from ferkit.files import remove_abandoned, replacing, write_text
from ferkit.models import build_model
from ferkit.training.recipe import WEIGHTS_DIGITS, Recipe
from ferkit.training.recipe_text import recipe_from_toml
from ferkit.training.result import WHOLE, load_result
from ferkit.training.state import Epoch

PATIENCE = 20.0
"""Seconds to wait for the helpers of a training process that was killed; they hold on to its folder for a moment."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder ``path``; its parts are named in the module's docstring."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The settings, ``recipe.toml``."""
        return self.path / "recipe.toml"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        """The weights with the best validation accuracy so far."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def weights(self) -> Path:
        """The weights that were kept, once the run is finished."""
        return self.path / "weights.safetensors"

    @property
    def result(self) -> Path:
        """What the run came to, once it is finished."""
        return self.path / "result.json"

    @property
    def network_files(self) -> tuple[Path, Path, Path]:
        """What makes a run folder a trained network elsewhere; the last one says that the others are there."""
        return self.recipe, self.weights, self.result

    @property
    def predictions(self) -> Path:
        """What the network says of every face it was evaluated on."""
        return self.path / "predictions.npz"

    @property
    def lesson(self) -> Path:
        """What the run's teachers say of Training, where it has any."""
        return self.path / "lesson.npz"

    @property
    def teachers(self) -> Path:
        """Run folders of the networks that are asked about every batch, each by its name."""
        return self.path / "teachers"

    @property
    def metrics(self) -> Path:
        """What each epoch came to."""
        return self.path / "metrics.csv"

    @property
    def board(self) -> Path:
        """Folder of the TensorBoard log."""
        return self.path / "tensorboard"

    @property
    def log(self) -> Path:
        """What happened."""
        return self.path / "log.txt"

    def read_recipe(self) -> Recipe:
        """Return the recipe of the run.

        Raises:
            RunError: This is not a run folder.
        """
        if not self.recipe.exists():
            got = "one without recipe.toml" if self.path.is_dir() else "a file" if self.path.exists() else "nothing"
            raise RunError(f"{self.path}: expected a folder written by `ferkit train`, got {got}")
        try:
            text = self.recipe.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise RunError(f"{self.recipe}: expected a recipe in UTF-8, got something else") from None
        return recipe_from_toml(text, str(self.recipe))

    def read_result(self, fields: Iterable[str] = WHOLE) -> dict[str, Any]:
        """Return the content of ``result.json``.

        Args:
            fields: Which of them the caller reads; others may be missing.

        Raises:
            RunError: This is not a run folder, the run is not finished, or its result is damaged; or its network was
                not trained here, and the caller reads how it was.
        """
        self.read_recipe()
        if not self.result.exists():
            raise RunError(
                f"{self.path}: the run is not finished; go on with: ferkit train --resume --out {self.path} --data CSV"
            )
        if "epochs" in fields and load_result(self.result, ()).get("reopened"):
            raise RunError(f"{self.path}: holds a network that tools/reopen.py made of a file; no run trained it")
        return load_result(self.result, fields)

    def network(self) -> str:
        """Return how a recipe names the network of this run.

        Raises:
            RunError: The run is not finished, or its result is damaged.
        """
        return str(self.read_result(("weights_sha256",))["weights_sha256"])[:WEIGHTS_DIGITS]

    def write_predictions(self, log_probs: dict[str, NDArray[np.float32]]) -> None:
        """Write ``(N, K)`` log-probabilities; the keys are ``validation`` and ``test``."""
        with replacing(self.predictions) as part, part.open("wb") as sink:
            np.savez(sink, allow_pickle=False, **log_probs)

    def read_predictions(self, name: str) -> NDArray[np.float32]:
        """Return the ``(N, K)`` log-probabilities of ``validation`` or ``test``.

        Raises:
            RunError: There are none, or the file is damaged.
        """
        try:
            with np.load(self.predictions, allow_pickle=False) as kept:
                log_probs: NDArray[np.float32] = kept[name]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
            raise RunError(f"{self.predictions}: not the predictions of a run ({type(error).__name__})") from None
        return log_probs

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Raise a RunError where the folder is not the given run's to write to."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: expected a folder for the run, got a file")
        if not self.recipe.exists():
            for part in (self.last, self.best, self.weights, self.result, self.predictions, self.metrics):
                if part.exists():
                    raise RunError(
                        f"{self.path}: holds {part.name} but no recipe.toml, so it is unknown of which run; "
                        "choose another --out"
                    )
            return
        if not resume:
            raise RunError(f"{self.path}: holds a run already; add --resume to go on with it, or choose another --out")
        if self.read_recipe() != recipe:
            raise RunError(
                f"{self.path}: holds a run with other settings; leave out --recipe and --set to go on with it"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and keep other processes from training in it.

        Raises:
            RunError: Another process trains here, or the folder cannot be written to.
        """
        lock = FileLock(self.path / ".training.lock", thread_local=False)
        with self.writing():
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=PATIENCE)
            except Timeout:
                holder = "another process, or an open train(...) of this one, trains in this folder"
                raise RunError(f"{self.path}: {holder} and holds .training.lock; wait for it or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def prepare(self, recipe: Recipe) -> None:
        """Write the recipe, remove what a killed run left half-written.

        Raises:
            RunError: The folder cannot be written to.
        """
        with self.writing():
            if not self.recipe.exists():
                write_text(self.recipe, recipe.to_toml())
            remove_abandoned(self.path, older_than=0)
            remove_abandoned(self.last.parent, older_than=0)

    def forget(self) -> None:
        """Let another run begin here, where this one ended before it had saved anything."""
        for file in (self.recipe, self.lesson, self.best, self.metrics):
            file.unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what keeps a file from being written into a RunError."""
        try:
            yield
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written to ({error.strerror or error})") from None

    def write_metrics(self, history: list[Epoch]) -> None:
        """Write ``metrics.csv`` anew; ``history`` holds at least one epoch."""
        rows = [epoch.flat() for epoch in history]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.metrics, text.getvalue())

    def read_metric(self, name: str) -> list[float]:
        """Return a column of ``metrics.csv``: a number for each epoch that is done.

        Raises:
            RunError: The file is damaged.
        """
        try:
            with self.metrics.open(newline="", encoding="utf-8") as lines:
                return [float(line[name]) for line in csv.DictReader(lines)]
        except FileNotFoundError:  # stopped inside the first epoch
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.metrics}: not the metrics of a run ({type(error).__name__})") from None


def load_run(path: str | Path) -> tuple[Recipe, nn.Module]:
    """Return the recipe and the network of a finished run, on the CPU, in evaluation mode.

    Raises:
        RunError: This is not a run folder, the run is not finished, or its weights are missing, damaged or
            another run's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = RunFolder(Path(path))
    result = folder.read_result(("weights_sha256",))
    recipe = folder.read_recipe()
    again = f"; made again of the checkpoint by: ferkit train --resume --out {path} --data CSV"
    again = again if folder.last.exists() else ""
    if not folder.weights.exists():
        raise RunError(f"{folder.weights}: no such file{again}")
    model = build_model(recipe.model, **recipe.options)
    try:
        content = folder.weights.read_bytes()
        model.load_state_dict(load(content))
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = str(error).partition("\n")[0]
        raise RunError(f"{folder.weights}: not the weights of {recipe.model} ({problem}){again}") from None
    if hashlib.sha256(content).hexdigest() != result["weights_sha256"] and not result.get("reopened"):
        raise RunError(f"{folder.weights}: damaged, or of another run: not the weights that result.json names{again}")
    return recipe, model.eval()
