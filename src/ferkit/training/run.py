"""A recipe and a data set to a finished run folder, saved all along the way."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from ferkit.data import Fer2013, Split
from ferkit.data.audit import faces_digest
from ferkit.errors import RunError, TrainingError
from ferkit.files import file_sha256, replacing, write_json
from ferkit.models import build_model
from ferkit.models.flops import training_flops
from ferkit.training import checkpoint
from ferkit.training.batches import default_workers, steps_per_epoch
from ferkit.training.board import board
from ferkit.training.compiled import Compiled, check_choice, choose_compile
from ferkit.training.environment import FABRIC_PRECISION, choose_augment_backend, choose_device, choose_precision
from ferkit.training.evaluate import evaluate_splits
from ferkit.training.events import Event, Finished, Started, Stopped
from ferkit.training.folder import RunFolder
from ferkit.training.loop import GPU_CHECK, Step, fit
from ferkit.training.needs import ALONE, Others, beginning, check_splits, own_faces
from ferkit.training.recipe import Recipe
from ferkit.training.result import SCHEMA, fits
from ferkit.training.speed import peak_flops, peak_share
from ferkit.training.state import Epoch, new_state
from ferkit.training.stopping import StopRequest
from ferkit.training.surroundings import describe
from ferkit.training.teaching import Teachers, keep_teachers, load_teachers, read_lesson, write_lesson
from ferkit.training.telling import logged, told_plainly
from ferkit.training.tuning import exact_float32, keep_freed_memory, tune_gpu

SAVE_SECONDS = 120.0
"""Seconds between two checkpoints inside an epoch; one more is written after every epoch."""

SETTLE_SECONDS = 0.1
"""Given to the threads of several processes when one of them has failed."""


def train(
    recipe: Recipe,
    data: Fer2013,
    out: str | Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    devices: int = 1,
    workers: int | None = None,
    save_seconds: float = SAVE_SECONDS,
    compiling: str = "auto",
    others: Others = ALONE,
    stop: StopRequest | None = None,
    peak: float | None = None,
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
        others: What the recipe's teachers, votes and ``init`` give, as :func:`ferkit.training.needs.ask_others` returns
            it; kept in ``out``, so that a run goes on without.
        stop: Asked in place of one of the run's own and ``max_minutes``; the caller has entered it.
        peak: Floating-point operations a second of the device in the run's precision, where the run shares it with
            others and so cannot measure it at its end.
        compiling: When to use torch.compile: auto, on or off, which launches every kernel by itself, too; no setting of
            the recipe, as it changes only last bits.

    Yields:
        :class:`Started`, :class:`Compiled` where asked to compile or where a batch could not be recorded, a
        :class:`Step` a batch and an :class:`Epoch` a pass, which is saved by then, at last :class:`Finished` or
        :class:`Stopped`. Only the first process yields.

    Raises:
        RunError: ``out`` holds a run already and ``resume`` is not set, or holds another one; another process trains
            there; the weights it is to begin with are missing or of another network; or those of a finished run are
            gone, and its checkpoint does not give the same ones.
        RecipeError: A batch is too small for the processes, or there is no such device.
        DataError: A split the protocol needs is empty, or Training has too few faces.
        UnknownNameError: There is no such choice of ``compiling``.
        TrainingError: The loss is not finite, memory or disk space ran out, or a process of the run has gone; the last
            checkpoint is intact.
    """
    asked: AbstractContextManager[StopRequest] = StopRequest(max_minutes) if stop is None else nullcontext(stop)
    check_splits(recipe, data)
    check_choice(compiling)
    folder = RunFolder(Path(out))
    folder.check(recipe, resume=resume)
    if (result := _result(folder, recipe, data)) is not None:
        yield Finished(result=result)
        return
    weights = beginning(recipe, folder, data.split(Split.TRAINING), others)
    own = own_faces(recipe, data, devices)
    device = choose_device(recipe.device)
    if device == "cpu":
        keep_freed_memory()
    else:
        tune_gpu()
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    with folder.alone() if first else nullcontext():
        if first:
            folder.check(recipe, resume=resume)  # another process may have begun it a moment ago
        saved = checkpoint.load_state(folder.last) if folder.last.exists() else None
        precision, reason = choose_precision(recipe.precision, device)
        begun = precision if saved is None else str(saved["identity"]["precision"])
        if recipe.precision == "auto" and begun != precision:
            precision, reason = begun, "as the run began"  # on another machine
        fabric = _launch(device, devices, precision)
        if first:
            folder.prepare(recipe)
            if others.lesson is not None and not folder.lesson.exists():
                write_lesson(folder, others.lesson)
            if recipe.follows:
                keep_teachers(folder, others.teachers)
        fabric.barrier()
        with _parting(fabric), logged(folder, active=first) as log, told_plainly(recipe, folder), asked as request:
            run = _Run(
                recipe=recipe,
                data=data,
                own=own,
                folder=folder,
                fabric=fabric,
                log=log,
                saved=saved,
                precision=precision,
                weights=weights,
                peak=peak,
            )
            workers = default_workers(fabric.device) if workers is None else workers
            with board(folder, run.state.history) if first else nullcontext(_ignore) as add:
                for event in run.events(request, reason, workers, save_seconds, compiling):
                    if not isinstance(event, Step):
                        log.info("%s", event)
                    if isinstance(event, Epoch):
                        add(event)
                    if first:
                        yield event


