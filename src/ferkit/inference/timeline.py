"""A picture of expressions over time: for each track a ribbon of what was reported, and its probabilities stacked.

Drawn with OpenCV, since recognition goes without matplotlib; twice as large as it ends up, for smooth edges.
"""

import math
import unicodedata
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ferkit.inference.colours import Colour, colour_of, ink_on
from ferkit.inference.history import History, Slice, TrackHistory, without_brief
from ferkit.inference.images import RGB
from ferkit.labels import UNCERTAIN

WIDTH = 1600
"""Pixels of the picture."""

MOST = 12
"""Tracks that are drawn, those seen for the longest time; brief ones are left out."""

_FINER = 2  # times larger while it is drawn
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 30, 96, 44
_RIBBON, _SPACE, _STACK, _GAP = 24, 3, 72, 18
_COLUMNS = (WIDTH - _LEFT - _RIGHT) * _FINER
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_INK: Colour = (30, 30, 30)
_FAINT: Colour = (110, 110, 110)
_EMPTY: Colour = (246, 246, 246)
_EDGE: Colour = (205, 205, 205)


def draw_timeline(history: History, title: str = "") -> RGB:
    """Return the picture ``(H, 1600, 3)``; its height depends on the number of tracks.

    Args:
        history: Closed.
        title: Above it, such as the video's name.
    """
    import cv2

    tracks = history.tracks()
    shown = sorted(sorted(without_brief(tracks), key=lambda t: -t.seconds)[:MOST], key=lambda t: t.number)
    row = _RIBBON + _SPACE + _STACK + _GAP
    height = _TOP + max(1, len(shown)) * row + _BOTTOM
    canvas = np.full((height * _FINER, WIDTH * _FINER, 3), 255, np.uint8)
    _text(canvas, _fitted(_ascii(title), 0.75), _LEFT, 32, 0.75, _INK)
    _legend(canvas, history, shown)
    _axis(canvas, history.start, _length(history), _TOP, height - _BOTTOM)
    for place, track in enumerate(shown):
        _track(canvas, history, track, _TOP + place * row)
    if not shown:
        _text(canvas, "no face was found", _LEFT + 20, _TOP + 60, 0.7, _FAINT)
    if len(shown) < len(tracks):
        longest = max(track.seconds for track in tracks if track not in shown)
        rest = f"not drawn: {len(tracks) - len(shown)} more, each seen for {longest:.1f} s or less"
        _text(canvas, rest, _LEFT, height - 8, 0.45, _FAINT)
    return np.asarray(cv2.resize(canvas, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def clock(seconds: float, tenths: bool = False) -> str:
    """Return a time as ``mm:ss``, or ``h:mm:ss`` from an hour on.

    Example:
        >>> clock(75), clock(75.25, tenths=True), clock(3661)
        ('01:15', '01:15.2', '1:01:01')
    """
    steps = round(seconds * 10) if tenths else int(seconds * 10 + 1e-6)  # a clock does not run ahead
    minutes, rest = divmod(steps, 600)
    whole = f"{minutes // 60}:{minutes % 60:02}" if minutes >= 60 else f"{minutes:02}"
    return f"{whole}:{rest // 10:02}" + (f".{rest % 10}" if tenths else "")


def _length(history: History) -> float:
    """Return the seconds from the left of the picture to its right."""
    return max(history.end - history.start, 1e-3)


def _track(canvas: RGB, history: History, track: TrackHistory, top: int) -> None:
    import cv2

    _text(canvas, f"track {track.number}", 20, top + 20, 0.62, _INK)
    _text(canvas, f"seen {track.seconds:.1f} s", 20, top + 44, 0.48, _FAINT)
    best, share = next(iter(track.shares.items()), ("", 0.0))
    _text(canvas, f"{_ascii(best)} {share:.0%}", 20, top + 66, 0.48, _FAINT)
    columns = _columns(history.slices(track.number), history.width, _length(history))
    names = [None if column is None else column.expression for column in columns]
    ribbon, stack = _area(canvas, top, _RIBBON), _area(canvas, top + _RIBBON + _SPACE, _STACK)
    ribbon[:], stack[:] = _EMPTY, _EMPTY
    _stack(stack, columns, history)
    for start, stop, name in _runs(names):
        ribbon[:, start:stop] = colour_of(name, history.classes)
        if name == UNCERTAIN:
            _hatch(ribbon[:, start:stop])
        _name(canvas, name, start, stop, top, colour_of(name, history.classes))
    left, right = _LEFT * _FINER, _LEFT * _FINER + _COLUMNS - 1
    for y, tall in ((top, _RIBBON), (top + _RIBBON + _SPACE, _STACK)):
        cv2.rectangle(canvas, (left, y * _FINER), (right, (y + tall) * _FINER - 1), _EDGE, _FINER)


def _columns(slices: dict[int, Slice], width: float, length: float) -> list[Slice | None]:
    """Return the slice of each column; gaps shorter than a column do not show."""
    moments = (np.arange(_COLUMNS) + 0.5) * length / _COLUMNS
    return [slices.get(int(index)) for index in moments / width]


def _stack(area: RGB, columns: list[Slice | None], history: History) -> None:
    colours = np.array([colour_of(name, history.classes) for name in history.classes], np.uint8)
    heights = (np.arange(len(area)) + 0.5) / len(area)
    for x, column in enumerate(columns):
        if column is not None:
            which = np.searchsorted(np.cumsum(column.probabilities), heights).clip(0, len(colours) - 1)
            area[:, x] = colours[which]


def _runs(names: list[str | None]) -> Iterator[tuple[int, int, str]]:
    """Yield first column, column after the last one, and name of each stretch of the same name."""
    start = 0
    for x in range(1, len(names) + 1):
        if x == len(names) or names[x] != names[start]:
            name = names[start]
            if name is not None:
                yield start, x, name
            start = x


def _name(canvas: RGB, name: str, start: int, stop: int, top: int, colour: Colour) -> None:
    """Write the name into its stretch of the ribbon, if it fits."""
    width = _text_width(name, 0.5)
    if (stop - start) / _FINER >= width + 10:
        x = round(_LEFT + (start + stop) / 2 / _FINER - width / 2)
        if name == UNCERTAIN:  # hatched: clear a place for the name
            _area(canvas, top + 3, _RIBBON - 6)[:, (x - _LEFT - 3) * _FINER : (x - _LEFT + width + 3) * _FINER] = 255
        _text(canvas, name, x, top + 17, 0.5, ink_on(colour))


def _legend(canvas: RGB, history: History, tracks: list[TrackHistory]) -> None:
    import cv2

    names = list(history.classes)
    if any(UNCERTAIN in track.shares for track in tracks):
        names.append(UNCERTAIN)
    x, y, side = _LEFT, 54, 16
    for name in names:
        patch = canvas[y * _FINER : (y + side) * _FINER, x * _FINER : (x + side) * _FINER]
        patch[:] = colour_of(name, history.classes)
        if name == UNCERTAIN:
            _hatch(patch)
        corner = ((x + side) * _FINER, (y + side) * _FINER)
        cv2.rectangle(canvas, (x * _FINER, y * _FINER), corner, _EDGE, _FINER)
        _text(canvas, _ascii(name), x + side + 7, y + 13, 0.52, _INK)
        x += side + 7 + _text_width(name, 0.52) + 26
    _text(canvas, "ribbon: reported   below: probabilities", WIDTH - _RIGHT - 305, y + 13, 0.46, _FAINT)


def _axis(canvas: RGB, start: float, length: float, top: int, bottom: int) -> None:
    import cv2

    step = next(
        (step for step in _STEPS if length / step <= 14), _STEPS[-1] * max(1.0, round(length / 14 / _STEPS[-1]))
    )
    for moment in np.arange(math.ceil(start / step - 1e-6) * step, start + length + 1e-6, step).tolist():
        x = round(_LEFT * _FINER + max(0.0, moment - start) / length * (_COLUMNS - 1))
        cv2.line(canvas, (x, (top - 6) * _FINER), (x, (bottom - _GAP + 6) * _FINER), _EDGE, _FINER)
        label = clock(moment, tenths=step < 1)
        wide = _text_width(label, 0.5)
        left = min(round(x / _FINER - wide / 2), WIDTH - 2 - wide)
        _text(canvas, label, left, bottom - _GAP + 24, 0.5, _INK)
    _text(canvas, "time", 20, bottom - _GAP + 24, 0.5, _FAINT)


def _area(canvas: RGB, top: int, height: int) -> NDArray[np.uint8]:
    return canvas[top * _FINER : (top + height) * _FINER, _LEFT * _FINER : _LEFT * _FINER + _COLUMNS]


def _hatch(area: NDArray[np.uint8]) -> None:
    y, x = np.indices(area.shape[:2])
    area[(x + y) // (4 * _FINER) % 2 == 0] = _EDGE


def _ascii(text: str) -> str:
    """Return ``text`` without accents: OpenCV's font has no other letters."""
    plain = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(plain).encode("ascii", "replace").decode()


def _fitted(text: str, size: float) -> str:
    """Return ``text``, or its end if it is too long for a line."""
    if _text_width(text, size) <= WIDTH - _LEFT - _RIGHT:
        return text
    start = next(k for k in range(len(text)) if _text_width("..." + text[k:], size) <= WIDTH - _LEFT - _RIGHT)
    return "..." + text[start:]


def _text_width(text: str, size: float) -> int:
    import cv2

    return round(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size * _FINER, _FINER)[0][0] / _FINER)


def _text(canvas: RGB, text: str, x: int, y: int, size: float, colour: Colour) -> None:
    import cv2

    at = (x * _FINER, y * _FINER)
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size * _FINER, colour, _FINER, cv2.LINE_AA)
