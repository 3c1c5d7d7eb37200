"""Faces of one moment after another to tracks: who is who over time, and a steady box and expression for each.

**Who is who.** Each track's box is moved on to where it should be by now; then the pair of track and face that overlap
most is joined, then the next pair, as long as the overlap is at least :data:`MIN_OVERLAP` (greedy matching by
intersection over union, as in Bewley et al., 2016, https://arxiv.org/abs/1602.00763, with a simpler filter and no
Hungarian method: faces seldom compete for a track). A face that is left over opens a track with the next number. A
track that is left over waits, both where it should be by now and where it was seen last; it ends once it has not been
seen for :data:`PATIENCE` seconds and :data:`MISSES` looks. Numbers are never given twice. Two people who take each
other's place at a cut of the film are one track.

**Box.** An alpha-beta filter with the gains of Benedict and Bordner, 1962: middle and size follow the detector with a
time constant of :data:`BOX_SECONDS`; the middle's speed is estimated too, so that a moving face's box does not lag. The
angle is the last face's.

**Expression.** Probabilities are smoothed exponentially in time, not in frames: after ``dt`` seconds the new ones
weigh ``1 - exp(-dt / smoothing)``. So a face that changes its expression at once is seen at 63 % of the change after
``smoothing`` seconds and at 95 % after three times that, at any frame rate. Whether a reading is ``uncertain`` is
decided afterwards.

Letters: K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError, OptionError
from ferkit.inference.boxes import Box
from ferkit.inference.recognizer import Face, check_min_confidence

MIN_OVERLAP = 0.15
"""Of a track's box and a face's, for them to be the same; squares that are 3/4 of their side apart have 0.14."""

PATIENCE = 1.0
"""Seconds a track may not be seen ..."""

MISSES = 3
"""... and looks, whichever is longer, before it ends."""

BOX_SECONDS = 0.1
"""Time constant of boxes."""

SMOOTHING = 0.5
"""Time constant of probabilities in seconds, where nothing else is asked for."""

SURE = 3
"""Looks that must have seen a face before it is drawn or shown live; false alarms seldom come that far."""

_HELD = 0.25  # seconds for which a face that was missed is still shown


@dataclass(frozen=True, slots=True)
class Reading:
    """A face of one frame, as part of its track."""

    track: int
    """Number of the face's track, from 1."""

    looks: int
    """Times the track has been seen up to now; 1 where it begins."""

    face: Face
    """Box and probabilities smoothed over time."""

    raw: Face
    """What this frame alone says."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"track": self.track, "looks": self.looks, **self.face.to_dict(), "raw": self.raw.to_dict()}


class _Track:
    def __init__(self, number: int, face: Face, seconds: float) -> None:
        self.number = number
        self.seen = seconds
        self.looks, self.misses = 1, 0
        self.probabilities = dict(face.probabilities)
        self._place = _place(face.box)
        self._angle = face.box.angle
        self._speed = np.zeros(3)
        self._at = seconds

    def place(self, seconds: float) -> NDArray[np.float64]:
        """Return middle and size ``(x, y, size)`` expected at ``seconds``."""
        return self._place + self._speed * (seconds - self._at)

    def box(self, seconds: float) -> Box:
        x, y, size = self.place(seconds).tolist()
        side = max(1, round(size))
        return Box(round(x - side / 2), round(y - side / 2), side, self._angle)

    def add(self, face: Face, seconds: float, smoothing: float) -> None:
        weight = _weight(seconds - self.seen, smoothing)
        for name, value in face.probabilities.items():
            self.probabilities[name] += weight * (value - self.probabilities[name])
        self._follow(face.box, seconds)
        self.seen, self.misses = seconds, 0
        self.looks += 1

    def _follow(self, box: Box, seconds: float) -> None:
        elapsed = seconds - self._at
        if elapsed <= 0:
            return
        self._angle = box.angle
        alpha = _weight(elapsed, BOX_SECONDS)
        expected = self.place(seconds)
        error = _place(box) - expected
        self._place = expected + alpha * error
        self._speed[:2] += alpha**2 / (2 - alpha) / elapsed * error[:2]  # a size has no speed: it would run away
        self._at = seconds


class Tracker:
    """Faces in, readings out; remembers only the tracks that have not ended."""

    def __init__(self, smoothing: float = SMOOTHING, min_confidence: float = 0.0) -> None:
        """Start without tracks.

        Args:
            smoothing: Time constant of the probabilities, in seconds; 0 for none.
            min_confidence: Below it a smoothed expression is ``uncertain``; 0 to 1.

        Raises:
            OptionError: One of them is no number, or out of range.
        """
        if not isinstance(smoothing, int | float | np.number) or not 0 <= smoothing < math.inf:
            raise OptionError(f"smoothing must be 0 or more seconds, got {smoothing!r}")
        check_min_confidence(min_confidence)
        self._smoothing, self._min_confidence = smoothing, min_confidence
        self._tracks: list[_Track] = []
        self._given = 0
        self._now = -math.inf

    def update(self, faces: Sequence[Face], seconds: float) -> tuple[Reading, ...]:
        """Return a reading for each face, in the order of track numbers.

        Args:
            faces: All of one moment.
            seconds: When that was; only differences count.

        Raises:
            ImageError: ``seconds`` is earlier than the last ones, or not finite.
            OptionError: It is no number.
        """
        seconds = in_seconds(seconds)
        if not math.isfinite(seconds) or seconds < self._now:
            raise ImageError(f"expected times in seconds that do not go back, got {seconds} after {self._now}")
        self._now = seconds
        self._tracks = [t for t in self._tracks if t.misses < MISSES or seconds - t.seen < PATIENCE]
        for track in self._tracks:
            track.misses += 1  # set back for those that are seen
        pairs = _matched(self._tracks, faces, seconds)
        readings = []
        for index, face in enumerate(faces):
            if index in pairs:
                pairs[index].add(face, seconds, self._smoothing)
            else:
                pairs[index] = self._opened(face, seconds)
            track = pairs[index]
            readings.append(Reading(track.number, track.looks, self._smoothed(track, seconds), face))
        return tuple(sorted(readings, key=lambda reading: reading.track))

    def between(self, seconds: float) -> tuple[tuple[int, Face], ...]:
        """Return track number and face of those seen just now, also at a moment nobody looked; for drawing.

        Faces appear from their third look on (:data:`SURE`) and stay for 1/4 s when they are missed.

        Args:
            seconds: Not before the last :meth:`update`.
        """
        seconds = in_seconds(seconds)
        shown = [t for t in self._tracks if t.looks >= SURE and (not t.misses or seconds - t.seen <= _HELD)]
        return tuple((track.number, self._smoothed(track, seconds)) for track in shown)

    def _opened(self, face: Face, seconds: float) -> _Track:
        self._given += 1
        track = _Track(self._given, face, seconds)
        self._tracks.append(track)
        return track

    def _smoothed(self, track: _Track, seconds: float) -> Face:
        return Face.from_probabilities(track.box(seconds), dict(track.probabilities), self._min_confidence)


def _matched(tracks: list[_Track], faces: Sequence[Face], seconds: float) -> dict[int, _Track]:
    """Return the track of each face that has one, by the face's index; the largest overlaps first, then old tracks."""
    pairs = []
    for track in tracks:
        places = [track.box(seconds)]
        if track.misses > 1:  # it may have stopped meanwhile
            places.append(track.box(track.seen))
        for index, face in enumerate(faces):
            overlap = max(place.overlap(face.box) for place in places)
            if overlap >= MIN_OVERLAP:
                pairs.append((-overlap, track.number, index, track))
    found: dict[int, _Track] = {}
    taken = set()
    for _, number, index, track in sorted(pairs, key=lambda pair: pair[:3]):
        if index not in found and number not in taken:
            found[index] = track
            taken.add(number)
    return found


def in_seconds(given: Any) -> float:
    """Return a time as a float, whatever kind of number it is.

    Raises:
        OptionError: It is none.
    """
    try:
        return float(given)
    except (TypeError, ValueError):
        raise OptionError(f"expected a time as a number of seconds, got {given!r}") from None


def _weight(elapsed: float, constant: float) -> float:
    """Return how much a new value counts, 0 to 1, ``elapsed`` seconds after the last one."""
    return 1.0 - math.exp(-elapsed / constant) if constant > 0 else 1.0


def _place(box: Box) -> NDArray[np.float64]:
    return np.array([box.x + box.size / 2, box.y + box.size / 2, box.size], float)
