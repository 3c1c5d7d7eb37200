"""Reads the folder form of FER2013: ``train/<class>/*.jpg|png``, ``validation/<class>/...``, ``test/<class>/...``.

Pictures of a class may stand in folders of their own below it; links to folders are not followed.

Source: https://www.kaggle.com/datasets/msambare/fer2013. Its pictures are JPEG, so pixels differ a little from the CSV.
Where the names of the files in ``test`` say ``PublicTest_`` or ``PrivateTest_``, the two tests are told apart. Pictures
in ``validation`` or ``val``, which other copies and users' own faces have, are PublicTest.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferkit.data.faces import SIDE, SPLITS, Faces, Fer2013
from ferkit.data.picture import read_picture
from ferkit.data.splits import Split
from ferkit.errors import DataError
from ferkit.labels import EXPRESSIONS, Expression

VALIDATION = frozenset({"validation", "val"})

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

_CLASSES = {name: number for number, name in enumerate(EXPRESSIONS)} | {str(e.value): e.value for e in Expression}
_CLASSES |= {"anger": 0, "disgusted": 1, "fearful": 2, "happiness": 3, "sadness": 4, "surprised": 5}


def list_pictures(folder: Path) -> list[Path]:
    """Return the picture files of the folder form, sorted; the order of the faces. What is hidden is passed over.

    Raises:
        DataError: ``folder`` has no ``train`` folder with pictures, or a picture is a link to nothing.
        OSError: A folder cannot be read.
    """
    halves = _halves(folder)
    pictures = sorted(p for half in halves for named in _folders(half) for p in _files(named) if _is_picture(p))
    if not any(_half(folder, p) == "train" for p in pictures):
        got = ", ".join(sorted(child.name for child in folder.iterdir())[:5]) or "an empty folder"
        raise DataError(f"{folder}: expected folders train/<class> and test/<class> with jpg or png files, got {got}")
    return pictures


def _folders(folder: Path) -> Iterator[Path]:
    return (child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(named: Path) -> Iterator[Path]:
    """Yield the files below the folder of a class; hidden folders are passed over."""

    def unreadable(error: OSError) -> None:
        raise error

    for where, folders, names in os.walk(named, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(where, name) for name in names)


def _half(folder: Path, picture: Path) -> str:
    return picture.relative_to(folder).parts[0].lower()


def _halves(folder: Path) -> list[Path]:
    return [half for half in _folders(folder) if half.name.lower() in {"train", "test"} | VALIDATION]


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
        return False
    if path.is_file() or path.is_dir():
        return path.is_file()
    raise DataError(f"{path}: expected a picture, got a link to nothing, a pipe or a device")


def read_folder(folder: Path) -> Fer2013:
    """Read every picture below ``folder``.

    Args:
        folder: An existing folder.

    Raises:
        DataError: A picture cannot be read or is not 48 x 48, or a folder is not named after an expression.
    """
    pictures = list_pictures(folder)
    images = np.empty((len(pictures), SIDE, SIDE), np.uint8)
    labels, splits = np.empty(len(pictures), np.int64), np.empty(len(pictures), np.uint8)
    for n, picture in enumerate(pictures):
        images[n] = _read_face(picture)
        labels[n] = _label(folder, picture)
        splits[n] = SPLITS.index(_split(folder, picture))
    return Fer2013(faces=Faces(images, labels), splits=splits, source=str(folder), notes=folder_notes(folder))


def folder_notes(folder: Path) -> tuple[str, ...]:
    """Return what there is to know of a folder that can be read: sentences on its tests and on what is passed over."""
    return (*_tests(folder), *_passed_over(folder))


def _read_face(picture: Path) -> NDArray[np.uint8]:
    image = read_picture(picture)
    if image.shape != (SIDE, SIDE):
        got = f"{image.shape[1]} x {image.shape[0]}"
        raise DataError(
            f"{picture}: expected {SIDE} x {SIDE} pixels, got {got}; `ferkit data cut` makes such of photos"
        )
    return image


def _label(folder: Path, picture: Path) -> int:
    named = Path(*picture.relative_to(folder).parts[:2])
    if named.name.lower() not in _CLASSES:
        got = repr(named.name.lower())
        raise DataError(f"{folder / named}: expected a folder named {', '.join(EXPRESSIONS)}; got {got}")
    return _CLASSES[named.name.lower()]


def _split(folder: Path, picture: Path) -> Split:
    if _half(folder, picture) == "train":
        return Split.TRAINING
    if _half(folder, picture) in VALIDATION:
        return Split.PUBLIC_TEST
    return Split.PUBLIC_TEST if picture.name.startswith("PublicTest") else Split.PRIVATE_TEST


def _passed_over(folder: Path) -> Iterator[str]:
    halves = _halves(folder)
    beside = sorted(child.name for child in _folders(folder) if child not in halves)
    if beside:
        yield f"Only train, validation and test are read; passed over: {', '.join(beside)}."
    files = (child for half in halves for child in half.iterdir() if child.is_file() and not child.name.startswith("."))
    loose = sorted(child for child in files if child.suffix.lower() in SUFFIXES)
    if loose:
        yield f"Passed over, being in no class folder: {len(loose)}, such as {loose[0]}."
    shown = [child for half in halves for named in _folders(half) for child in _files(named)]
    others = sorted(child for child in shown if not child.name.startswith(".") and not _is_picture(child))
    if others:
        yield f"Passed over, being no jpg or png: {len(others)}, such as {others[0]}."
    links = sorted(link for half in halves for named in _folders(half) for link in _linked(named))
    if links:
        yield f"Passed over, being links to folders: {len(links)}, such as {links[0]}."


def _linked(named: Path) -> Iterator[Path]:
    for where, folders, _ in os.walk(named):
        yield from (Path(where, name) for name in folders if Path(where, name).is_symlink() and name[0] != ".")


def _tests(folder: Path) -> Iterator[str]:
    test = [p for p in list_pictures(folder) if _half(folder, p) == "test"]
    told = [p for p in test if p.name.startswith(("PublicTest", "PrivateTest"))]
    if not test:
        there = any(half.name.lower() == "test" for half in _halves(folder))
        validates = any(half.name.lower() in VALIDATION for half in _halves(folder))
        yield (
            f"There is no {'picture in a class folder of test' if there else 'test folder'}: "
            f"{'PrivateTest is' if validates else 'both tests are'} empty."
        )
    elif len(told) < len(test):
        yield (
            f"{len(test) - len(told)} of {len(test)} files in test do not say PublicTest or PrivateTest "
            "in their names: they are counted as PrivateTest."
        )
