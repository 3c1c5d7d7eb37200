"""Several views of each face, to be read together: test-time augmentation.

Letters: N faces, H height, W width.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import OptionError, UnknownNameError

VIEWS = {
    "mirror": "the mirror image",
    "shifts": "moved two pixels up, down, left and right, the edge going on",
}
"""Name to what it adds; ``mirror`` mirrors moved faces too."""

SHIFT = 2
"""Pixels."""


def check_views(views: Sequence[str]) -> None:
    """Raise an UnknownNameError unless every one of ``views`` is one of :data:`VIEWS`, an OptionError without names."""
    if not isinstance(views, Collection) or not all(isinstance(name, str) for name in views):
        raise OptionError(f"expected views as a list of names, got {views!r}")
    for name in views:
        if name not in VIEWS:
            raise UnknownNameError("view", name, VIEWS)


def parse_views(names: str) -> tuple[str, ...]:
    """Return the views that ``names`` lists between commas, each once.

    Raises:
        UnknownNameError: There is no such view.
    """
    views = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    check_views(views)
    return views


def views_of(faces: NDArray[np.uint8], views: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield ``faces`` ``(N, H, W)`` as they are, and then as each view shows them."""
    for moved in _moved(faces) if "shifts" in views else [faces]:
        yield moved
        if "mirror" in views:
            yield np.ascontiguousarray(moved[:, :, ::-1])


def _moved(faces: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    yield faces
    height, width = faces.shape[1:]
    wide = np.pad(faces, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    for top, left in ((0, SHIFT), (2 * SHIFT, SHIFT), (SHIFT, 0), (SHIFT, 2 * SHIFT)):
        yield wide[:, top : top + height, left : left + width]
