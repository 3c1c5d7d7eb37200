"""A recipe and a data set to a run folder that explains itself.

recipe.toml          the settings
log.txt              what happened, with times
metrics.csv          a line an epoch
tensorboard/         the same for TensorBoard
checkpoints/last.pt  everything, to go on from
checkpoints/best.pt  the weights of the epoch with the best validation accuracy
weights.safetensors  the weights that were kept
result.json          metrics, protocol, curves, commit, versions, device, seconds; its presence says: finished
"""

import csv
import hashlib
import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from ferkit.data import Fer2013, Split
from ferkit.data.audit import copies_of_training, faces_digest
from ferkit.errors import DataError, RunError, TrainingError
from ferkit.evaluation import evaluate_predictions, predict
from ferkit.files import remove_abandoned, write_text
from ferkit.models import build_model
from ferkit.training import checkpoint
from ferkit.training.batches import default_workers, steps_per_epoch
from ferkit.training.environment import FABRIC_PRECISION, choose_device, choose_precision, describe, keep_freed_memory
from ferkit.training.loop import Step, fit
from ferkit.training.recipe import Recipe, recipe_from_toml
from ferkit.training.state import Epoch, TrainState, new_state
from ferkit.training.stopping import StopRequest

SCHEMA = 1
"""Of ``result.json``."""

SAVE_SECONDS = 120.0
"""Seconds between two checkpoints inside an epoch; one more is written after every epoch."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def read_recipe(self) -> Recipe:
        """Return the recipe of the run.

        Raises:
            RunError: This is not a run folder.
        """
        if not self.recipe.exists():
            raise RunError(f"{self.path}: expected a folder written by `ferkit train`, got one without recipe.toml")
        return recipe_from_toml(self.recipe.read_text(encoding="utf-8"), str(self.recipe))


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run begins or goes on."""

    recipe: Recipe
    device: str
    precision: str
    reason: str
    """Why this precision."""
    processes: int
    workers: int
    steps: int
    """Batches an epoch."""
    epoch: int
    """Epochs that are done."""
    step: int
    """Batches of the next one that are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A run was asked to stop, saved everything and can go on."""

    reason: str
    signal: int
    """Number of the signal that stopped it, 0 if none."""
    epoch: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run is complete."""

    result: dict[str, Any]
    """The content of ``result.json``."""


Event = Started | Step | Epoch | Stopped | Finished


def train(
    recipe: Recipe,
    data: Fer2013,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    devices: int = 1,
    workers: int | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> Iterator[Event]:
    """Train, evaluate and write the run folder; everything happens while the events are consumed.

    Args:
        recipe: The settings.
        data: The data set.
        out: The run folder; made if it is missing.
        resume: Go on with the run in ``out``; a run that never saved begins anew.
        max_minutes: Stop cleanly after so long.
        devices: Processes on this machine, one a device; several train with DDP.
        workers: Processes that prepare batches, for each device; chosen by the device if left out.
        save_seconds: Time between two checkpoints inside an epoch.

    Yields:
        :class:`Started`, then a :class:`Step` a batch and an :class:`Epoch` a pass, at last :class:`Finished` or
        :class:`Stopped`. Only the first process yields.

    Raises:
        RunError: ``out`` holds a run already and ``resume`` is not set, or holds another one.
        DataError: A split the protocol needs is empty.
        TrainingError: The loss is not finite, or memory or disk space ran out; the last checkpoint is intact.
    """
    train_faces, valid_faces = data.split(Split.TRAINING), data.split(recipe.protocol.validation)
    for split, faces in ((Split.TRAINING, train_faces), (recipe.protocol.validation, valid_faces)):
        if len(faces) < 2:
            raise DataError(f"{data.source}: protocol {recipe.protocol} needs faces in {split}, got {len(faces)}")
    folder = RunFolder(out)
    device = choose_device(recipe)
    precision, reason = choose_precision(recipe, device)
    if device == "cpu":
        keep_freed_memory()
    strategy = "ddp" if devices > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=devices, strategy=strategy, precision=FABRIC_PRECISION[precision])  # type: ignore[arg-type]
    fabric.launch()
    going_on = _open(folder, recipe, resume=resume, first=fabric.is_global_zero)
    fabric.barrier()
    steps = steps_per_epoch(len(train_faces), recipe.batch_size, fabric.world_size)
    if steps == 0:
        raise DataError(
            f"{data.source}: expected at least {2 * fabric.world_size} Training faces, got {len(train_faces)}"
        )
    state = new_state(recipe, steps, fabric.device, _synchronised(recipe, fabric))
    digest = faces_digest(train_faces)
    identity = {"recipe": recipe.key(), "seed": recipe.seed, "training faces": digest, "precision": precision}
    if going_on:
        checkpoint.restore(folder.last, state, identity, fabric.global_rank)
    workers = default_workers(fabric.device) if workers is None else workers
    talk = fabric.is_global_zero
    with _logged(folder, active=talk) as log, StopRequest(max_minutes) as stop, _told_plainly(recipe, folder):
        started = Started(
            recipe=recipe,
            device=device,
            precision=precision,
            reason=reason,
            processes=fabric.world_size,
            workers=workers,
            steps=steps,
            epoch=state.epoch,
            step=state.step,
        )
        log.info("%s", started)
        if talk:
            yield started
        saved = time.monotonic()
        for event in fit(fabric, state, recipe, train_faces, valid_faces, workers):
            if talk:
                yield event
            if isinstance(event, Epoch):
                log.info("%s", event)
            wanted = 2 if stop.reason else int(time.monotonic() - saved >= save_seconds or isinstance(event, Epoch))
            wanted = stop.agreed(fabric, wanted)
            if wanted:
                content = checkpoint.snapshot(fabric, state, identity)
                if talk:
                    _save(folder, state, content, log)
                saved = time.monotonic()
            if wanted == 2 and state.epoch < recipe.epochs:
                log.info("stopped: %s", stop.reason)
                if talk:
                    yield Stopped(reason=stop.reason, signal=stop.signal, epoch=state.epoch, step=state.step)
                return
        if talk:
            result = _finish(folder, recipe, data, state, fabric, device=device, precision=precision)
            log.info("finished: %s", json.dumps(result["evaluation"]))
            yield Finished(result=result)


def load_run(path: Path) -> tuple[Recipe, nn.Module]:
    """Return the recipe and the network of a finished run, on the CPU, in evaluation mode.

    Raises:
        RunError: This is not a run folder, the run is not finished, or its weights are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = RunFolder(path)
    recipe = folder.read_recipe()
    if not folder.weights.exists():
        raise RunError(f"{path}: the run is not finished; go on with: ferkit train --resume --out {path} --data CSV")
    model = build_model(recipe.model, **recipe.options)
    try:
        model.load_state_dict(load_file(folder.weights))
    except (SafetensorError, RuntimeError) as error:
        problem = str(error).partition("\n")[0]
        raise RunError(f"{folder.weights}: not the weights of {recipe.model} ({problem})") from None
    return recipe, model.eval()


