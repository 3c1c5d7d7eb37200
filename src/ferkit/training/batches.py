"""The batches of a run, each a function of the seed and its position alone.

One loader serves the whole run: item ``i`` is batch ``i % steps`` of epoch ``i // steps``. So a run that stopped after
any batch goes on with the next one, and the loader's processes prepare the next epoch while this one is validated.

Letters: B faces of a batch, H height, W width.
"""

import os
import signal
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ferkit.data.faces import Faces
from ferkit.training.augment import Augment, build_augmentation
from ferkit.training.recipe import Recipe


class Batch(NamedTuple):
    """One process's share of a batch."""

    images: Tensor
    """``(B, H, W)`` uint8."""

    labels: Tensor
    """``(B,)`` int64."""

    total: int
    """Faces of the batch over all processes."""


def steps_per_epoch(faces: int, batch_size: int, processes: int = 1) -> int:
    """Return the number of batches; a last one too small for batch norm (two faces a process) is left out.

    Example:
        >>> steps_per_epoch(28709, 64), steps_per_epoch(129, 64), steps_per_epoch(128, 64)
        (449, 2, 2)
    """
    full, rest = divmod(faces, batch_size)
    return full + (rest >= 2 * processes)


class TrainingBatches(Dataset[Batch]):
    """Every batch of a run: shuffled, cut, augmented."""

    def __init__(self, faces: Faces, recipe: Recipe, rank: int = 0, processes: int = 1) -> None:
        self.faces = faces
        self.recipe = recipe
        self.rank, self.processes = rank, processes
        self.steps = steps_per_epoch(len(faces), recipe.batch_size, processes)
        self.augment: Augment | None = None

    def __len__(self) -> int:
        return self.recipe.epochs * self.steps

    def __getitem__(self, index: int) -> Batch:
        epoch, step = divmod(index, self.steps)
        order = _order(self.recipe.seed, epoch, len(self.faces))
        rows = order[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size]
        mine = rows[self.rank :: self.processes]
        if self.augment is None:  # built where it is used, after the loader's process was started
            self.augment = build_augmentation(self.recipe.augmentation, self.recipe.seed)
        images = np.stack([self.augment(self.faces.images[row], epoch=epoch, sample=int(row)) for row in mine])
        return Batch(torch.from_numpy(images), torch.from_numpy(self.faces.labels[mine]), len(rows))


def load_batches(dataset: TrainingBatches, start: int, workers: int, device: torch.device) -> Iterator[Batch]:
    """Yield the batches from position ``start`` on, on ``device``, prepared ahead by ``workers`` processes."""
    on_gpu = device.type == "cuda"
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=range(start, len(dataset)),
        num_workers=workers,
        prefetch_factor=16 if workers else None,
        pin_memory=on_gpu,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),
    )
    for images, labels, total in loader:
        yield Batch(images.to(device, non_blocking=on_gpu), labels.to(device, non_blocking=on_gpu), total)


def default_workers(device: torch.device) -> int:
    """Return how many processes prepare batches: one beside a CPU that trains, more beside a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device.type == "cuda":
        return max(1, min(8, cores - 1))
    return 1 if cores > 1 else 0


def _start_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's, which stops its helpers itself


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, faces: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(faces)