def _result(folder: RunFolder, recipe: Recipe, data: Fer2013) -> dict[str, Any] | None:
    """Return the result of a run that is finished, whose weights are there and whole; None of others.

    Raises:
        RunError: It was evaluated on other faces, or its weights are gone or damaged and its checkpoint does not give
            them anew.
    """
    if not folder.result.exists():
        return None
    result = folder.read_result()
    if not fits(result, data, *Split):
        raise RunError(f"{folder.path}: the run is finished, with other faces than those of {data.source}")
    there = folder.weights.exists()
    if not there or (file_sha256(folder.weights) != result["weights_sha256"] and folder.last.exists()):
        with replacing(folder.weights) as part:
            _keep_weights(folder, recipe, int(result["kept_epoch"]), part)
            if file_sha256(part) != result["weights_sha256"]:
                what = f"{folder.weights.name} is {'damaged' if there else 'gone'}"
                problem = f"is finished, but {what}, and its checkpoint gives other weights"
                raise RunError(f"{folder.path}: {problem}")
    return result


def _keep_weights(folder: RunFolder, recipe: Recipe, epoch: int, file: Path) -> nn.Module:
    """Write the weights a run keeps, those of ``epoch``, to ``file``, and return the network that has them."""
    model = build_model(recipe.model, **recipe.options)
    source = folder.best if recipe.keep == "best" else folder.last
    done = [folder.last.parent.name, *([folder.result.name] if folder.result.exists() else [])]
    helps = f"delete {' and '.join(done)} in {folder.path}, and the run starts again from its beginning"
    model.load_state_dict(checkpoint.kept_weights(checkpoint.load(source, helps)))
    checkpoint.save_weights(file, model, {"recipe": recipe.to_dict(), "epoch": epoch})
    return model