def _open(folder: RunFolder, recipe: Recipe, *, resume: bool, first: bool) -> bool:
    """Prepare the folder; return whether there is a run to go on with."""
    if folder.recipe.exists():
        if not resume and first:
            raise RunError(
                f"{folder.path}: holds a run already; add --resume to go on with it, or choose another --out"
            )
        if folder.read_recipe() != recipe:
            raise RunError(
                f"{folder.path}: holds a run with other settings; leave out --recipe and --set to go on with it"
            )
    elif first:
        try:
            write_text(folder.recipe, recipe.to_toml())
        except OSError as error:
            raise RunError(f"{folder.path}: cannot be written to ({error.strerror or error})") from None
    if first:
        remove_abandoned(folder.path, older_than=0)
        remove_abandoned(folder.last.parent, older_than=0)
    return folder.last.exists()


def _synchronised(recipe: Recipe, fabric: Fabric) -> nn.Module | None:
    """Return a network whose batch norm sees the whole batch, where several GPUs share it; else ``None``."""
    if fabric.world_size == 1 or fabric.device.type != "cuda":
        return None
    torch.manual_seed(recipe.seed)
    return nn.SyncBatchNorm.convert_sync_batchnorm(build_model(recipe.model, **recipe.options))


def _save(folder: RunFolder, state: TrainState, content: dict[str, Any], log: logging.Logger) -> None:
    checkpoint.save(folder.last, content)
    log.info("saved after epoch %d, batch %d", state.epoch, state.step)
    if state.step or not state.history:
        return
    if state.best is state.history[-1]:
        checkpoint.save(folder.best, {"schema": checkpoint.SCHEMA, "epoch": state.epoch, "model": content["model"]})
    _write_metrics(folder, state.history)


