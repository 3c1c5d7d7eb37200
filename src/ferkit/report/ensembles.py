"""Networks that answer together, measured and kept: ``results/<table>/<ensemble>/ensemble.json``.

An ensemble is the mean of its members' probabilities. It is made of finished runs, so it costs an evaluation and no
training; it is measured once its members are there, and again only if they are others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.data import Fer2013, Protocol, Split
from ferkit.data.audit import copies_of_training
from ferkit.data.votes import Votes
from ferkit.errors import DataError, RunError
from ferkit.evaluation import Evaluation, evaluate_predictions
from ferkit.evaluation.views import mean_of, predict_views
from ferkit.files import write_json
from ferkit.inference.views import check_views
from ferkit.report.results import Run, read_results, runs_of
from ferkit.report.table import Ensemble, Table
from ferkit.training.environment import describe, exact_float32
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.result import SCHEMA, Seconds, Tested, described_by, load_checked

FILE = "ensemble.json"


_CONTENT = described_by({"members": list[str], "parameters": int, "seconds": Seconds, "evaluation": Tested})


@dataclass(frozen=True, slots=True)
class Together:
    """What several networks say of the faces of a split."""

    evaluation: Evaluation
    without_copies: Evaluation | None
    """Without the faces that also stand in Training; ``None`` for Training, or where none is left."""

    by_votes: Evaluation | None = None
    """With the first choice of FER+'s taggers for the label, of ties any, where they made one of the classes; ``None``
    without votes."""

    def parts(self) -> dict[str, Evaluation]:
        """Return what there is by name: ``all``, ``without_copies``, ``by_votes``."""
        parts = {"all": self.evaluation, "without_copies": self.without_copies, "by_votes": self.by_votes}
        return {name: part for name, part in parts.items() if part is not None}


def evaluate_together(
    runs: Sequence[Path],
    data: Fer2013,
    splits: Sequence[Split],
    views: Sequence[str] = (),
    device: str = "cpu",
    votes: Votes | None = None,
) -> dict[Split, Together]:
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
            raise DataError(f"{data.source}: expected faces in {split}, got none")
    said: dict[Split, list[NDArray[np.float32]]] = {split: [] for split in splits}
    with exact_float32():
        for run in runs:
            model = load_run(run)[1].to(device)
            for split in splits:
                said[split].append(predict_views(model, faces[split].images, views, device))
    return {split: _together(data, split, mean_of(said[split]), votes) for split in splits}


def _together(data: Fer2013, split: Split, log_probs: NDArray[np.float32], votes: Votes | None) -> Together:
    labels = data.split(split).labels
    own = None
    known = len(data.split(Split.TRAINING)) > 0  # otherwise nothing says which are copies
    if known and split is not Split.TRAINING and (alone := ~copies_of_training(data, split)).any():
        own = evaluate_predictions(log_probs[alone], labels[alone])
    voted = None
    if votes is not None and (told := (choices := votes.nearest(split, log_probs.argmax(axis=1))) >= 0).any():
        voted = evaluate_predictions(log_probs[told], choices[told])
    return Together(evaluate_predictions(log_probs, labels), own, voted)


def take_up_ensembles(
    table: Table, seeds: int, data: Fer2013, *, results: Path, runs: Path, device: str = "cpu"
) -> list[Path]:
    """Measure the ensembles of ``table`` whose members are finished, and return the files that were written.

    Args:
        table: Whose ensembles are meant.
        seeds: Members are the runs of its rows with seeds 0 to ``seeds - 1``.
        data: The data set.
        results: Folder of result files.
        runs: Folder of run folders; an ensemble with a member that has none there, as its result came from another
            machine, is left as it is.
        device: ``cpu`` or ``cuda``.

    Raises:
        RunError: A result or a run is damaged.
    """
    finished = read_results(results)
    folders = _folders(runs)
    written = []
    for ensemble in table.ensembles:
        members = _members(ensemble, table, finished, seeds)
        if not members or not {run.network for run in members} <= set(folders):
            continue
        path = results / table.name / ensemble.slug / FILE
        networks = sorted(run.network for run in members)
        if path.exists() and read_ensemble(path)["members"] == networks:
            continue
        where = [folders[name] for name in networks]
        protocol = Protocol(members[0].content["protocol"])
        content = {
            "schema": SCHEMA,
            "members": networks,
            "views": list(ensemble.views),
            "protocol": protocol.value,
            "parameters": sum(int(run.content["parameters"]) for run in members),
            "seconds": sum(float(run.content["seconds"]) for run in members),
            "evaluation": _evaluation(where, data, protocol, ensemble.views, device),
            **describe(device),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(path, content)
        written.append(path)
    return written


def read_ensemble(path: Path) -> dict[str, Any]:
    """Return what :func:`take_up_ensembles` wrote.

    Raises:
        RunError: It is something else, or damaged; the message names the field.
    """
    return load_checked(path, _CONTENT, "an ensemble")


def read_ensembles(results: Path, tables: Mapping[str, Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every ensemble that was measured, by names of table and ensemble.

    Raises:
        RunError: A file is damaged.
    """
    places = {
        (table.name, ensemble.slug): results / table.name / ensemble.slug / FILE
        for table in tables.values()
        for ensemble in table.ensembles
    }
    return {place: read_ensemble(path) for place, path in places.items() if path.exists()}


def _members(ensemble: Ensemble, table: Table, finished: Sequence[Run], seeds: int) -> list[Run]:
    """Return the members; none where one is not finished."""
    found: list[Run] = []
    for row in table.every:
        if row.slug in ensemble.members:
            mine = [run for run in runs_of(row, table, finished) if run.seed < seeds]
            if {run.seed for run in mine} != set(range(seeds)):
                return []
            found += mine
    return found


def _folders(runs: Path) -> dict[str, Path]:
    """Return the finished run folders below ``runs`` that have their weights, by the name of the network."""
    folders = (RunFolder(path.parent) for path in sorted(runs.glob("*/result.json")))
    return {folder.network(): folder.path for folder in folders if folder.weights.exists()}


def _evaluation(
    runs: Sequence[Path], data: Fer2013, protocol: Protocol, views: Sequence[str], device: str
) -> dict[str, Any]:
    together = evaluate_together(runs, data, (protocol.validation, protocol.test), views, device)
    found: dict[str, Any] = {}
    for name, split in (("validation", protocol.validation), ("test", protocol.test)):
        found[name] = {"split": split.value, **together[split].evaluation.to_dict()}
    own = together[protocol.test].without_copies
    if own is not None:
        found["test_without_copies"] = {"split": protocol.test.value, **own.to_dict()}
    return found
