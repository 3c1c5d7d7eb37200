"""Figures: curves, confusion matrix, sheet of augmented faces, and the looks of all figures.

Only this file and those whose names begin like its own draw with matplotlib.

Drawn on ``matplotlib.figure.Figure`` objects under matplotlib's own defaults, whatever the user's ``matplotlibrc``
says, so that the same numbers give the same bytes. To be read at the width of a phone: one panel above the other.

Letters: K classes, M versions of a face, N faces.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ferkit.errors import DataError, RunError
from ferkit.files import replacing
from ferkit.labels import EXPRESSIONS

INK = "#24292f"
"""Of text and axes; :func:`inline_svg` turns it into the colour of the text around the figure."""

TRAIN, VALID = "#1f85c7", "#d55e00"
"""Blue and vermilion: told apart in every kind of colour blindness, contrast above 3.8 on white and on near-black."""

PANELS = {"loss": ("loss, nats a face", 1), "accuracy": ("accuracy, %", 100)}
"""Metric to the label of its axis and the factor to its unit."""

FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
}
"""Endings of names that :func:`save` knows, and the remarks matplotlib is to leave out of such a file."""

_DEPTH = 0.75  # opacity of a full cell: lets dark text on white and light text on black stay readable
_SHEET = 0x20  # grey level behind a sheet of faces
_SCALE, _GAP = 2, 8  # screen pixels a pixel of a face, and between two faces
_RC: dict[Any, Any] = {
    "figure.dpi": 100,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "ferkit",
    "text.color": INK,
    "text.parse_math": False,
}
_TIGHT = {"columnspacing": 1.0, "handlelength": 1.7, "handletextpad": 0.5, "borderaxespad": 0.3}


def curves(epochs: Sequence[dict[str, Any]], kept: int | None = None, panels: Sequence[str] = tuple(PANELS)) -> Figure:
    """Draw training against validation, epoch by epoch.

    Args:
        epochs: At least one, as in ``result.json``: ``number``, and ``train`` and ``valid`` with the metrics.
        kept: Number of the epoch whose weights were kept; marked by a line.
        panels: Keys of :data:`PANELS`, drawn one above the other.
    """
    with own_looks():
        figure = blank(4.0, 2.7 * len(panels))
        for axes, name in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            _curve(axes, epochs, name, kept)
    return figure


def confusion(matrix: Sequence[Sequence[int]], title: str) -> Figure:
    """Draw a confusion matrix; a cell holds its share of the row in percent and, below it, its count.

    Args:
        matrix: ``K`` rows (true class) of ``K`` counts (predicted class); a row may be empty.
        title: Stands above it.
    """
    with own_looks():
        figure = blank(4.0, 4.0)
        _matrix(figure.subplots(), np.array(matrix), title)
    return figure


def overview(series: Mapping[str, Sequence[float]], matrix: Sequence[Sequence[int]], title: str) -> Figure:
    """Draw validation losses of several runs beside a confusion matrix: the picture of the README.

    Args:
        series: Name of a run to its validation loss, epoch by epoch, in nats.
        matrix: As for :func:`confusion`.
        title: Stands above the matrix.
    """
    with own_looks():
        figure = blank(9.0, 4.2)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.05))
        _losses(left, series)
        left.legend(frameon=False, fontsize=9)
        _matrix(right, np.array(matrix), title)
    return figure


def losses(series: Mapping[str, Sequence[float]]) -> Figure:
    """Draw validation losses of several runs, epoch by epoch: the report's Figure 1.

    Of more than five runs the names stand below, and losses far above the least are cut off, so that the ends can be
    told apart.

    Args:
        series: As for :func:`overview`.
    """
    crowded = len(series) > 5
    with own_looks():
        figure = blank(8.0, 4.4 + 0.1 * len(series)) if crowded else blank(5.0, 3.6)
        axes = figure.subplots()
        _losses(axes, series)
        if crowded:
            figure.legend(loc="outside lower left", frameon=False, fontsize=8, ncols=2)
            least = min(map(min, series.values()))
            axes.set_ylim(0.98 * least, 1.25 * least)
        else:
            axes.legend(frameon=False, fontsize=9)
    return figure


def preview_sheet(before: NDArray[np.uint8], after: NDArray[np.uint8], labels: NDArray[np.int64]) -> Figure:
    """Draw a row a face: the face as it is, then versions of it; each pixel of a face is 2 x 2 pixels of the PNG.

    Args:
        before: ``(N, 48, 48)`` uint8, N at least 1.
        after: ``(M, N, 48, 48)`` uint8.
        labels: ``(N,)`` classes.
    """
    rows = np.concatenate([before[None], after]).swapaxes(0, 1)
    canvas, step = _tiled(rows), rows.shape[-1] * _SCALE + _GAP
    left, top, edge = 70, 34, 12
    height, width = canvas.shape[0] + top + edge, canvas.shape[1] + left + edge
    with own_looks():
        figure = Figure(figsize=(width / 100, height / 100), facecolor=(_SHEET / 255,) * 3)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((left / width, edge / height, canvas.shape[1] / width, canvas.shape[0] / height))
        axes.set_axis_off()
        axes.imshow(canvas[..., None].repeat(3, axis=2), interpolation="nearest", aspect="auto")
        text: dict[str, Any] = {"color": "#e8e8e8", "fontsize": 9.5}
        for n, label in enumerate(labels):
            axes.text(-8, (n + 0.5) * step - _GAP / 2, EXPRESSIONS[label], ha="right", va="center", **text)
        for m, name in enumerate(["before", *(f"version {m}" for m in range(1, len(after) + 1))]):
            axes.text((m + 0.5) * step - _GAP / 2, -8, name, ha="center", va="bottom", **text)
    return figure


def save(figure: Figure, path: Path, remark: str = "") -> None:
    """Write ``figure`` as PNG or SVG, whole or not at all; the same figure gives the same bytes.

    Args:
        figure: Any.
        path: Its ending says in which format.
        remark: Stands in the file, but not in the picture.

    Raises:
        DataError: ``path`` ends in neither ``.png`` nor ``.svg``.
        OSError: It cannot be written to.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise DataError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    remarks = {**FORMATS[ending], **({"Description": remark} if remark else {})}
    with own_looks(), replacing(path) as part:
        figure.savefig(part, format=ending[1:], dpi="figure", metadata=remarks)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what keeps ``path`` from being written into a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written to ({error.strerror or error})") from None


