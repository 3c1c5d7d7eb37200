"""How long a run will take, from finished ones on a machine like this.

Two ways, and no third: runs of the same settings say it; failing them, runs of the same network with other options,
those nearest in size, scaled by counted floating-point operations. Where there is neither, nothing is said.
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ferkit.errors import FerkitError
from ferkit.models.flops import forward_flops
from ferkit.report.results import Run
from ferkit.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds a run will take."""

    seconds: float

    scaled: bool
    """From runs with other settings, by counted operations; so much rougher."""

    def part(self, share: float) -> "Estimate":
        """Return the estimate of a part of the run, ``share`` in [0, 1]."""
        return Estimate(seconds=self.seconds * share, scaled=self.scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where runs are to happen, as far as it decides how long they take."""

    device: str
    """As ``result.json`` names it; runs of other devices say nothing here."""

    on_gpu: bool

    threads: int
    """Of one run, where the device is a processor."""


class Estimates:
    """Asks finished runs how long another will take."""

    def __init__(self, finished: Iterable[Run], machine: Machine, faces: int) -> None:
        """Remember the speeds of finished runs.

        Args:
            finished: Runs of any machine; those of another device are left out.
            machine: Where the run in question will happen.
            faces: Training faces of the data set.
        """
        self._faces = faces
        self._same: dict[tuple[str, str], list[float]] = {}  # (key, precision) -> operations a second
        self._like: dict[tuple[str, str], list[tuple[int, float]]] = {}  # -> operations a face, operations a second
        for run in finished:
            speed = _speed(run.content, machine)
            if speed is not None:
                precision = str(run.content["precision"])
                self._same.setdefault((run.key, precision), []).append(speed)
                recipe = run.content["recipe"]
                size = forward_flops(recipe["model"], **recipe["options"])
                self._like.setdefault((str(recipe["model"]), precision), []).append((size, speed))

    def work(self, recipe: Recipe) -> float:
        """Return the operations of all forward passes over Training; proportional to the cost of the run."""
        return float(forward_flops(recipe.model, **recipe.options) * recipe.epochs * self._faces)

    def estimate(self, recipe: Recipe, precision: str) -> Estimate | None:
        """Return the time of a whole run, or ``None`` where no finished run says it.

        Args:
            recipe: What is to run.
            precision: What ``recipe.precision`` means on this machine.
        """
        same = self._same.get((recipe.key(), precision))
        if same:
            return Estimate(seconds=self.work(recipe) / median(same), scaled=False)
        like = self._like.get((recipe.model, precision))
        if like is None:
            return None
        size = forward_flops(recipe.model, **recipe.options)
        apart = [abs(math.log(other / size)) for other, _ in like]
        nearest = [speed for (_, speed), far in zip(like, apart, strict=True) if far < 1.001 * min(apart) + 1e-9]
        return Estimate(seconds=self.work(recipe) / median(nearest), scaled=True)


def side_by_side(seconds: Sequence[float], slots: int) -> float:
    """Return when the last of the runs ends, each begun in order as soon as one of the ``slots`` is free.

    Example:
        >>> side_by_side([3.0, 2.0, 2.0], 2)
        4.0
    """
    ends = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def _speed(content: dict[str, Any], machine: Machine) -> float | None:
    """Return operations a second with the threads of ``machine``; ``None`` where the run tells nothing."""
    try:
        recipe = content["recipe"]
        if content["device"] != machine.device or content["processes"] != 1 or content["seconds"] <= 0:
            return None
        work = forward_flops(recipe["model"], **recipe["options"]) * recipe["epochs"] * content["data"]["training"]
        threads = 1.0 if machine.on_gpu else machine.threads / content["threads"]
        return float(work / content["seconds"] * threads)
    except (FerkitError, KeyError, TypeError, ZeroDivisionError):
        return None  # a result of another version, or of a network that is gone