def _write_metrics(folder: RunFolder, history: list[Epoch]) -> None:
    """Write ``metrics.csv`` anew and add the last epoch to the TensorBoard log."""
    from torch.utils.tensorboard import SummaryWriter

    rows = [_flat(epoch) for epoch in history]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder.metrics, text.getvalue())
    with SummaryWriter(str(folder.tensorboard), purge_step=history[-1].number) as board:
        for name, value in rows[-1].items():
            if name != "epoch":
                board.add_scalar(name.replace("_", "/", 1), value, history[-1].number)


def _flat(epoch: Epoch) -> dict[str, float]:
    values = epoch.to_dict()
    sides = {f"{side}_{name}": values[side][name] for side in ("train", "valid") for name in values[side]}
    return {"epoch": epoch.number, "lr": epoch.lr, **sides, **{k: values[k] for k in ("faces_per_second", "seconds")}}


def _finish(
    folder: RunFolder, recipe: Recipe, data: Fer2013, state: TrainState, fabric: Fabric, *, device: str, precision: str
) -> dict[str, Any]:
    """Keep the weights, evaluate them in float32, and write the result last."""
    best = state.best
    assert best is not None
    kept = best.number if recipe.keep == "best" else state.epoch
    model = build_model(recipe.model, **recipe.options)
    model.load_state_dict(checkpoint.load(folder.best if recipe.keep == "best" else folder.last)["model"])
    metadata = {"model": recipe.model, "recipe": recipe.to_toml(), "epoch": str(kept)}
    checkpoint.save_weights(folder.weights, model, metadata)
    result = {
        "schema": SCHEMA,
        "key": recipe.key(),
        "seed": recipe.seed,
        "protocol": recipe.protocol.value,
        "recipe": recipe.to_dict(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "kept_epoch": kept,
        "best_epoch": best.number,
        "evaluation": evaluate_splits(model.to(fabric.device), recipe, data),
        "epochs": [epoch.to_dict() for epoch in state.history],
        "data": {"md5": data.md5, "training": len(data.split(Split.TRAINING))},
        "precision": precision,
        "processes": fabric.world_size,
        **describe(device),
        "seconds": round(sum(epoch.seconds for epoch in state.history), 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "weights_sha256": hashlib.sha256(folder.weights.read_bytes()).hexdigest(),
    }
    write_text(folder.result, json.dumps(result, indent=1) + "\n")
    return result


def evaluate_splits(model: nn.Module, recipe: Recipe, data: Fer2013) -> dict[str, Any]:
    """Return what ``model`` does on the validation and the test split of the recipe's protocol, in float32.

    The test split is read whole and once more without the faces that stand in Training; a split without faces is left out.
    """
    device = next(model.parameters()).device
    found: dict[str, Any] = {}
    for name, split in (("validation", recipe.protocol.validation), ("test", recipe.protocol.test)):
        faces = data.split(split)
        if not len(faces):
            continue
        log_probs = predict(model, faces.images, device)
        found[name] = {"split": split.value, **evaluate_predictions(log_probs, faces.labels).to_dict()}
        if name == "test":
            alone = ~copies_of_training(data, split)
            evaluation = evaluate_predictions(log_probs[alone], faces.labels[alone])
            found["test_without_copies"] = {"split": split.value, **evaluation.to_dict()}
    return found


@contextmanager
def _logged(folder: RunFolder, *, active: bool) -> Iterator[logging.Logger]:
    log = logging.getLogger(f"ferkit.run.{id(folder)}")
    log.propagate = False
    log.setLevel(logging.INFO)
    handler = logging.FileHandler(folder.log, encoding="utf-8") if active else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield log
    except Exception as error:
        log.error("failed: %s", error)  # noqa: TRY400
        raise
    finally:
        log.removeHandler(handler)
        handler.close()


@contextmanager
def _told_plainly(recipe: Recipe, folder: RunFolder) -> Iterator[None]:
    """Turn the many ways of running out of memory or disk space into one line."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"{folder.path}: {error.strerror or error}; the last checkpoint is intact") from None
    except (MemoryError, RuntimeError) as error:
        out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out_of_memory and not any(sign in str(error) for sign in ("can't allocate memory", "out of memory")):
            raise
        raise TrainingError(
            f"out of memory with batches of {recipe.batch_size} faces; the last checkpoint is intact; "
            f"try --set batch_size={max(2, recipe.batch_size // 2)}"
        ) from None
