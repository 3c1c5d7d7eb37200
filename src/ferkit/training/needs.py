"""What must be there before a run begins: faces, weights, teachers.

Shape letters: N faces.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ferkit.data import Faces, Fer2013, Split
from ferkit.data.audit import copies_of_tests
from ferkit.errors import DataError, RecipeError, RunError
from ferkit.models import build_model, pruned
from ferkit.training.batches import steps_per_epoch
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import Recipe
from ferkit.training.teaching import Lesson, check_lesson, check_teachers, in_words, teacher_names


def beginning(
    recipe: Recipe,
    folder: RunFolder,
    faces: Faces,
    lesson: Lesson | None,
    teachers: Sequence[Path],
    weights: Mapping[str, Tensor] | None,
) -> Mapping[str, Tensor] | None:
    """Return ``weights`` as the recipe's network takes them; None where the run has begun or draws its own.

    ``faces`` are Training.

    Raises:
        RunError: What the recipe names is missing or does not fit; nothing has been written.
    """
    if recipe.follows:
        if teacher_names(teachers) != recipe.teachers:
            check_teachers(folder, recipe.teachers)
        else:
            for run in teachers:
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
    kept = pruned(weights, model)
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
            raise DataError(
                f"{data.source}: protocol {recipe.protocol} needs at least 2 faces in {split}, got {len(faces)}"
            )
