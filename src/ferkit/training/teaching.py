"""What trained networks, or human taggers, say of faces, for a network to learn from.

Source: Hinton et al., 2015, https://arxiv.org/abs/1503.02531, at a temperature of 1; a student as large as its teacher:
Furlanello et al., 2018, https://arxiv.org/abs/1805.04770. There are two ways. In a lesson, teachers see the Training
faces as they are and their mirror images, once, while the student sees them augmented. Teachers that are asked about
every batch see the very faces the student sees: Beyer et al., 2022, https://arxiv.org/abs/2106.05237.

Letters: B faces of a batch, N faces, H height, W width, K classes.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferkit.data import Faces, Split
from ferkit.data.audit import faces_digest
from ferkit.data.votes import Votes
from ferkit.errors import RunError
from ferkit.evaluation.views import mean_of, predict_views
from ferkit.files import replacing, write_bytes
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import WEIGHTS_DIGITS


@dataclass(frozen=True, slots=True)
class Lesson:
    """What teachers or taggers say of Training."""

    teachers: tuple[str, ...]
    """How a recipe names them: the first digits of the SHA-256 of each one's weights, sorted; or of the votes."""

    probabilities: NDArray[np.float32]
    """``(N, K)``: the mean over teachers, faces and mirror images; or shares of the votes."""

    faces: str
    """Digest of those faces."""

    def fits(self, teachers: tuple[str, ...], faces: Faces) -> bool:
        """Return whether it is what these teachers, or votes, say of ``faces``."""
        right = self.faces == faces_digest(faces) and len(self.probabilities) == len(faces)
        return right and self.teachers == teachers


def ask_teachers(runs: Sequence[Path], faces: Faces, device: str = "cpu") -> Lesson:
    """Return what the networks of finished runs say of ``faces``.

    Args:
        runs: At least one folder of a finished run.
        faces: Training.
        device: ``cpu`` or ``cuda``.

    Raises:
        RunError: A run is not finished, or damaged.
    """
    said = [predict_views(load_run(run)[1].to(device), faces.images, ("mirror",), device) for run in runs]
    probabilities = np.exp(mean_of(said))
    return Lesson(teacher_names(runs), probabilities, faces_digest(faces))


def count_votes(votes: Votes, faces: Faces) -> Lesson:
    """Return what human taggers say of ``faces``, which are Training."""
    return Lesson((votes.digest()[:WEIGHTS_DIGITS],), votes.probabilities(Split.TRAINING), faces_digest(faces))


def teacher_names(runs: Sequence[Path]) -> tuple[str, ...]:
    """Return how a recipe names the networks of finished runs.

    Raises:
        RunError: A run is not finished, or two have the same network.
    """
    names = sorted(RunFolder(run).network() for run in runs)
    if len(set(names)) < len(names):
        raise RunError(f"expected different teachers, got one twice: {', '.join(map(str, runs))}")
    return tuple(names)


class Teachers(nn.Module):
    """Trained networks that say together what the faces of a batch express."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval().requires_grad_(False)

    def forward(self, x_B3HW: Tensor) -> Tensor:
        """Return the mean of their probabilities, ``(B, K)`` float32, for input as the networks take it."""
        return torch.stack([network(x_B3HW).float().exp() for network in self.networks]).mean(0)


def keep_teachers(folder: RunFolder, runs: Sequence[Path]) -> None:
    """Copy finished runs into the run folder, so that the run goes on without them.

    Raises:
        RunError: A run is not finished, or the folder cannot be written to.
    """
    for run in map(RunFolder, runs):
        copy = RunFolder(folder.teachers / run.network())
        if not copy.result.exists():
            with folder.writing():
                for ours, theirs in zip(copy.network_files, run.network_files, strict=True):
                    write_bytes(ours, theirs.read_bytes())


def check_teachers(folder: RunFolder, teachers: tuple[str, ...]) -> None:
    """Raise a RunError where the run folder lacks one of ``teachers``."""
    missing = [name for name in teachers if not RunFolder(folder.teachers / name).result.exists()]
    if missing:
        raise RunError(f"{folder.path}: these settings learn from {', '.join(missing)}; name their runs with --teacher")


def load_teachers(folder: RunFolder, teachers: tuple[str, ...]) -> Teachers:
    """Return the networks that were kept in the run folder.

    Raises:
        RunError: One is missing or damaged.
    """
    check_teachers(folder, teachers)
    return Teachers([load_run(folder.teachers / name)[1] for name in teachers])


def write_lesson(folder: RunFolder, lesson: Lesson) -> None:
    """Keep ``lesson`` in the run folder, so that the run goes on without its teachers.

    Raises:
        RunError: The folder cannot be written to.
    """
    with folder.writing(), replacing(folder.lesson) as part, part.open("wb") as sink:
        kept = {"teachers": np.array(lesson.teachers), "faces": np.array(lesson.faces)}
        np.savez(sink, allow_pickle=False, probabilities=lesson.probabilities, **kept)


def check_lesson(folder: RunFolder, teachers: tuple[str, ...]) -> None:
    """Raise a RunError where the run folder holds no lesson."""
    if not folder.lesson.is_file():
        raise RunError(
            f"{folder.path}: these settings learn from {', '.join(teachers)}; name their runs with --teacher, or their "
            "file with --votes"
        )


def read_lesson(folder: RunFolder, teachers: tuple[str, ...], faces: Faces) -> Lesson:
    """Return the lesson of the run's ``teachers`` about ``faces``, which are Training.

    Raises:
        RunError: There is none, it is damaged, or it is of other teachers or other faces.
    """
    check_lesson(folder, teachers)
    try:
        with np.load(folder.lesson, allow_pickle=False) as kept:
            lesson = Lesson(tuple(kept["teachers"].tolist()), kept["probabilities"], str(kept["faces"]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise RunError(f"{folder.lesson}: not what teachers said ({type(error).__name__})") from None
    if not lesson.fits(teachers, faces):
        raise RunError(f"{folder.lesson}: expected {in_words(teachers, faces)}, got something else")
    return lesson


def in_words(teachers: tuple[str, ...], faces: Faces) -> str:
    """Return which lesson a message expects."""
    return f"what {', '.join(teachers)} say of these {len(faces)} faces"
