"""Everything a run changes as it goes: weights, optimizer, schedule, position and counts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from ferkit.evaluation.metrics import Metrics, metrics_of
from ferkit.labels import NUM_CLASSES
from ferkit.models import build_model
from ferkit.training.optimizers import build_optimizer
from ferkit.training.recipe import Recipe
from ferkit.training.schedule import build_scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one pass over Training did."""

    number: int
    """From 1."""

    lr: float
    """Learning rate of its last batch."""

    train: Metrics
    """Of the augmented faces, as they were trained on."""

    valid: Metrics
    """Of the validation split after the pass."""

    faces_per_second: float
    """Training faces, data included, validation excluded."""

    seconds: float
    """Of training and validation."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON and for a checkpoint."""
        return asdict(self)

    def flat(self) -> dict[str, float]:
        """Return the numbers in one level, by the names they have in ``metrics.csv``, such as ``valid_loss``."""
        values = self.to_dict()
        sides = {f"{side}_{name}": values[side][name] for side in ("train", "valid") for name in values[side]}
        speed = {name: values[name] for name in ("faces_per_second", "seconds")}
        return {"epoch": self.number, "lr": self.lr, **sides, **speed}

    def __str__(self) -> str:
        sides = "; ".join(
            f"{name} loss {m.loss:.4f} accuracy {m.accuracy:.2%} precision {m.precision:.3f} recall {m.recall:.3f} "
            f"F1 {m.f1:.3f}"
            for name, m in (("train", self.train), ("valid", self.valid))
        )
        return f"epoch {self.number}: {sides}; {self.faces_per_second:.0f} faces/s"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Epoch":
        """Return the epoch that :meth:`to_dict` wrote."""
        return cls(**{**values, "train": Metrics(**values["train"]), "valid": Metrics(**values["valid"])})


@dataclass(slots=True)
class Counts:
    """Loss and confusion of the faces seen so far, kept on the device."""

    device: torch.device
    loss_sum: Tensor = field(init=False)
    """Scalar float64: negative log-likelihoods in nats."""
    confusion: Tensor = field(init=False)
    """``(K, K)`` int64: rows true, columns predicted."""

    def __post_init__(self) -> None:
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.confusion = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64, device=self.device)

    def add(self, log_probs_BK: Tensor, labels_B: Tensor) -> None:
        """Count one batch, without waiting for the device."""
        log_probs_BK = log_probs_BK.detach()
        self.loss_sum -= log_probs_BK.gather(1, labels_B[:, None]).sum(dtype=torch.float64)
        cells = labels_B * NUM_CLASSES + log_probs_BK.argmax(1)
        self.confusion.view(-1).scatter_add_(0, cells, torch.ones_like(cells))  # bincount would wait for a GPU

    def metrics(self) -> Metrics:
        """Return what the counts say; at least one face was added."""
        return metrics_of(self.confusion.cpu().numpy(), self.loss_sum.item())


@dataclass(slots=True)
class TrainState:
    """A run in progress; :mod:`ferkit.training.checkpoint` saves and restores all of it.

    Random numbers are not part of it: each is a function of the seed and the position.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | None
    counts: Counts
    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Batches of the epoch in progress that are done."""
    seconds: float = 0.0
    """Spent on the epoch in progress."""
    lr: float = 0.0
    """Learning rate of the last batch."""
    average: AveragedModel | None = None
    """Moving average of the weights, where the recipe asks for one; :mod:`ferkit.training.loop` moves it."""
    history: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch | None:
        """The epoch with the best validation accuracy; the earlier one of equals."""
        return max(self.history, key=lambda epoch: epoch.valid.accuracy, default=None)


def new_state(
    recipe: Recipe,
    steps: int,
    device: torch.device,
    model: nn.Module | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainState:
    """Return the state before the first batch.

    Args:
        recipe: The run's settings; the seed decides the initial weights.
        steps: Batches an epoch.
        device: Where the counts are kept and the weights go.
        model: Trained instead of the recipe's network, for experiments with others.
        weights: The network begins with them, as ``state_dict`` writes them.
    """
    torch.manual_seed(recipe.seed)
    model = model if model is not None else build_model(recipe.model, **recipe.options)
    if weights is not None:
        model.load_state_dict(weights)
    model = model.to(device)
    optimizer = build_optimizer(model, recipe)
    average = None
    if recipe.average > 0:
        average = AveragedModel(model, use_buffers=True)
    scheduler = build_scheduler(optimizer, recipe, steps)
    return TrainState(model, optimizer, scheduler, Counts(device), average=average)