class _Run:
    """One run while it runs, in one of its processes."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        data: Fer2013,
        own: NDArray[np.bool_],
        folder: RunFolder,
        fabric: Fabric,
        log: logging.Logger,
        saved: dict[str, Any] | None,
        precision: str,
        weights: Mapping[str, Tensor] | None,
        peak: float | None,
    ) -> None:
        self.recipe, self.data, self.folder, self.fabric, self.log = recipe, data, folder, fabric, log
        self.device, self.precision, self.peak = fabric.device.type, precision, peak
        self.backend = choose_augment_backend(recipe)
        self.flops = training_flops(recipe.model, **recipe.options) * (2 if recipe.sam > 0 else 1)
        self.compiled = False
        self.surroundings = describe(self.device)  # now: a checkout may change while a run goes on
        self.train = data.split(Split.TRAINING)
        self.valid = data.split(recipe.protocol.validation)
        self.taught: NDArray[np.float32] | None = None
        self.teachers: Teachers | None = None
        if recipe.follows:
            self.teachers = load_teachers(folder, recipe.teachers).to(fabric.device)
        elif recipe.advisers:
            self.taught = read_lesson(folder, recipe.advisers, self.train).probabilities
        if not own.all():
            self.train = self.train[own]
            self.taught = None if self.taught is None else self.taught[own]
        self.steps = steps_per_epoch(len(self.train), recipe.batch_size, fabric.world_size)
        self.state = new_state(recipe, self.steps, fabric.device, _synchronised(recipe, fabric), weights)
        self.identity = {
            "recipe": recipe.key(),
            "seed": recipe.seed,
            "precision": precision,
            "augmentation backend": self.backend,
            "training faces": faces_digest(self.train),
            "validation faces": faces_digest(self.valid),
            "number of processes": fabric.world_size,
        }
        if saved is not None:
            checkpoint.restore(saved, self.state, self.identity, folder.last, fabric.global_rank)
            self.surroundings["threads"] = torch.get_num_threads()
            if fabric.is_global_zero and self.state.history:  # it may have been killed, or the disk full, before it had
                folder.write_metrics(self.state.history)
                if self.just_best:
                    self.keep_best(saved)
        elif recipe.init:
            self.save()  # from here on the run needs the other one no more

    def events(
        self, stop: StopRequest, reason: str, workers: int, save_seconds: float, compiling: str
    ) -> Iterator[Event]:
        """Train to the end or to the stop; every process runs this to its end."""
        ahead = (self.recipe.epochs - self.state.epoch) * len(self.train) * self.flops / self.fabric.world_size
        compile_it, why = choose_compile(compiling, self.device, ahead)
        yield Started(
            recipe=self.recipe,
            device=self.device,
            precision=self.precision,
            reason=reason,
            augment_backend=self.backend,
            compiling=f"{'compiled' if compile_it else 'not compiled'} ({why})",
            processes=self.fabric.world_size,
            workers=0 if self.backend == "batched" else workers,
            steps=self.steps,
            epoch=self.state.epoch,
            step=self.state.step,
        )
        saved = time.monotonic()
        mode = "default" if compile_it else ""
        training = fit(
            self.fabric,
            self.state,
            self.recipe,
            self.train,
            self.valid,
            workers=workers,
            compile_mode=mode,
            taught=self.taught,
            teachers=self.teachers,
            graphs=compiling != "off",
        )
        for event in training:
            if isinstance(event, Epoch):  # before it is shown, as who shows it may fail
                self.save()
                saved = time.monotonic()
            yield event
            if isinstance(event, Compiled):
                self.compiled = not event.problem
                continue
            if self._between_agreements(event):
                continue
            due = time.monotonic() - saved >= save_seconds
            wanted = stop.agreed(self.fabric, _STOP if stop.reason else _SAVE if due else 0)
            if wanted and isinstance(event, Step):
                self.save()
                saved = time.monotonic()
            if wanted == _STOP and self.state.epoch < self.recipe.epochs:
                yield Stopped(reason=stop.reason, signal=stop.signal, epoch=self.state.epoch, step=self.state.step)
                return
        if self.fabric.is_global_zero:
            yield Finished(result=self.finish())

    def _between_agreements(self, event: Step | Epoch) -> bool:
        """Return whether several GPUs, which would wait for each other to agree, leave it for a later batch."""
        several = self.fabric.world_size > 1 and self.device == "cuda"
        return several and isinstance(event, Step) and event.step % GPU_CHECK != 0

    def save(self) -> None:
        """Write the checkpoints and, after an epoch, its metrics."""
        content = checkpoint.snapshot(self.fabric, self.state, self.identity)
        if not self.fabric.is_global_zero:
            return
        state = self.state
        checkpoint.save(self.folder.last, content)
        if self.just_best:
            self.keep_best(content)
        if state.step == 0 and state.history:
            self.folder.write_metrics(state.history)
        self.log.info("saved after epoch %d, batch %d", state.epoch, state.step)

    @property
    def just_best(self) -> bool:
        """Whether the last thing that happened was the end of the best epoch so far."""
        return self.state.step == 0 and bool(self.state.history) and self.state.best is self.state.history[-1]

    def keep_best(self, content: dict[str, Any]) -> None:
        """Keep the weights of ``content``, the checkpoint that has just been written, as those of the best epoch."""
        best = {"schema": checkpoint.SCHEMA, "epoch": self.state.epoch, "model": checkpoint.kept_weights(content)}
        checkpoint.save(self.folder.best, best)

    def finish(self) -> dict[str, Any]:
        """Keep the weights, evaluate them in float32, write the result last, and return it."""
        recipe, folder, best = self.recipe, self.folder, self.state.best
        assert best is not None
        kept = best.number if recipe.keep == "best" else self.state.epoch
        model = _keep_weights(folder, recipe, kept, folder.weights)
        with exact_float32():
            evaluation, log_probs = evaluate_splits(model.to(self.fabric.device), recipe, self.data)
        folder.write_predictions(log_probs)
        splits = {Split.TRAINING.value, *(part["split"] for part in evaluation.values())}
        result = {
            "schema": SCHEMA,
            "key": recipe.key(),
            "seed": recipe.seed,
            "protocol": recipe.protocol.value,
            "recipe": recipe.to_dict(),
            "parameters": sum(p.numel() for p in model.parameters()),
            "kept_epoch": kept,
            "best_epoch": best.number,
            "evaluation": evaluation,
            "epochs": [epoch.to_dict() for epoch in self.state.history],
            "data": {
                "md5": self.data.md5,
                "training": len(self.train),
                "faces_sha256": {s: faces_digest(self.data.split(Split(s))) for s in sorted(splits)},
            },
            "precision": self.precision,
            "augment_backend": self.backend,
            "compiled": self.compiled,
            **self.speed(),
            "processes": self.fabric.world_size,
            **self.surroundings,
            "seconds": round(sum(epoch.seconds for epoch in self.state.history), 1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights_sha256": file_sha256(folder.weights),
        }
        write_json(folder.result, result)
        return result

    def speed(self) -> dict[str, Any]:
        """Return what share of the device's peak the run got out of it, in the middle one of its epochs."""
        usual = median(epoch.faces_per_second for epoch in self.state.history)
        peak = self.peak or peak_flops(self.device, self.precision)
        share = peak_share(self.flops, usual, peak, self.fabric.world_size)
        return {
            "flops_per_face": self.flops,
            "peak_flops": round(peak),
            "peak_share": None if share is None else round(share, 4),
        }