def inline_svg(figure: Figure, name: str) -> str:
    """Return ``figure`` as markup to stand inside a page: transparent, its ink the colour of the text around it.

    Args:
        figure: Without faces or other pictures.
        name: Begins every id, so that several figures can share a page.
    """
    text = io.StringIO()
    with own_looks():
        figure.savefig(text, format="svg", transparent=True, metadata=FORMATS[".svg"])
    svg = re.search(r"<svg.*</svg>", text.getvalue(), re.DOTALL)
    assert svg is not None
    _, box, inside = re.split(r'^<svg[^>]*(viewBox="[^"]*")[^>]*>', svg[0], maxsplit=1)
    inside = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", inside)
    return f"<svg {box}>" + inside.replace("xlink:href", "href").replace(INK, "currentColor")


@contextmanager
def own_looks() -> Iterator[None]:
    """Draw and save under our own settings, whatever the user's are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def blank(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches.

    Its parts are laid out by a solver: for a few parts only, since with many its last digits vary from run to run, and
    with them the bytes of an SVG. :func:`fixed` is for those.
    """
    figure = Figure(figsize=(width, height), dpi=200, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def fixed(width: float, height: float) -> Figure:
    """Return an empty figure, width and height in inches, to be filled with :func:`add_axes`."""
    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place given in inches, ``left`` and ``top`` from the upper left corner of the figure."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def _curve(axes: Axes, epochs: Sequence[dict[str, Any]], name: str, kept: int | None) -> None:
    label, factor = PANELS[name]
    numbers = [epoch["number"] for epoch in epochs]
    every = max(1, len(epochs) // 15)
    for side, word, color, line, marker in (
        ("train", "training", TRAIN, "--", "s"),
        ("valid", "validation", VALID, "-", "o"),
    ):
        values = [factor * epoch[side][name] for epoch in epochs]
        look: dict[str, Any] = {
            "color": color,
            "linestyle": line,
            "marker": marker,
            "markersize": 4.5,
            "markevery": every,
        }
        axes.plot(numbers, values, linewidth=1.8, label=word, **look)
    if kept is not None:
        axes.axvline(kept, color=INK, linewidth=1, linestyle=":", label=f"kept: epoch {kept}")
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="lower left", bbox_to_anchor=(-0.14, 1), **_TIGHT)
    ink(axes)


def _losses(axes: Axes, series: Mapping[str, Sequence[float]]) -> None:
    for (name, values), marker in zip(series.items(), cycle("osD^vPX"), strict=False):
        look: dict[str, Any] = {"marker": marker, "markersize": 4.5, "markevery": max(1, len(values) // 15)}
        axes.plot(range(1, len(values) + 1), values, linewidth=1.8, label=name, **look)
    axes.set_title("validation loss", fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel("nats a face")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.8)
    ink(axes)


def _matrix(axes: Axes, counts: NDArray[np.int64], title: str) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    _cells(axes, shares)
    for (row, column), count in np.ndenumerate(counts):
        percent = f"{100 * shares[row, column]:.0f} %" if totals[row, 0] else "–"
        axes.text(column, row - 0.02, percent, ha="center", va="bottom", fontsize=9.5)
        axes.text(column, row + 0.08, str(count), ha="center", va="top", fontsize=8)
    axes.set_title(title, fontsize=11)


def _cells(axes: Axes, shares: NDArray[np.float64]) -> None:
    """Colour the cells of a matrix and name its rows and columns."""
    classes = len(EXPRESSIONS)
    shape = (classes, classes, 4)
    colours = np.broadcast_to(mpl.colors.to_rgba(TRAIN), shape).copy()
    colours[..., 3] = _DEPTH * shares
    axes.pcolormesh(np.arange(classes + 1) - 0.5, np.arange(classes + 1) - 0.5, colours, linewidth=0)
    for edge in np.arange(1, classes) - 0.5:
        axes.axhline(edge, color=INK, alpha=0.15, linewidth=0.8)
        axes.axvline(edge, color=INK, alpha=0.15, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xticks(range(classes), EXPRESSIONS, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), EXPRESSIONS)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    ink(axes)
    axes.tick_params(length=0)


def ink(axes: Axes) -> None:
    """Give the axes our ink, and leave out the spines that say nothing."""
    axes.tick_params(color=INK, labelcolor=INK, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _tiled(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one picture of ``rows`` ``(N, M, 48, 48)``, enlarged, with gaps between the faces."""
    large = rows.repeat(_SCALE, axis=2).repeat(_SCALE, axis=3)
    spaced = np.pad(large, ((0, 0), (0, 0), (0, _GAP), (0, _GAP)), constant_values=_SHEET)
    count, versions, height, width = spaced.shape
    canvas = spaced.swapaxes(1, 2).reshape(count * height, versions * width)
    return np.ascontiguousarray(canvas[:-_GAP, :-_GAP])
