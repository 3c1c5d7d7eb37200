"""The diagram of a network: a row of boxes whose height and depth are the side of a map, whose width its channels.

In the manner of the report's Figure 12, but drawn from the network's own layers.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from ferkit.models.blocks import Block
from ferkit.report.figures import TRAIN, VALID, add_axes, fixed, own_looks

_COLOURS = {
    "input": "#8c959f",
    "convolution": TRAIN,
    "max pooling": VALID,
    "average pooling": "#e6a817",
    "mean over the picture": "#e6a817",
    "linear": "#0a7f62",
}
_OTHER = "#8a5fb0"  # layers of other kinds

# In inches.
_TALLEST = 1.7  # box of the side of the input
_THINNEST = 0.035  # side of a box of one cell
_SLANT = 0.24  # depth drawn, as a share of the side
_GAP = 0.1
_TEXT = 0.6  # room for a label
_EDGE = 0.25
_LINE = 0.19


def diagram(blocks: Sequence[Block], title: str) -> Figure:
    """Draw a network.

    Args:
        blocks: From :func:`ferkit.models.blocks.blocks`.
        title: Stands above it.
    """
    places, end = _places(blocks)
    colours = _colours(blocks)
    rows = math.ceil(len(colours) / 2)
    width = max(end + _EDGE, 6.0)
    below = _TALLEST / 2 + 2.4 * _LINE
    above = _TALLEST * (0.5 + _SLANT) + 3.2 * _LINE
    foot = (rows + 1.8) * _LINE * 1.15
    height = above + below + foot
    with own_looks():
        figure = fixed(width, height)
        axes = add_axes(figure, 0, 0, width, height)
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(-below - foot, above)
        axes.text(_EDGE, above - 0.12, title, fontsize=12, va="top", weight="bold")
        for block, x in zip(blocks, places, strict=True):
            _box(axes, block, x, colours[block.kind, block.then])
        _legend(axes, colours, -below, width)
    return figure


def label(block: Block) -> str:
    r"""Return what stands below a box: channels, then height and width where it is a map.

    Example:
        >>> label(Block(kind="linear", shape=(64,))), label(Block(kind="input", shape=(3, 48, 48)))
        ('64', '3\n48 × 48')
    """
    channels, *sides = block.shape
    return f"{channels}\n{' × '.join(map(str, sides))}" if sides else str(channels)


def _measures(block: Block) -> tuple[float, float, float]:
    """Return width, height and slant of a box, in inches."""
    channels, *sides = block.shape
    side = max(_TALLEST * (sides[0] if sides else 1) / 48, _THINNEST)
    return 0.06 + 0.042 * math.log2(channels), side, _SLANT * side


def _places(blocks: Sequence[Block]) -> tuple[list[float], float]:
    """Return the left edge of every box, and the right end of the last."""
    places, x = [], _EDGE
    for block in blocks:
        width, _, slant = _measures(block)
        room = max(width + slant, _TEXT)
        places.append(x + (room - width - slant) / 2)
        x += room + _GAP
    return places, x - _GAP


def _colours(blocks: Sequence[Block]) -> dict[tuple[str, tuple[str, ...]], Any]:
    """Return a colour for every kind of block: one hue for a kind, lighter where other layers follow it."""
    found: dict[tuple[str, tuple[str, ...]], Any] = {}
    seen: Counter[str] = Counter()
    for block in blocks:
        hue = _COLOURS.get(block.kind, _OTHER)
        if (block.kind, block.then) not in found:
            strength = 0.55 ** seen[hue]
            found[block.kind, block.then] = tuple(1 - (1 - np.array(mpl.colors.to_rgb(hue))) * strength)
            seen[hue] += 1
    return found


def _box(axes: Axes, block: Block, x: float, colour: Any) -> None:
    width, side, slant = _measures(block)
    low, high = -side / 2, side / 2
    edge: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.6, "joinstyle": "round"}
    rgb = np.array(mpl.colors.to_rgb(colour))
    top = [(x, high), (x + slant, high + slant), (x + slant + width, high + slant), (x + width, high)]
    right = [(x + width, low), (x + width, high), (x + width + slant, high + slant), (x + width + slant, low + slant)]
    axes.add_patch(Polygon(top, facecolor=tuple(1 - (1 - rgb) * 0.6), **edge))
    axes.add_patch(Polygon(right, facecolor=tuple(rgb * 0.72), **edge))
    axes.add_patch(Rectangle((x, low), width, side, facecolor=colour, **edge))
    middle = x + (width + slant) / 2
    axes.text(middle, low - 0.06, label(block), ha="center", va="top", fontsize=8.5, linespacing=1.25)
    if block.size:
        axes.text(middle, high + slant + 0.05, block.size.replace(", ", "\n"), ha="center", va="bottom", fontsize=8.5)


def _legend(axes: Axes, colours: dict[tuple[str, tuple[str, ...]], Any], top: float, width: float) -> None:
    step = _LINE * 1.15
    rows = math.ceil(len(colours) / 2)
    for n, ((kind, then), colour) in enumerate(colours.items()):
        column, row = divmod(n, rows)
        x, y = _EDGE + column * (width - 2 * _EDGE) / 2, top - (row + 0.6) * step
        axes.add_patch(Rectangle((x, y - 0.055), 0.16, 0.11, facecolor=colour, linewidth=0))
        axes.text(x + 0.24, y, ", ".join((kind, *then)), va="center", fontsize=9)
    note = "Below a box: channels, height × width. Width of a box: channels, logarithmic. Above: window."
    axes.text(_EDGE, top - (rows + 0.9) * step, note, va="center", fontsize=8.5, alpha=0.8)
