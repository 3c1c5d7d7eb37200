"""What trained networks, or human taggers, say of every Training face, for a network to learn from.

Source: Hinton et al., 2015, https://arxiv.org/abs/1503.02531, at a temperature of 1; a student as large as its teacher:
Furlanello et al., 2018, https://arxiv.org/abs/1805.04770. Ours differs: teachers see the faces as they are and their
mirror images, once; the student sees them augmented.

Letters: N faces, H height, W width, K classes.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ferkit.data import Faces, Split
from ferkit.data.votes import Votes
from ferkit.errors import RunError
from ferkit.evaluation import predict
from ferkit.files import replacing
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import WEIGHTS_DIGITS


@dataclass(frozen=True, slots=True)
class Lesson:
    """What teachers or taggers say of Training."""

    teachers: tuple[str, ...]
    """How a recipe names them: the first digits of the SHA-256 of each one's weights, sorted; or of the votes."""

    probabilities: NDArray[np.float32]
    """``(N, K)``: the mean over teachers, faces and mirror images; or shares of the votes."""


def ask_teachers(runs: Sequence[Path], faces: Faces) -> Lesson:
    """Return what the networks of finished runs say of ``faces``.

    Args:
        runs: At least one folder of a finished run.
        faces: Training.

    Raises:
        RunError: A run is not finished, or damaged.
    """
    sums = np.zeros(0)
    for run in runs:
        _, model = load_run(run)
        both = [np.exp(predict(model, images)) for images in (faces.images, faces.images[:, :, ::-1].copy())]
        sums = sums + np.sum(both, axis=0) if sums.size else np.sum(both, axis=0)
    return Lesson(teacher_names(runs), (sums / sums.sum(axis=1, keepdims=True)).astype(np.float32))


def count_votes(votes: Votes) -> Lesson:
    """Return what human taggers say of Training."""
    return Lesson((votes.digest()[:WEIGHTS_DIGITS],), votes.probabilities(Split.TRAINING))


def teacher_names(runs: Sequence[Path]) -> tuple[str, ...]:
    """Return how a recipe names the networks of finished runs.

    Raises:
        RunError: A run is not finished.
    """
    return tuple(sorted(RunFolder(run).network() for run in runs))


def write_lesson(folder: RunFolder, lesson: Lesson) -> None:
    """Keep ``lesson`` in the run folder, so that the run goes on without its teachers."""
    with replacing(folder.lesson) as part, part.open("wb") as sink:
        np.savez(sink, allow_pickle=False, teachers=np.array(lesson.teachers), probabilities=lesson.probabilities)


def check_lesson(folder: RunFolder, teachers: tuple[str, ...]) -> None:
    """Raise a RunError where the run folder holds no lesson."""
    if not folder.lesson.is_file():
        raise RunError(
            f"{folder.path}: these settings learn from {', '.join(teachers)}; name their runs with --teacher, or their "
            "file with --votes"
        )


def read_lesson(folder: RunFolder, teachers: tuple[str, ...], faces: int) -> Lesson:
    """Return the lesson of the run's ``teachers`` about ``faces`` Training faces.

    Raises:
        RunError: There is none, it is damaged, or it is of other teachers or other faces.
    """
    check_lesson(folder, teachers)
    try:
        with np.load(folder.lesson, allow_pickle=False) as kept:
            lesson = Lesson(tuple(kept["teachers"].tolist()), kept["probabilities"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise RunError(f"{folder.lesson}: not what teachers said ({type(error).__name__})") from None
    if lesson.teachers != teachers or len(lesson.probabilities) != faces:
        raise RunError(f"{folder.lesson}: expected what {', '.join(teachers)} say of {faces} faces, got something else")
    return lesson
