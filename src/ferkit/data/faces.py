"""Labelled face crops, held in memory and checked once."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.data.splits import Split
from ferkit.errors import DataError
from ferkit.labels import EXPRESSIONS, NUM_CLASSES

SIDE = 48
"""Pixels a side of every crop."""

SPLITS = tuple(Split)
"""Splits in the order of their numbers in :attr:`Fer2013.splits`."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Grey face crops and their classes.

    Attributes:
        images: ``(N, 48, 48)`` uint8, grey levels 0 (black) to 255 (white).
        labels: ``(N,)`` int64, values of :class:`ferkit.labels.Expression`.

    Raises:
        DataError: The arrays do not fit together, or a label is not in 0..6.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.labels.dtype != np.int64:
            raise DataError(f"images must be uint8 and labels int64, got {self.images.dtype} and {self.labels.dtype}")
        if self.images.shape != (len(self.labels), SIDE, SIDE):
            raise DataError(
                f"images must have shape ({len(self.labels)}, {SIDE}, {SIDE}), one per label; got {self.images.shape}"
            )
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < NUM_CLASSES:
            raise DataError(f"labels must lie in 0..{NUM_CLASSES - 1}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> "Faces":
        """Return the faces at ``rows``: a slice, a mask or an array of positions."""
        return Faces(self.images[rows], self.labels[rows])

    def counts(self) -> dict[str, int]:
        """Return the number of faces of each expression, in class order."""
        return dict(zip(EXPRESSIONS, np.bincount(self.labels, minlength=NUM_CLASSES).tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fer2013:
    """The data set as read: all rows in the order of the source.

    Attributes:
        faces: All rows.
        splits: ``(N,)`` uint8, positions in :data:`SPLITS`.
        source: The file or folder it was read from, as given.
        md5: Digest of the CSV text (unpacked), 32 hexadecimal digits; empty for the folder form.
        notes: What a reader should know of this source, one sentence each.
    """

    faces: Faces
    splits: NDArray[np.uint8]
    source: str
    md5: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.splits.shape != (len(self.faces),):
            raise DataError(f"splits must have shape ({len(self.faces)},), one per face; got {self.splits.shape}")

    def __len__(self) -> int:
        return len(self.faces)

    def without(self, split: Split) -> "Fer2013":
        """Return the data set with that split empty, so that nothing can read it."""
        kept = self.splits != SPLITS.index(split)
        return replace(self, faces=self.faces[kept], splits=self.splits[kept])

    def split(self, split: Split) -> Faces:
        """Return the faces of one split, in the order of the source; possibly none."""
        return self.faces[self.splits == SPLITS.index(split)]
