"""Figures that look into a network: filters, feature maps, and which places of a face a decision rests on.

The report's Figures 4 to 8, and two it lacks (Grad-CAM, occlusion). Faces and filters keep their pixels: nothing is
smoothed.

Letters: C channels, H height, W width, R side of a kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferkit.report.figures import INK, TRAIN, VALID, add_axes, fixed, ink, own_looks

MAP_COLOURS = "viridis"
"""Of feature maps: rises evenly in lightness, so that every kind of colour blindness sees the same order."""

_EDGE, _BAR = 0.1, 0.72  # inches: around a figure, and a colour bar with its words
_OPAQUE = 0.85  # of the strongest place: the face shines through


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapRow:
    """Feature maps of one layer.

    Attributes:
        title: Stands left of them.
        names: Stand above the maps, one each.
        maps: ``(C, H, W)`` float32, those to be drawn.
    """

    title: str
    names: Sequence[str]
    maps: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Explained:
    """A face and what it was explained by.

    Attributes:
        face: ``(48, 48)`` uint8.
        title: Stands above the face.
        subtitle: Stands above the map.
        map: ``(48, 48)`` float32.
    """

    face: NDArray[np.uint8]
    title: str
    subtitle: str
    map: NDArray[np.float32]


def filters(kernels: NDArray[np.float32], names: Sequence[str], title: str) -> Figure:
    """Draw kernels as a grid: dark is inhibitory, light is excitatory.

    Args:
        kernels: ``(C, R, R)``, those to be drawn.
        names: One each, drawn above them.
        title: Stands above the grid.
    """
    columns = 8 if len(kernels) > 16 else 4
    rows = math.ceil(len(kernels) / columns)
    limit = float(np.abs(kernels).max()) or 1.0
    width, gap, head = 6.0, 0.12, 0.18
    side = (width - 2 * _EDGE + gap) / columns - gap
    top = _EDGE + 0.2 * (title.count("\n") + 1) + 0.08
    foot = top + rows * (side + head)
    with own_looks():
        figure = fixed(width, foot + _BAR)
        _title(figure, title)
        for n, (kernel, name) in enumerate(zip(kernels, names, strict=True)):
            row, column = divmod(n, columns)
            at = _EDGE + column * (side + gap), top + row * (side + head) + head
            axes = add_axes(figure, *at, side, side)
            axes.imshow(kernel, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
            axes.set_title(name, fontsize=7.5, pad=2)
            _frame(axes)
        _weight_bar(figure, foot, limit)
    return figure


def weights(matrix: NDArray[np.float32], title: str) -> Figure:
    """Draw the weights of a 1 x 1 convolution: a row an output channel, a column an input channel.

    Args:
        matrix: ``(outputs, inputs)``.
        title: Stands above it.
    """
    outputs, inputs = matrix.shape
    limit = float(np.abs(matrix).max()) or 1.0
    width, left, top = 6.0, 0.7, _EDGE + 0.3
    height = 4.8 * min(1.2, max(0.3, outputs / inputs))
    with own_looks():
        figure = fixed(width, top + height + 0.55 + _BAR)
        _title(figure, title)
        axes = add_axes(figure, left, top, width - left - 0.2, height)
        axes.imshow(
            matrix,
            cmap="gray",
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
            aspect="auto",
            extent=(0.5, inputs + 0.5, outputs + 0.5, 0.5),  # channels are counted from 1
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("input channel")
        axes.set_ylabel("output channel")
        ink(axes)
        _weight_bar(figure, top + height + 0.55, limit)
    return figure


def features(face: NDArray[np.uint8], title: str, rows: Sequence[MapRow]) -> Figure:
    """Draw a face, and below it feature maps, a row a layer, each map from its own lowest to its own highest value.

    Args:
        face: ``(48, 48)`` uint8.
        title: Stands beside the face.
        rows: At least one; the place right of a short row is left empty.
    """
    left, gap, head, side = 1.27, 0.05, 0.16, 0.78
    columns = max(len(row.names) for row in rows)
    width = max(left + columns * (side + gap) + _EDGE, 6.0)
    step = side + head
    with own_looks():
        figure = fixed(width, 2 * _EDGE + side + step * len(rows))
        _show_face(add_axes(figure, left, _EDGE, side, side), face)
        _write(figure, left + side + 0.12, _EDGE + side / 2, title)
        _write(figure, _EDGE, _EDGE + side / 2, "input\n48 × 48")
        for n, row in enumerate(rows):
            top = _EDGE + side + step * n + head
            _write(figure, _EDGE, top + side / 2, row.title)
            for m, (name, values) in enumerate(zip(row.names, row.maps, strict=True)):
                axes = add_axes(figure, left + m * (side + gap), top, side, side)
                axes.imshow(values, cmap=MAP_COLOURS, interpolation="nearest")
                axes.set_title(name, fontsize=7.5, pad=2)
                _frame(axes)
    return figure


def saliency(rows: Sequence[Explained], kind: Literal["grad-cam", "occlusion"]) -> Figure:
    """Draw faces beside what explains them, laid over the same faces, with a colour bar that says what it means.

    Args:
        rows: At least one; of Grad-CAM in [0, 1], of occlusion shares of probability in [-1, 1].
        kind: Which of the two.
    """
    side, gap, head = 2.0, 0.1, 0.5
    step = side + head
    with own_looks():
        figure = fixed(2 * side + gap + 1.15, 2 * _EDGE + step * len(rows))
        for n, row in enumerate(rows):
            top = n * step + head
            left, right = (add_axes(figure, _EDGE + k * (side + gap), top, side, side) for k in range(2))
            _show_face(left, row.face)
            left.set_title(row.title, fontsize=9, linespacing=1.35)
            _show_face(right, row.face)
            right.set_title(row.subtitle, fontsize=9, linespacing=1.35)
            if kind == "grad-cam":
                shown, low, high, colours = row.map, 0.0, 1.0, _clear_to(VALID)
                words = "evidence,\nshare of the strongest place"
            else:
                shown, colours = 100 * row.map, _clear_between(TRAIN, VALID)
                high = float(np.abs(shown).max()) or 1.0
                low, words = -high, "lost when hidden,\npercentage points"
            drawn = right.imshow(shown, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
            bar = add_axes(figure, _EDGE + 2 * side + gap + 0.08, top, 0.1, side)
            _dress(figure.colorbar(drawn, cax=bar), words)
    return figure


def _show_face(axes: Axes, face: NDArray[np.uint8]) -> None:
    axes.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _frame(axes)


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_linewidth(0.5)


def _title(figure: Figure, text: str) -> None:
    height = figure.get_size_inches()[1]
    figure.text(0.5, 1 - _EDGE / height, text, ha="center", va="top", fontsize=10.5, linespacing=1.3)


def _write(figure: Figure, left: float, middle: float, text: str) -> None:
    """Write at a place given in inches from the upper left corner of the figure."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - middle / height, text, va="center", fontsize=9, linespacing=1.35)


def _weight_bar(figure: Figure, top: float, limit: float) -> None:
    width = figure.get_size_inches()[0]
    axes = add_axes(figure, 0.5, top + 0.14, width - 1.0, 0.1)
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), "gray"), cax=axes, orientation="horizontal")
    bar.locator = MaxNLocator(6)
    _dress(bar, "weight: dark is inhibitory, light is excitatory")


def _dress(bar: Any, words: str) -> None:
    bar.set_label(words, color=INK, fontsize=9, labelpad=5)
    bar.ax.tick_params(color=INK, labelcolor=INK, labelsize=8.5)
    bar.outline.set(edgecolor=INK, linewidth=0.5)


def _clear_to(colour: str) -> Colormap:
    """Return colours from clear to ``colour``: the face stays to be seen where there is nothing to say."""
    return LinearSegmentedColormap.from_list("clear", [(0.0, (1, 1, 1, 0)), (1.0, (colour, _OPAQUE))])


def _clear_between(low: str, high: str) -> Colormap:
    ends = [(0.0, (low, _OPAQUE)), (0.5, (1, 1, 1, 0)), (1.0, (high, _OPAQUE))]
    return LinearSegmentedColormap.from_list("clear", ends)
