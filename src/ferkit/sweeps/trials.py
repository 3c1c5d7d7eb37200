"""What a search is, and what it tells of its trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ferkit.sweeps.search_space import Space
from ferkit.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What makes a search; another number of trials is the same search."""

    recipe: Recipe
    """What all trials have in common."""
    space: Space
    pruner: Literal["asha", "hyperband", "none"] = "asha"
    seed: int = 0
    """Of what the trials are given; they are trained with the recipe's."""

    def to_dict(self) -> dict[str, Any]:
        """Return the setup as plain values."""
        return {
            "recipe": self.recipe.to_dict(),
            "space": {name: dimension.to_dict() for name, dimension in self.space.items()},
            "pruner": self.pruner,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting that was tried, or is."""

    number: int
    """From 0; the name of its folder."""
    state: Literal["finished", "pruned", "failed", "running"]
    accuracy: float | None
    """On PublicTest: of the weights it kept if it is finished, else of its last epoch; ``None`` before the first."""
    epoch: int
    """Epochs that are done."""
    settings: Mapping[str, Any]
    problem: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A trial begins or goes on."""

    trial: Trial
    epochs: int
    """That it is to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """A batch or an epoch of a trial is done."""

    number: int
    share: float
    """Done, in [0, 1]."""
    epoch: int
    """In progress, from 1; done where ``accuracy`` is known."""
    accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A trial is finished, pruned or failed; or it is still ``running``: saved, to go on with."""

    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The search is over, or was stopped."""

    trials: tuple[Trial, ...]
    """All, the best first; then those that were not finished, the farthest first."""
    importance: Mapping[str, float]
    """Share of each setting in the differences between finished trials, by fANOVA; empty where they are too few."""
    recipe: Path | None
    """File of the best trial's recipe; ``None`` where none is finished."""
    elsewhere: int
    """Trials that other processes are training."""
    reason: str
    """Why it stopped before its end; empty where it did not."""
    signal: int
    """Number of the signal that stopped it, 0 if none."""

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best accuracy."""
        return next((trial for trial in self.trials if trial.state == "finished"), None)


Event = Begun | Advanced | Ended | Over
