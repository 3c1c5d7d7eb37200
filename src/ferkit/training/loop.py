"""The training loop: a generator, so that the caller decides what to print, when to save and when to stop.

Lightning Fabric underneath chooses device, precision and processes; the loop itself is plain PyTorch.

Shape letters: B batch, H height, W width, K classes.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ferkit.data.faces import Faces
from ferkit.errors import UntrainableError
from ferkit.evaluation.metrics import Metrics
from ferkit.evaluation.score import BATCH, network_input
from ferkit.training.batches import Batch, TrainingBatches, load_batches, resident_batches
from ferkit.training.compiled import Compiled, SteadyBatches
from ferkit.training.descent import Descent
from ferkit.training.environment import choose_augment_backend
from ferkit.training.mixing import draw_mix
from ferkit.training.recipe import Recipe
from ferkit.training.schedule import steps_each_batch
from ferkit.training.sharpness import Sharpness
from ferkit.training.state import Counts, Epoch, TrainState
from ferkit.training.tuning import untimed

GPU_CHECK = 50
"""Batches between two looks at the loss on a GPU, where each look waits for the device; on a CPU every batch."""

GPU_BATCH = 1024
"""Faces a forward pass of validation on a GPU."""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch is done; the state may be saved here."""

    epoch: int
    """Of the epoch in progress, from 1."""

    step: int
    """Batches of it that are done."""

    steps: int
    """Batches an epoch."""


def fit(
    fabric: Fabric,
    state: TrainState,
    recipe: Recipe,
    train: Faces,
    valid: Faces,
    *,
    workers: int = 0,
    compile_mode: str = "",
    taught: NDArray[np.float32] | None = None,
    teachers: nn.Module | None = None,
    graphs: bool = True,
) -> Iterator[Compiled | Step | Epoch]:
    """Train ``state`` in place from wherever it stands, pausing after every batch and every epoch.

    Args:
        fabric: Launched; its processes share each batch.
        state: Fresh or restored.
        recipe: The run's settings.
        train: Training faces.
        valid: Validation faces.
        workers: Processes that prepare batches, where Albumentations does.
        compile_mode: Of torch.compile, such as ``reduce-overhead``, which records CUDA graphs; empty not to compile.
        taught: ``(N, K)`` probabilities of the Training faces that are learnt beside their labels, if any.
        teachers: Returns such probabilities, ``(B, K)``, of what the network sees; asked about every batch.
        graphs: Record CUDA graphs of a batch, where one GPU trains alone; never together with torch.compile, CutMix or
            sharpness-aware steps.

    Yields:
        A :class:`Compiled` first where asked to compile, or where a batch could not be recorded, a :class:`Step` a
        batch and an :class:`Epoch` a pass; stop iterating to stop early.

    Raises:
        UntrainableError: The loss is not finite; the message says where.
    """
    dataset = TrainingBatches(train, recipe, fabric.global_rank, fabric.world_size, taught)
    start = state.epoch * dataset.steps + state.step
    batches = _batches(dataset, start, workers, fabric.device)
    steady = SteadyBatches(state.model, dataset.share, compile_mode) if compile_mode else None
    model, optimizer = fabric.setup(steady or state.model, state.optimizer)
    if steady:
        yield steady.warm_up(fabric, model)
    compiled = steady is not None and steady.ready
    recorded = graphs and not compiled and _recordable(fabric, recipe)
    descend = Descent(fabric, model, recipe, teachers, dataset.share if recorded else 0, quick=not compiled)
    follow = _follow(state, recipe.average)
    sharpness = Sharpness(state.model, recipe.sam) if recipe.sam > 0 else None
    seen = _on_device(fabric, valid)
    watch = _LossWatch(fabric.device)
    while state.epoch < recipe.epochs:
        began = time.perf_counter() - state.seconds
        model.train()
        while state.step < dataset.steps:
            batch = next(batches)
            position = recipe.seed, state.epoch, state.step, fabric.global_rank
            mix = draw_mix(recipe.mixup, recipe.cutmix, batch.images.shape[1], _seed(*position, "mixup"))
            loss, log_probs_BK = descend(batch, mix, _seed(*position))
            if sharpness:
                sharpness.climb()
                descend(batch, mix, _seed(*position))
                sharpness.descend()
            optimizer.step()
            follow()
            state.lr = state.optimizer.param_groups[0]["lr"]
            if state.scheduler and steps_each_batch(recipe):
                state.scheduler.step()
            state.counts.add(log_probs_BK, mix.main_labels(batch.labels))
            state.step += 1
            state.seconds = time.perf_counter() - began
            watch.look(loss, state, last=state.step == dataset.steps)
            if problem := descend.new_problem():
                yield Compiled(0.0, problem, "a CUDA graph of a batch")
            yield Step(state.epoch + 1, state.step, dataset.steps)
        if state.scheduler and not steps_each_batch(recipe):
            state.scheduler.step()
        trained = time.perf_counter() - began
        counts = reduced(fabric, state.counts)
        _agree(fabric, state.average)
        state.epoch += 1
        epoch = Epoch(
            number=state.epoch,
            lr=state.lr,
            train=counts.metrics(),
            valid=_validate(fabric, state.average.module if state.average else model, *seen),
            faces_per_second=int(counts.confusion.sum()) / trained,
            seconds=time.perf_counter() - began,
        )
        _check_losses(epoch)
        state.history.append(epoch)
        state.step, state.seconds, state.counts = 0, 0.0, Counts(fabric.device)
        yield epoch


