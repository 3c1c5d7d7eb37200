"""Searches for settings with Optuna; all of it on PublicTest, which protocol ``standard`` chooses by.

The folder of a search:

study.jsonl     Optuna's journal: what every trial was given, and what came of it
trials/<n>/     an ordinary run folder for each trial; that of a pruned one keeps its last checkpoint
best.toml       the recipe of the best trial so far

PrivateTest is taken out of the data set before anything sees it. What a trial is given is a function of the search's
seed, the trial's number and the trials before it, so a search that was killed goes on as if it had not been. Who trains
a trial holds the lock in its folder, and a lock ends with its process: a trial that is under way and whose lock is free
belongs to a process that was killed, and whoever looks next picks it up. So several processes may share a search.
"""

from collections.abc import Iterator
from pathlib import Path

from ferkit.data import Fer2013, Protocol, Split
from ferkit.errors import RecipeError, RunError
from ferkit.sweeps.study import Study
from ferkit.sweeps.trials import Event, Setup
from ferkit.training.environment import choose_device
from ferkit.training.needs import check_splits
from ferkit.training.recipe import Recipe
from ferkit.training.stopping import StopRequest


def search(
    setup: Setup,
    data: Fer2013,
    out: Path,
    *,
    trials: int = 20,
    max_minutes: float | None = None,
    workers: int | None = None,
) -> Iterator[Event]:
    """Search; everything happens while the events are consumed. The same call goes on where one was killed.

    Ctrl-C, SIGTERM and ``max_minutes`` stop it: the trial at hand is saved after its batch. A second Ctrl-C ends it at
    once.

    Args:
        setup: What to search.
        data: The data set; its PrivateTest is not looked at.
        out: Folder of the search; made if it is missing.
        trials: In all, with those that are in ``out``.
        max_minutes: Stop cleanly after so long.
        workers: Processes that prepare batches; chosen by the device if left out.

    Yields:
        What happens, at last :class:`Over`.

    Raises:
        RecipeError: The recipe's protocol is not ``standard``, or it learns from other networks.
        DataError: Training or PublicTest is empty.
        RunError: ``out`` holds something else, or cannot be written to.
        TrainingError: A trial had to stop for a reason that is not in its settings, such as a full disk.
        MissingExtraError: Optuna is not installed.
    """
    check_recipe(setup.recipe)
    check_splits(setup.recipe, data)
    study: Study | None = None
    with StopRequest(max_minutes) as stop:
        try:
            study = Study(setup, data.without(Split.PRIVATE_TEST), out)
            while not stop.reason:
                claim = study.claim(trials)
                if claim is None:
                    if study.others() and study.patient():
                        continue
                    break
                with claim:
                    yield from study.train(claim, stop, workers)
            yield study.over(stop)
        except OSError as error:
            kept = "; the same command goes on" if study is not None else ""
            raise RunError(f"{error.filename or out}: {error.strerror or error}{kept}") from None


def check_recipe(recipe: Recipe) -> None:
    """Raise a RecipeError where a search may not or cannot train ``recipe`` here."""
    if recipe.protocol is not Protocol.STANDARD:
        raise RecipeError(
            f"a search chooses by {Protocol.STANDARD.validation}, got a recipe with protocol {recipe.protocol}, which "
            f"chooses by {recipe.protocol.validation}; add --set protocol=standard"
        )
    if recipe.advisers or recipe.init:
        raise RecipeError("a search trains from the first batch on and from the labels alone: no teachers, votes, init")
    choose_device(recipe.device)
