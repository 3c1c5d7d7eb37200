"""Training as a notebook of 2021 would do it: the yardstick for ferkit's speed.

Source: what the report describes, done in the customary way. The CSV is a data frame; every access to a face splits its
pixel string anew, repeats the grey plane three times and runs Albumentations on it; two loader processes, float32,
PyTorch's default layout. Network, augmentations and settings are ferkit's own, so both sides do the same work.

Letters: B batch, H height, W width, K classes.
"""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import would ask the package index for a newer release

import albumentations as A  # noqa: N812
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset

from ferkit.models import build_model
from ferkit.training.augment_report import REPORT
from ferkit.training.optimizers import MOMENTUM
from ferkit.training.recipe import Recipe

WORKERS = 2
"""Loader processes."""


class FrameFaces(Dataset[tuple[Tensor, int]]):
    """Rows of a data frame with the columns ``emotion`` and ``pixels``."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.transform = A.Compose(list(REPORT))

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self.frame.iloc[index]
        grey_HW = np.array(row.pixels.split(), dtype=np.uint8).reshape(48, 48)
        image_HW3 = np.stack([grey_HW] * 3, axis=-1)
        image_HW3 = self.transform(image=image_HW3)["image"]
        return torch.from_numpy(image_HW3).permute(2, 0, 1).float() / 255, int(row.emotion)


def train(csv: Path, recipe: Recipe) -> Iterator[None]:
    """Train one epoch, pausing after every batch.

    Args:
        csv: ``fer2013.csv``.
        recipe: Network, learning rate, weight decay, batch size, epochs of the schedule and seed.
    """
    torch.manual_seed(recipe.seed)
    frame = pd.read_csv(csv)
    faces = FrameFaces(frame[frame.Usage == "Training"].reset_index(drop=True))
    loader = DataLoader(faces, batch_size=recipe.batch_size, shuffle=True, num_workers=WORKERS)
    model = build_model(recipe.model, **recipe.options)
    model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # absent from torch's stubs
    criterion = nn.NLLLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=MOMENTUM, weight_decay=recipe.decay)
    scheduler = OneCycleLR(optimizer, max_lr=recipe.lr, epochs=recipe.epochs, steps_per_epoch=len(loader))
    model.train()
    loss_sum, correct = 0.0, 0
    for images_B3HW, labels_B in loader:
        optimizer.zero_grad()
        log_probs_BK = model(images_B3HW)
        loss = criterion(log_probs_BK, labels_B)
        loss.backward()
        optimizer.step()
        scheduler.step()
        loss_sum += loss.item() * len(labels_B)
        correct += int((log_probs_BK.argmax(1) == labels_B).sum())
        yield
