"""The batches of a run, each a function of the seed and its position alone.

Item ``i`` of a run is batch ``i % steps`` of epoch ``i // steps``, so a run that stopped after any batch goes on with
the next one. There are two ways to the same faces in the same order. With Albumentations one loader serves the whole
run, and its processes prepare the next epoch while this one is validated. With the batched augmentation all faces live
on the device, and no more than positions and draws goes there.

Letters: B faces of a batch, H height, W width.
"""

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
from ferkit.labels import NUM_CLASSES
from ferkit.processors import usable_processors
from ferkit.training.augment import Augment, build_augmentation
from ferkit.training.augment_batched import Draws, augment_batch, draw
from ferkit.training.augment_camera import Pictures, draw_pictures, take_pictures
from ferkit.training.augment_faces import augment_faces, draw_faces
from ferkit.training.recipe import Recipe
from ferkit.training.stopping import SIGNALS

AHEAD = {"cuda": 4096, "cpu": 512}
"""Faces augmented at once: on a GPU a few long kernels instead of many short ones, on a CPU what its caches hold."""


class Batch(NamedTuple):
    """One process's share of a batch."""

    images: Tensor
    """``(B, H, W)`` uint8."""

    labels: Tensor
    """``(B,)`` int64."""

    total: int
    """Faces of the batch over all processes."""

    taught: Tensor | None = None
    """``(B, K)`` float32: the probabilities that teachers give, where there are any."""


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

    def __init__(
        self,
        faces: Faces,
        recipe: Recipe,
        rank: int = 0,
        processes: int = 1,
        taught: NDArray[np.float32] | None = None,
    ) -> None:
        self.faces = faces
        self.taught = taught
        self.recipe = recipe
        self.rank, self.processes = rank, processes
        self.steps = steps_per_epoch(len(faces), recipe.batch_size, processes)
        self.share = len(range(rank, recipe.batch_size, processes))
        """Faces of a full batch that are this process's."""
        self.augment: Augment | None = None
        frequency = np.bincount(faces.labels, minlength=NUM_CLASSES)[faces.labels].astype(np.float64)
        odds = frequency**-recipe.balance
        self._odds = odds / odds.sum()
        self._drawn: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.recipe.epochs * self.steps

    def __getitem__(self, index: int) -> Batch:
        epoch, mine, total = self.rows(index)
        if self.augment is None:  # built where it is used, after the loader's process was started
            self.augment = build_augmentation(self.recipe.augmentation, self.recipe.seed)
        images = np.stack([self.augment(self.faces.images[row], epoch=epoch, sample=int(row)) for row in mine])
        taught = None if self.taught is None else torch.from_numpy(self.taught[mine])
        return Batch(torch.from_numpy(images), torch.from_numpy(self.faces.labels[mine]), total, taught)

    def rows(self, index: int) -> tuple[int, NDArray[np.int64], int]:
        """Return the epoch of a batch, from 0, the positions of this process's faces, and how many all have."""
        epoch, step = divmod(index, self.steps)
        order = self.order(epoch)
        rows = order[step * self.recipe.batch_size : (step + 1) * self.recipe.batch_size]
        return epoch, rows[self.rank :: self.processes], len(rows)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the positions of an epoch's faces, in their order: each once, or rare classes more often."""
        if self.recipe.balance == 0:
            return _order(self.recipe.seed, epoch, len(self.faces))
        if self._drawn[0] != epoch:
            rng = np.random.default_rng([self.recipe.seed, epoch])
            self._drawn = epoch, rng.choice(len(self.faces), len(self.faces), p=self._odds)
        return self._drawn[1]


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
    for images, labels, total, taught in loader:
        there = images.to(device, non_blocking=on_gpu), labels.to(device, non_blocking=on_gpu)
        yield Batch(*there, total, None if taught is None else taught.to(device, non_blocking=on_gpu))


def resident_batches(dataset: TrainingBatches, start: int, device: torch.device) -> Iterator[Batch]:
    """Yield the batches from position ``start`` on, of faces that live on ``device``, augmented there, many at once."""
    images_NHW = torch.from_numpy(dataset.faces.images).to(device)
    labels_N = torch.from_numpy(dataset.faces.labels).to(device)
    taught_NK = None if dataset.taught is None else torch.from_numpy(dataset.taught).to(device)
    several = max(1, AHEAD[device.type] // dataset.share)
    for first in range(start, len(dataset), several):
        parts = [dataset.rows(index) for index in range(first, min(first + several, len(dataset)))]
        sizes = [len(rows) for _, rows, _ in parts]
        rows = torch.from_numpy(np.concatenate([rows for _, rows, _ in parts]))
        there = send(rows, device)
        images = images_NHW[there]
        epochs = torch.tensor([epoch for epoch, _, _ in parts]).repeat_interleave(torch.tensor(sizes))
        if dataset.recipe.augmentation in {"faces", "camera"}:
            fields = draw_faces(dataset.recipe.seed, epochs, rows, dataset.recipe.mirror)
            images = augment_faces(images, send(fields, device))
        if dataset.recipe.augmentation == "camera":
            drawn = draw_pictures(dataset.recipe.seed, epochs, rows)
            images = take_pictures(images, Pictures(*(send(part, device) for part in drawn)))
        if dataset.recipe.augmentation == "report":
            draws = draw(dataset.recipe.seed, epochs, rows)
            images = augment_batch(images, Draws(*(send(part, device) for part in draws)))
        taught = [None] * len(sizes) if taught_NK is None else torch.split(taught_NK[there], sizes)
        shares = zip(torch.split(images, sizes), torch.split(labels_N[there], sizes), parts, taught, strict=True)
        for images_BHW, labels_B, (_, _, total), taught_BK in shares:
            yield Batch(images_BHW, labels_B, total, taught_BK)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return ``values`` on ``device``, on their way there; nobody waits for a GPU."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def default_workers(device: torch.device) -> int:
    """Return how many processes prepare batches: one beside a CPU that trains, more beside a GPU."""
    cores = usable_processors()
    if device.type == "cuda":
        return max(1, min(8, cores - 1))
    return 1 if cores > 1 else 0


def _start_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    for number in SIGNALS:  # sent to the whole group; the trainer stops its helpers itself
        signal.signal(number, signal.SIG_IGN)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, faces: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(faces)
