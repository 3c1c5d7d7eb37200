"""What must be there before a run begins: faces, and what it takes from other networks.

Shape letters: N faces.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ferkit.data import Faces, Fer2013, Protocol, Split
from ferkit.data.audit import copies_of_tests
from ferkit.data.votes import read_votes
from ferkit.errors import DataError, RecipeError, RunError
from ferkit.models import build_model, pruned, widened
from ferkit.training.batches import steps_per_epoch
from ferkit.training.environment import choose_device
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import Recipe, make_recipe
from ferkit.training.teaching import (
    Lesson,
    ask_teachers,
    check_lesson,
    check_teachers,
    count_votes,
    in_words,
    teacher_names,
)


@dataclass(frozen=True, slots=True)
class Others:
    """What a run takes from other networks, or from taggers; its folder keeps it, so that it goes on without."""

    lesson: Lesson | None = None
    """What the recipe's teachers or votes say of Training."""

    teachers: Sequence[Path] = ()
    """Run folders of the recipe's teachers, where they are asked about every batch."""

    weights: Mapping[str, Tensor] | None = None
    """Of the network that the recipe's ``init`` names, as wide as that is."""


ALONE = Others()
"""Of a run that learns from the labels, beginning with weights drawn by chance."""


def ask_others(
    recipe: Recipe,
    data: Fer2013,
    folder: RunFolder,
    *,
    teachers: Sequence[Path] = (),
    votes: Path | None = None,
    init: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Recipe, Others]:
    """Return ``recipe`` with the names of other networks in it, and what they give to the run in ``folder``.

    Args:
        recipe: The settings.
        data: The data set, with Training.
        folder: What it has is not asked for again.
        teachers: Run folders of the teachers.
        votes: The file of FER+ votes.
        init: Run folder of the network whose weights are the first.
        say: Is told what takes a while.

    Raises:
        RecipeError: There are votes and teachers.
        DataError: The votes are not those of ``data``.
        RunError: A run is not finished, or damaged.
    """
    if (votes or recipe.votes) and (teachers or recipe.teachers):
        raise RecipeError("a network learns from teachers or from votes, not from both: leave out --teacher or --votes")
    faces = data.split(Split.TRAINING)
    lesson = weights = None
    named: dict[str, Any] = {}
    if votes:
        lesson = count_votes(read_votes(votes, data), faces)
        named["votes"] = lesson.teachers[0]
    if teachers:
        named["teachers"] = teacher_names(teachers)
        if recipe.lessons == "once" and not folder.lesson.exists():
            say(f"asking {len(teachers)} teacher{'s' if len(teachers) > 1 else ''} about every Training face")
            lesson = ask_teachers(teachers, faces, choose_device(recipe.device))
    if init:
        named["init"] = RunFolder(init).network()
        if not folder.last.exists():
            weights = load_run(init)[1].state_dict()
    return make_recipe({**recipe.to_dict(), **named}), Others(lesson, teachers, weights)


def beginning(recipe: Recipe, folder: RunFolder, faces: Faces, others: Others) -> Mapping[str, Tensor] | None:
    """Return the first weights as the recipe's network takes them; None where the run has begun or draws its own.

    ``faces`` are Training.

    Raises:
        RunError: What the recipe names is missing or does not fit; nothing has been written.
    """
    lesson, weights = others.lesson, others.weights
    if recipe.follows:
        if teacher_names(others.teachers) != recipe.teachers:
            check_teachers(folder, recipe.teachers)
        else:
            for run in others.teachers:
                load_run(run)
    elif recipe.advisers and lesson is None:
        check_lesson(folder, recipe.advisers)
    elif lesson is not None and not lesson.fits(recipe.advisers, faces):
        raise RunError(
            f"{folder.path}: expected {in_words(recipe.advisers, faces)}, got what "
            f"{', '.join(lesson.teachers)} say of {len(lesson.probabilities)}"
        )
    if not recipe.init or folder.last.exists():
        return None
    if weights is None:
        raise RunError(f"{folder.path}: these settings begin with {recipe.init}; name its run with --init")
    with torch.device("meta"):
        model = build_model(recipe.model, **recipe.options)
    expected = model.state_dict()
    kept = widened(pruned(weights, model), model)
    for name in {**expected, **kept}:
        ours, theirs = (str(tuple(found[name].shape)) if name in found else "none" for found in (expected, kept))
        if ours != theirs:
            raise RunError(f"expected initial weights of {recipe.model}, got others: {name} is {theirs}, not {ours}")
    return kept


def own_faces(recipe: Recipe, data: Fer2013, processes: int) -> NDArray[np.bool_]:
    """Return which Training faces the run trains on, ``(N,)``.

    Raises:
        RecipeError: A batch does not give each process two faces, which batch norm needs.
        DataError: Nor do all of the faces.
    """
    needed = 2 * processes
    if recipe.batch_size < needed:
        raise RecipeError(f"batch_size must be at least {needed}, two faces a process, got {recipe.batch_size}")
    own = ~copies_of_tests(data) if recipe.drop_copies else np.ones(len(data.split(Split.TRAINING)), bool)
    faces = int(own.sum())
    if steps_per_epoch(faces, recipe.batch_size, processes) == 0:
        which = "Training faces that stand in no test" if recipe.drop_copies else "Training faces"
        raise DataError(f"{data.source}: expected at least {needed} {which}, got {faces}")
    return own


def check_splits(recipe: Recipe, data: Fer2013) -> None:
    """Raise a DataError where a split is empty that ``recipe`` cannot be trained without."""
    for split in (Split.TRAINING, recipe.protocol.validation):
        faces: Faces = data.split(split)
        if len(faces) < 2:
            others = [p for p in Protocol if split is not Split.TRAINING and len(data.split(p.validation)) >= 2]
            hint = "".join(f"; protocol={other} validates on {other.validation}" for other in others)
            raise DataError(
                f"{data.source}: protocol {recipe.protocol} needs at least 2 faces in {split}, got {len(faces)}{hint}"
            )
