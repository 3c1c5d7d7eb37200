"""Figures of faces and of the classification report: the report's Figures 2, 3, 5 and 6."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferkit.report.figures import INK, VALID, add_axes, fixed, own_looks

_COLUMNS = 4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Captioned:
    """A face, what stands below it, and whether that is marked as wrong.

    Attributes:
        face: ``(48, 48)`` uint8.
        caption: One or two lines.
        wrong: Print the caption in bold vermilion.
    """

    face: NDArray[np.uint8]
    caption: str
    wrong: bool = False


def faces(shown: Sequence[Captioned], title: str) -> Figure:
    """Draw faces in rows of four, each with its caption.

    Args:
        shown: At least one.
        title: Stands above them.
    """
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    side, room, top, edge = 1.35, 0.5, 0.36, 0.15  # inches: a face, its caption, the title, around all
    width, height = max(columns * (side + edge) + edge, 2.6), top + rows * (side + room)
    with own_looks():
        figure = fixed(width, height)
        figure.text(0.5, 1 - top / 2 / height, title, ha="center", va="center", fontsize=10.5)
        left = (width - columns * (side + edge) + edge) / 2
        for n, each in enumerate(shown):
            row, column = divmod(n, columns)
            x, y = left + column * (side + edge), top + row * (side + room)
            axes = add_axes(figure, x, y, side, side)
            axes.set_axis_off()
            axes.imshow(each.face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            look: dict[str, Any] = {"color": VALID, "weight": "bold"} if each.wrong else {"color": INK}
            figure.text(
                (x + side / 2) / width,
                1 - (y + side + 0.05) / height,
                each.caption,
                ha="center",
                va="top",
                fontsize=8.5,
                **look,
            )
    return figure


def text(lines: str, title: str) -> Figure:
    """Draw a table that is plain text, in letters of one width."""
    rows = lines.split("\n")
    letter, line, top, edge = 0.0838, 0.185, 0.42, 0.2  # inches
    width, height = 2 * edge + letter * max(map(len, rows)), top + line * len(rows) + edge / 2
    with own_looks():
        figure = fixed(width, height)
        figure.text(0.5, 1 - top / 2 / height, title, ha="center", va="center", fontsize=11)
        for n, row in enumerate(rows):  # matplotlib would set lines with descenders further apart
            y = 1 - (top + (n + 0.75) * line) / height
            figure.text(edge / width, y, row, family="DejaVu Sans Mono", fontsize=10, va="baseline")
    return figure