_SAVE, _STOP = 1, 2


def _ignore(_: Epoch) -> None:
    """Stand in for the TensorBoard log in all processes but the first."""


def _launch(device: str, devices: int, precision: str) -> Fabric:
    """Return Fabric with all its processes running; the others run this program from its start up to here."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    strategy = "ddp" if devices > 1 else "auto"
    named: Any = FABRIC_PRECISION[precision]
    fabric = Fabric(accelerator=device, devices=devices, strategy=strategy, precision=named)
    fabric.launch()
    return fabric


@contextmanager
def _parting(fabric: Fabric) -> Iterator[None]:
    """Leave the other processes, if any: threads that talk to them, left running, would end this one by abort().

    After a failure it stays, as it might wait for ever for one that lets go of a tensor; they have a moment to do so.
    """
    try:
        yield
    except TrainingError:
        if fabric.world_size > 1:
            time.sleep(SETTLE_SECONDS)
        raise
    if fabric.world_size > 1:
        torch.distributed.destroy_process_group()


def _synchronised(recipe: Recipe, fabric: Fabric) -> nn.Module | None:
    """Return a network whose batch norm sees the whole batch, where several GPUs share it; else ``None``."""
    if fabric.world_size == 1 or fabric.device.type != "cuda":
        return None
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model, **recipe.options)
    synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return synchronised
