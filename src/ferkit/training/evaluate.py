"""What finished networks do on whole splits, one or several together: whole, without copies, by votes.

Shape letters: N faces, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ferkit.data import Fer2013, Protocol, Split
from ferkit.data.audit import not_in_training
from ferkit.data.votes import Votes
from ferkit.errors import DataError, RunError
from ferkit.evaluation import Evaluation, evaluate_predictions, predict
from ferkit.evaluation.views import mean_of, predict_views
from ferkit.inference.views import check_views
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.recipe import Recipe
from ferkit.training.tuning import exact_float32


@dataclass(frozen=True, slots=True)
class SplitEvaluation:
    """What was said of the faces of a split, compared with what is known of them."""

    evaluation: Evaluation
    """With the labels of all of them."""

    without_copies: Evaluation | None
    """Without the faces that also stand in Training; ``None`` for Training, where nothing says which are copies, or
    where none is left."""

    by_votes: Evaluation | None = None
    """With the first choice of FER+'s taggers for the label, of ties any, where they made one of the classes; ``None``
    without votes."""

    def parts(self) -> dict[str, Evaluation]:
        """Return what there is by name: ``all``, ``without_copies``, ``by_votes``."""
        parts = {"all": self.evaluation, "without_copies": self.without_copies, "by_votes": self.by_votes}
        return {name: part for name, part in parts.items() if part is not None}


def evaluate_split(
    data: Fer2013, split: Split, log_probs: NDArray[np.float32], votes: Votes | None = None
) -> SplitEvaluation:
    """Compare log-probabilities ``(N, K)`` of the faces of a split, at least one, with labels and votes."""
    labels = data.split(split).labels
    without_copies = by_votes = None
    if (alone := not_in_training(data, split)).any():
        without_copies = evaluate_predictions(log_probs[alone], labels[alone])
    if votes is not None and (told := (choices := votes.nearest(split, log_probs.argmax(axis=1))) >= 0).any():
        by_votes = evaluate_predictions(log_probs[told], choices[told])
    return SplitEvaluation(evaluate_predictions(log_probs, labels), without_copies, by_votes)


def evaluate_splits(
    model: nn.Module, recipe: Recipe, data: Fer2013
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return what ``model`` does on the validation and the test split of the recipe's protocol.

    The first part is the evaluation of each, ready for JSON; the second the log-probabilities ``(N, K)`` of each. A
    split without faces is left out.
    """
    device = next(model.parameters()).device
    log_probs: dict[str, NDArray[np.float32]] = {}
    found: dict[Split, SplitEvaluation] = {}
    for role, split in recipe.protocol.roles.items():
        if len(faces := data.split(split)):
            log_probs[role] = predict(model, faces.images, device)
            found[split] = evaluate_split(data, split, log_probs[role])
    return to_content(recipe.protocol, found), log_probs


def evaluate_together(
    runs: Sequence[Path],
    data: Fer2013,
    splits: Sequence[Split],
    views: Sequence[str] = (),
    device: str = "cpu",
    votes: Votes | None = None,
) -> dict[Split, SplitEvaluation]:
    """Return what the networks of finished runs do together on each split, each with the given views, in float32.

    Args:
        runs: At least one folder of a finished run.
        data: The data set.
        splits: Of ``data``.
        views: Names of :data:`ferkit.inference.views.VIEWS`.
        device: ``cpu`` or ``cuda``.
        votes: FER+ votes for ``data``, to compare with, too.

    Raises:
        RunError: A run is not finished, or damaged, or its network is named twice, be it by a copy of its folder.
        DataError: A split has no faces.
        UnknownNameError: There is no such view.
    """
    check_views(views)
    if len({RunFolder(run).network() for run in runs}) < len(runs):
        raise RunError(f"expected different networks, got one twice: {', '.join(map(str, runs))}")
    faces = {split: data.split(split) for split in splits}
    for split in splits:
        if not len(faces[split]):
            others = " and ".join(each for each in Split if len(data.split(each)))
            raise DataError(f"{data.source}: expected faces in {split}, got none; there are some in {others}")
    said: dict[Split, list[NDArray[np.float32]]] = {split: [] for split in splits}
    with exact_float32():
        for run in runs:
            model = load_run(run)[1].to(device)
            for split in splits:
                said[split].append(predict_views(model, faces[split].images, views, device))
    return {split: evaluate_split(data, split, mean_of(said[split]), votes) for split in splits}


def to_content(protocol: Protocol, found: Mapping[Split, SplitEvaluation]) -> dict[str, Any]:
    """Return evaluations as ``result.json`` has them: ``validation``, ``validation_without_copies``, ``test`` ..."""
    content: dict[str, Any] = {}
    for role, split in protocol.roles.items():
        for part, evaluation in found[split].parts().items() if split in found else ():
            content[role if part == "all" else f"{role}_{part}"] = {"split": split.value, **evaluation.to_dict()}
    return content
