"""What was read over time, gathered track by track in a bounded number of time slices.

A reading holds until the next look. Slices start at 1/50 s and double in length whenever there are too many of them, so
a film of three hours takes no more memory than one of a minute; only each further track adds a little.

Letters: K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferkit.inference.tracks import SURE
from ferkit.inference.video import Frame
from ferkit.labels import UNCERTAIN

SLICES = 3200
"""At most; a timeline has fewer columns."""

BRIEF = 0.5
"""Seconds; most tracks that are seen for less, or in fewer looks than :data:`~ferkit.inference.tracks.SURE`, are false
alarms."""

_FIRST = 0.02  # seconds of a slice at the beginning


@dataclass(frozen=True, slots=True)
class Slice:
    """A short while of a track."""

    seconds: float
    """For which the face was seen in it."""

    probabilities: NDArray[np.float64]
    """``(K,)``, the mean."""

    expression: str
    """The one reported for the longest time."""


@dataclass(frozen=True, slots=True)
class TrackHistory:
    """One face from its first to its last reading."""

    number: int
    """Of the track."""
    first: float
    """Seconds at which it was seen first."""
    last: float
    """Seconds at which its last reading ends."""
    looks: int
    """In which it was seen."""
    seconds: float
    """For which it was seen."""
    shares: Mapping[str, float]
    """Of the time it was seen, for each expression reported, the largest first; they sum to 1."""


def without_brief(tracks: list[TrackHistory]) -> list[TrackHistory]:
    """Return the tracks seen for at least :data:`BRIEF` seconds and in enough looks, or all if none is."""
    return [track for track in tracks if track.seconds >= BRIEF and track.looks >= SURE] or tracks


class History:
    """Frames in, track by track out."""

    def __init__(self, classes: Sequence[str], start: float = 0.0) -> None:
        """Start with nothing.

        Args:
            classes: In the order of the network's card.
            start: Seconds at which the film, or the part of it that is read, begins; no frame comes before.
        """
        self.classes = tuple(classes)
        self.start = start
        self.width = _FIRST
        """Seconds of a slice."""
        self.end = start
        """Seconds at which the last reading ends."""
        self.closed = False
        """Whether all was taken up."""
        self._names = (*self.classes, UNCERTAIN)
        self._slices: dict[int, dict[int, NDArray[np.float64]]] = {}
        self._spans: dict[int, tuple[float, float, int]] = {}
        self._last: Frame | None = None

    def add(self, frame: Frame) -> None:
        """Take up the next frame."""
        if self._last is not None:
            self._hold(self._last, frame.seconds)
        self._last = frame

    def close(self, seconds: float) -> None:
        """Let the last frame's readings hold until ``seconds``."""
        self.closed = True
        if self._last is not None:
            self._hold(self._last, max(seconds, self._last.seconds))
            self._last = None

    def tracks(self) -> list[TrackHistory]:
        """Return every track, in the order of their numbers."""
        found = []
        for number, slices in sorted(self._slices.items()):
            total = np.sum(list(slices.values()), axis=0)
            k = len(self.classes)
            seconds = float(total[:k].sum())
            held = dict(zip(self._names, (total[k:] / max(total[k:].sum(), 1e-12)).tolist(), strict=True))
            shares = {name: held[name] for name in sorted(held, key=held.__getitem__, reverse=True) if held[name] > 0}
            found.append(TrackHistory(number, *self._spans[number], seconds, shares))
        return found

    def slices(self, number: int) -> dict[int, Slice]:
        """Return the slices in which a track was seen, by their place from the start on."""
        k = len(self.classes)
        return {
            index: Slice(float(sums[:k].sum()), sums[:k] / sums[:k].sum(), self._names[int(sums[k:].argmax())])
            for index, sums in sorted(self._slices[number].items())
        }

    def _hold(self, frame: Frame, until: float) -> None:
        if until <= frame.seconds:  # another frame of the same time takes its place
            return
        self.end = max(self.end, until)
        while (until - self.start) / self.width >= SLICES:
            self._double()
        for reading in frame.readings:
            face = reading.face
            first, _, looks = self._spans.get(reading.track, (frame.seconds, 0.0, 0))
            self._spans[reading.track] = (first, until, looks + 1)
            values = np.zeros(len(self.classes) + len(self._names))
            values[: len(self.classes)] = [face.probabilities[name] for name in self.classes]
            values[: len(self.classes)] /= values[: len(self.classes)].sum()
            values[len(self.classes) + self._names.index(face.expression)] = 1
            span = frame.seconds - self.start, until - self.start
            self._spread(self._slices.setdefault(reading.track, {}), values, *span)

    def _spread(
        self, slices: dict[int, NDArray[np.float64]], values: NDArray[np.float64], start: float, end: float
    ) -> None:
        for index in range(int(start / self.width), int(end / self.width) + 1):
            seconds = min(end, (index + 1) * self.width) - max(start, index * self.width)
            if seconds > 1e-9:
                slices[index] = slices[index] + seconds * values if index in slices else seconds * values

    def _double(self) -> None:
        self.width *= 2
        for number, slices in self._slices.items():
            merged: dict[int, NDArray[np.float64]] = {}
            for index, sums in slices.items():
                merged[index // 2] = merged[index // 2] + sums if index // 2 in merged else sums
            self._slices[number] = merged
