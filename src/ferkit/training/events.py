"""What a run tells while it goes on."""

from dataclasses import dataclass
from typing import Any

from ferkit.training.compiled import Compiled
from ferkit.training.loop import Step
from ferkit.training.recipe import Recipe
from ferkit.training.state import Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run begins or goes on."""

    recipe: Recipe
    device: str
    precision: str
    reason: str
    """Why this precision."""
    augment_backend: str
    """``albumentations`` or ``batched``."""
    compiling: str
    """Whether the network will be compiled, and why or why not."""
    processes: int
    workers: int
    steps: int
    """Batches an epoch."""
    epoch: int
    """Epochs that are done."""
    step: int
    """Batches of the next one that are done."""

    def __str__(self) -> str:
        options = ", ".join(f"{name} {value}" for name, value in self.recipe.options.items())
        network = f"{self.recipe.model}{f' ({options})' if options else ''}"
        what = ", ".join((network, *self.recipe.others, f"seed {self.recipe.seed}"))
        where = f"{self.device}{f', {self.processes} processes' if self.processes > 1 else ''}"
        begun = f"; going on after epoch {self.epoch}, batch {self.step}" if self.epoch or self.step else ""
        return (
            f"{what}: {self.recipe.epochs} epochs of {self.steps} batches, protocol {self.recipe.protocol}, "
            f"on {where}, precision {self.precision} ({self.reason}), augmentation {self.augment_backend}, "
            f"{self.compiling}{begun}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A run was asked to stop, saved everything and can go on."""

    reason: str
    signal: int
    """Number of the signal that stopped it, 0 if none."""
    epoch: int
    step: int

    def __str__(self) -> str:
        return f"stopped after epoch {self.epoch}, batch {self.step} ({self.reason}), saved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run is complete."""

    result: dict[str, Any]
    """The content of ``result.json``."""

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {values['accuracy']:.2%}" for name, values in self.result["evaluation"].items())
        if self.result.get("peak_share") is None:  # written before it was measured, or measured beside other work
            return f"finished: accuracy {shares}"
        return f"finished: accuracy {shares}; {self.result['peak_share']:.1%} of the peak in {self.result['precision']}"


Event = Started | Compiled | Step | Epoch | Stopped | Finished
