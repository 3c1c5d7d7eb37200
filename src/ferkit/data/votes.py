"""The FER+ votes: what ten taggers said of every image of FER2013.

Source: Barsoum et al., 2016, https://arxiv.org/abs/1608.01041; ``fer2013new.csv`` of
https://github.com/microsoft/FERPlus has a line for each row of ``fer2013.csv``, in the same order.
Contempt, "unknown" and "no face" are no class of FER2013: those votes are left out, and a face that has no other keeps
its label.

Letters: N rows of the data set, K classes.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferkit.data.archive import open_csv
from ferkit.data.faces import SPLITS, Fer2013
from ferkit.data.splits import Split
from ferkit.errors import DataError
from ferkit.files import exists, expanded, is_file
from ferkit.labels import NUM_CLASSES

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
"""Expression to its column, in class order."""

OTHERS = ("contempt", "unknown", "NF")
"""Columns of votes for what is no class of FER2013."""

LEAST_AGREEMENT = 0.4
"""Share of faces whose label is the taggers' first choice: two thirds in FER2013, a fifth where the order is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """The votes for a data set, row by row.

    Attributes:
        counts: ``(N, K)`` int64, taggers who chose each expression.
        others: ``(N,)`` int64, taggers who chose something that is no class.
        labels: ``(N,)`` int64, those of the data set.
        splits: ``(N,)`` uint8, positions in :data:`ferkit.data.faces.SPLITS`.
    """

    counts: NDArray[np.int64]
    others: NDArray[np.int64]
    labels: NDArray[np.int64]
    splits: NDArray[np.uint8]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Rows with a vote for one of the classes, ``(N,)``."""
        usable: NDArray[np.bool_] = self.counts.sum(axis=1) > 0
        return usable

    def probabilities(self, split: Split) -> NDArray[np.float32]:
        """Return ``(N, K)`` for the faces of ``split`` in their order: shares of the votes, or the label alone."""
        rows = self.splits == SPLITS.index(split)
        label = np.eye(NUM_CLASSES)[self.labels[rows]]
        counts = np.where(self.usable[rows, None], self.counts[rows], label)
        shares: NDArray[np.float32] = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares

    def nearest(self, split: Split, said: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class most taggers chose for each face of ``split``, ``(N,)``; -1 where none chose any of the 7.

        Args:
            split: Whose faces, in their order.
            said: ``(N,)`` classes; where taggers tied and one of their first choices is this, it is returned.
        """
        counts = self.counts[self.splits == SPLITS.index(split)]
        rows, most = np.arange(len(counts)), counts.max(axis=1, initial=0)
        nearest = np.where(counts[rows, said] == most, said, counts.argmax(axis=1))
        return np.where(most > 0, nearest, -1).astype(np.int64)

    def digest(self) -> str:
        """Return a SHA-256 of the counts, however the file was written."""
        return hashlib.sha256(np.ascontiguousarray(self.counts).astype("<i8").data).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesSummary:
    """What the votes say of a data set."""

    source: str
    rows: int
    without_votes: dict[str, int]
    """Faces without a vote for one of the classes, by split."""

    taggers: dict[str, float]
    """Votes for one of the classes that a face has on average, by split."""

    agreement: dict[str, float]
    """Share of the faces with votes whose label is (one of) the taggers' first choices, by split."""

    unanimous: dict[str, float]
    """Share of the faces with votes of which all of those votes are for one class, by split."""

    confusion: list[list[int]]
    """``K`` rows (label) of ``K`` counts (first choice; of several the first in class order), all splits."""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, ready for JSON."""
        return asdict(self)


def read_votes(path: str | Path, data: Fer2013) -> Votes:
    """Read the votes for ``data``.

    Args:
        path: ``fer2013new.csv``, or a file with its columns.
        data: Read from ``fer2013.csv`` or ``icml_face_data.csv``, whose rows have an order.

    Raises:
        DataError: The file is not such a CSV, or is of other rows; the message names the line.
    """
    source = expanded(path)
    if not data.md5:
        raise DataError(f"{data.source}: votes belong to the rows of fer2013.csv; the folder form has no such order")
    table = _read(source, path)
    counts = np.stack([_whole(table, name, source, path) for name in (*COLUMNS.values(), *OTHERS)], axis=1)
    if len(table) != len(data):
        raise DataError(f"{path}: expected a line for each of {len(data)} rows of {data.source}, got {len(table)}")
    names = np.array([split.value for split in SPLITS])[data.splits]
    other = np.flatnonzero(table["Usage"].str.strip().to_numpy() != names)
    if len(other):
        row = int(other[0])
        got = table["Usage"].iloc[row]
        raise DataError(f"{path}:{_line(source, row)}: expected Usage {names[row]}, as in {data.source}, got {got!r}")
    votes = Votes(counts[:, :NUM_CLASSES], counts[:, NUM_CLASSES:].sum(axis=1), data.faces.labels, data.splits)
    agreement = _agreement(votes, votes.usable)
    if agreement < LEAST_AGREEMENT:
        raise DataError(
            f"{path}: expected the votes for {data.source}, in its order, got some that agree with {agreement:.0%} "
            "of its labels"
        )
    return votes


def summarise(votes: Votes, source: str) -> VotesSummary:
    """Count what ``votes``, read from ``source``, say of each split."""
    parts = {split.value: votes.splits == SPLITS.index(split) for split in SPLITS}
    parts = {name: rows for name, rows in parts.items() if rows.any()}
    usable = votes.usable
    confusion = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    np.add.at(confusion, (votes.labels[usable], votes.counts[usable].argmax(axis=1)), 1)
    whole = votes.counts.max(axis=1) == votes.counts.sum(axis=1)
    return VotesSummary(
        source=source,
        rows=len(votes.labels),
        without_votes={name: int((~usable[rows]).sum()) for name, rows in parts.items()},
        taggers={name: float(votes.counts[rows].sum(axis=1).mean()) for name, rows in parts.items()},
        agreement={name: _agreement(votes, rows & usable) for name, rows in parts.items()},
        unanimous={name: _share(whole[rows & usable]) for name, rows in parts.items()},
        confusion=confusion.tolist(),
    )


def _agreement(votes: Votes, rows: NDArray[np.bool_]) -> float:
    counts, labels = votes.counts[rows], votes.labels[rows]
    return _share(counts[np.arange(len(labels)), labels] == counts.max(axis=1, initial=0))


def _share(which: NDArray[np.bool_]) -> float:
    return float(which.mean()) if len(which) else 0.0


def _read(source: Path, path: str | Path) -> "pd.DataFrame":
    import pandas as pd

    if exists(source) and not is_file(source):
        raise DataError(f"{path}: expected a CSV file, got a folder, a pipe or a device")
    try:
        with open_csv(source) as raw:
            table = pd.read_csv(raw, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected the text of a CSV, got binary data") from None
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: not a CSV ({str(error).strip().splitlines()[-1]})") from None
    table.columns = table.columns.str.strip()
    missing = [name for name in ("Usage", *COLUMNS.values(), *OTHERS) if name not in table.columns]
    if missing:
        raise DataError(f"{path}: expected the columns of fer2013new.csv, got none named {', '.join(missing)}")
    twice = [name for name in ("Usage", *COLUMNS.values(), *OTHERS) if f"{name}.1" in table.columns]
    if twice:
        raise DataError(f"{path}: expected each column once, got {twice[0]} twice")
    return table


def _whole(table: "pd.DataFrame", name: str, source: Path, path: str | Path) -> NDArray[np.int64]:
    """Return a column of counts."""
    text = table[name].str.strip()
    bad = np.flatnonzero(~text.str.fullmatch(r"[0-9]{1,6}").to_numpy(bool))
    if len(bad):
        row = int(bad[0])
        where = f"{path}:{_line(source, row)}"
        raise DataError(f"{where}: expected a number of votes in {name}, got {table[name].iloc[row]!r}")
    return np.asarray(text.astype(np.int64))


def _line(source: Path, row: int) -> int:
    """Return the number of the line that a row of the table stands in; blank lines are counted, but are no rows."""
    with open_csv(source) as raw:
        filled = [number for number, line in enumerate(raw.read().splitlines(), 1) if line.strip()]
    return filled[row + 1]
