"""What is in a copy of FER2013, and what is wrong with it: counts, copies, conflicting labels, empty pictures."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.data.faces import SPLITS, Faces, Fer2013
from ferkit.data.splits import Split

ORIGINAL_MD5 = "f8428a1edbd21e88f42c73edd2a14f95"
"""MD5 of Kaggle's ``fer2013.csv``, 301,072,766 bytes."""

ORIGINAL_CONTENT = "2f0c684dfc81e1af945c4e056dd4b7d34f136b09afef2e2c05b519cffbdb316f"
"""SHA-256 of the original's images, labels and splits: what :func:`content_digest` returns for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What :func:`audit` found."""

    source: str
    rows: int
    md5: str
    """Of the unpacked CSV text; empty for the folder form."""

    verdict: str
    """Whether this is the known original."""

    counts: dict[str, dict[str, int]]
    """Rows by split and expression."""

    duplicate_groups: int
    """Distinct images that stand in more than one row."""

    surplus_duplicates: int
    """Rows that repeat an image that stands before them."""

    conflicting_groups: int
    """Groups of duplicates whose labels differ."""

    duplicates_within: dict[str, int]
    """Surplus rows inside each split."""

    copies_across: dict[str, int]
    """Rows of the first split whose image stands in the second too; keys read ``PublicTest in Training``."""

    constant_images: dict[str, int]
    """Images of one grey level, by split."""

    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain values, ready for JSON."""
        return asdict(self)


def audit(data: Fer2013) -> Audit:
    """Count and compare every image of ``data``."""
    keys = _keys(data.faces.images)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        groups[key].append(row)
    repeated = [rows for rows in groups.values() if len(rows) > 1]
    by_split = {s: [keys[row] for row in np.flatnonzero(data.splits == n)] for n, s in enumerate(SPLITS)}
    constant = np.ptp(data.faces.images, axis=(1, 2)) == 0
    return Audit(
        source=data.source,
        rows=len(data),
        md5=data.md5,
        verdict=_verdict(data),
        counts={s.value: data.split(s).counts() for s in SPLITS},
        duplicate_groups=len(repeated),
        surplus_duplicates=sum(len(rows) - 1 for rows in repeated),
        conflicting_groups=sum(len(set(data.faces.labels[rows].tolist())) > 1 for rows in repeated),
        duplicates_within={s.value: len(k) - len(set(k)) for s, k in by_split.items()},
        copies_across={
            f"{b.value} in {a.value}": sum(key in set_a for key in by_split[b])
            for a, b in combinations(SPLITS, 2)
            for set_a in [set(by_split[a])]
        },
        constant_images={s.value: int(constant[data.splits == n].sum()) for n, s in enumerate(SPLITS)},
        notes=data.notes,
    )


def copies_of_training(data: Fer2013, split: Split) -> NDArray[np.bool_]:
    """Return which faces of ``split`` also stand, pixel for pixel, in Training: ``(N,)`` bool."""
    training = set(_keys(data.split(Split.TRAINING).images))
    return np.array([key in training for key in _keys(data.split(split).images)], bool)


def not_in_training(data: Fer2013, split: Split) -> NDArray[np.bool_]:
    """Return which faces of ``split`` do not also stand, pixel for pixel, in Training: ``(N,)`` bool.

    None of Training's own, and none where there is no Training: nothing says then which are copies.
    """
    if split is Split.TRAINING or not len(data.split(Split.TRAINING)):
        return np.zeros(len(data.split(split)), bool)
    return ~copies_of_training(data, split)


def only_copies(data: Fer2013) -> list[Split]:
    """Return the tests that have faces, all of which also stand in Training: what they tell is what was learnt."""
    tests = (Split.PUBLIC_TEST, Split.PRIVATE_TEST)
    if not len(data.split(Split.TRAINING)):
        return []
    return [split for split in tests if len(data.split(split)) and not not_in_training(data, split).any()]


def copies_of_tests(data: Fer2013) -> NDArray[np.bool_]:
    """Return which Training faces also stand, pixel for pixel, in PublicTest or PrivateTest: ``(N,)`` bool."""
    tests = {key for split in (Split.PUBLIC_TEST, Split.PRIVATE_TEST) for key in _keys(data.split(split).images)}
    return np.array([key in tests for key in _keys(data.split(Split.TRAINING).images)], bool)


def content_digest(data: Fer2013) -> str:
    """Return a SHA-256 of images, labels and splits in their order, however the source was written."""
    digest = _sha256(data.faces)
    digest.update(np.ascontiguousarray(data.splits).data)
    return digest.hexdigest()


def faces_digest(faces: Faces) -> str:
    """Return a SHA-256 of images and labels in their order: tells whether a run goes on with the data it began with."""
    return _sha256(faces).hexdigest()


def _sha256(faces: Faces) -> "hashlib._Hash":
    digest = hashlib.sha256(np.ascontiguousarray(faces.images).data)
    digest.update(faces.labels.astype("<i8").data)
    return digest


def _keys(images: NDArray[np.uint8]) -> list[bytes]:
    return [hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images)]


def _verdict(data: Fer2013) -> str:
    if data.md5 == ORIGINAL_MD5:
        return "the original fer2013.csv"
    if content_digest(data) == ORIGINAL_CONTENT:
        return "not the original file, but the same faces, labels and splits in the same order"
    counts = Counter(data.splits.tolist())
    if [counts[n] for n in range(len(SPLITS))] == [28709, 3589, 3589]:
        return "not the original file; it has as many faces in each split, but they differ"
    return "not the original file"