def reduced(fabric: Fabric, counts: Counts) -> Counts:
    """Return the sum of the counts of all processes; every process must call it."""
    total = Counts(fabric.device)
    total.loss_sum = cast("Tensor", fabric.all_reduce(counts.loss_sum.clone(), reduce_op="sum"))
    total.confusion = cast("Tensor", fabric.all_reduce(counts.confusion.clone(), reduce_op="sum"))
    return total


def _batches(dataset: TrainingBatches, start: int, workers: int, device: torch.device) -> Iterator[Batch]:
    if choose_augment_backend(dataset.recipe) == "batched":
        return resident_batches(dataset, start, device)
    return load_batches(dataset, start, workers, device)


def _recordable(fabric: Fabric, recipe: Recipe) -> bool:
    """Return whether every batch of the usual size is the same work, on one GPU."""
    alone = fabric.device.type == "cuda" and fabric.world_size == 1
    return alone and recipe.cutmix == 0 and recipe.sam == 0


def _follow(state: TrainState, decay: float) -> Callable[[], None]:
    """Return what moves the average of the weights, where there is one, after each update of them.

    As ``update_parameters`` of torch's averages does, in few kernels and without waiting for a GPU. What batch norm
    counts is taken over, not averaged, whose fractions would be cut off: no prediction depends on it.
    """
    average = state.average
    if average is None:
        return lambda: None
    pairs = list(zip(average.module.state_dict().values(), state.model.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def move() -> None:
        first = int(average.n_averaged) == 0
        torch._foreach_lerp_([ours for ours, _ in floats], [now for _, now in floats], 1.0 if first else 1 - decay)
        if counts:
            torch._foreach_copy_([ours for ours, _ in counts], [now for _, now in counts])
        average.n_averaged += 1

    return move


def _agree(fabric: Fabric, average: AveragedModel | None) -> None:
    """Give every process what the first one averaged of its batch norms: they see other faces in each; it is saved."""
    if average is not None and fabric.world_size > 1:
        for buffer in average.module.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _on_device(fabric: Fabric, faces: Faces) -> tuple[Tensor, Tensor]:
    """Return images and labels of this process's share."""
    mine = faces[fabric.global_rank :: fabric.world_size]
    return torch.from_numpy(mine.images).to(fabric.device), torch.from_numpy(mine.labels).to(fabric.device)


@torch.no_grad()
@untimed()
def _validate(fabric: Fabric, model: nn.Module, images_NHW: Tensor, labels_N: Tensor) -> Metrics:
    model.eval()
    counts = Counts(fabric.device)
    size = GPU_BATCH if fabric.device.type == "cuda" else BATCH
    for start in range(0, len(labels_N), size):
        with fabric.autocast():  # the network's own, where Fabric did not wrap it: the average of the weights
            log_probs_BK = model(network_input(images_NHW[start : start + size]))
        counts.add(log_probs_BK, labels_N[start : start + size])
    return reduced(fabric, counts).metrics()


def _check_losses(epoch: Epoch) -> None:
    """Raise an UntrainableError where the last update broke the network: no batch after it would show that."""
    for name, loss in (("training", epoch.train.loss), ("validation", epoch.valid.loss)):
        if not math.isfinite(loss):
            raise UntrainableError(
                f"the {name} loss is {loss} after epoch {epoch.number}, learning rate {epoch.lr:.3g}; "
                "training stopped; a smaller lr may help"
            )


class _LossWatch:
    """Notices a loss that is not finite, on a GPU without waiting for it every batch."""

    def __init__(self, device: torch.device) -> None:
        self.every = GPU_CHECK if device.type == "cuda" else 1
        self.losses: list[tuple[int, float, Tensor]] = []

    def look(self, loss: Tensor, state: TrainState, *, last: bool) -> None:
        self.losses.append((state.step, state.lr, loss))
        if len(self.losses) < self.every and not last:
            return
        values = torch.stack([value for _, _, value in self.losses]).tolist()
        for (step, rate, _), value in zip(self.losses, values, strict=True):
            if not math.isfinite(value):
                raise UntrainableError(
                    f"the loss is {value} at batch {step} of epoch {state.epoch + 1}, learning rate {rate:.3g}; "
                    "training stopped; a smaller lr may help"
                )
        self.losses.clear()


def _seed(*position: int | str) -> int:
    return int.from_bytes(hashlib.blake2b(repr(position).encode(), digest_size=7).digest())
