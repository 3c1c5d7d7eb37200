"""Faces over time: who is who, steady boxes, smoothed expressions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkit.errors import ImageError, OptionError
from ferkit.inference.boxes import Box
from ferkit.inference.recognizer import Face
from ferkit.inference.tracks import MISSES, PATIENCE, SURE, Tracker
from ferkit.labels import UNCERTAIN

CLASSES = ("happy", "sad")


def face(x, y=100, size=60, happy=1.0):
    values = {"happy": happy, "sad": 1 - happy}
    best = max(CLASSES, key=values.__getitem__)
    return Face(Box(round(x), round(y), round(size)), best, values[best], values)


def numbers(readings):
    return [reading.track for reading in readings]


def test_two_faces_that_cross_keep_their_numbers_while_one_hides_the_other():
    tracker = Tracker()
    seen = []
    for frame in range(100):
        front, back = face(20 + 4 * frame, happy=1.0), face(420 - 4 * frame, happy=0.0)
        hidden = abs(front.box.x - back.box.x) < 40
        seen += [
            (reading.track, reading.raw.likeliest)
            for reading in tracker.update([front] if hidden else [front, back], frame / 25)
        ]
    assert set(seen) == {(1, "happy"), (2, "sad")}


@pytest.mark.parametrize("frames", [1, 3, 20])
def test_a_track_survives_missed_detections(frames):
    tracker = Tracker()
    for frame in range(10):
        tracker.update([face(100)], frame / 25)
    for frame in range(10, 10 + frames):
        assert tracker.update([], frame / 25) == ()
    assert numbers(tracker.update([face(104)], (10 + frames) / 25)) == [1]


def test_a_track_ends_after_its_patience_and_its_number_is_not_given_again():
    tracker = Tracker()
    tracker.update([face(100)], 0)
    for frame in range(1, 40):
        tracker.update([], frame / 25)
    assert PATIENCE < 39 / 25
    assert numbers(tracker.update([face(100)], 40 / 25)) == [2]


def test_a_track_ends_when_both_its_seconds_and_its_looks_are_over():
    tracker = Tracker()
    tracker.update([face(100)], 0)
    for look in range(1, MISSES + 1):
        tracker.update([], PATIENCE * look / 4)
    assert numbers(tracker.update([face(100)], PATIENCE)) == [2]


def test_a_track_waits_for_some_looks_however_far_apart_they_are():
    tracker = Tracker()
    tracker.update([face(100)], 0)
    for look in range(1, MISSES):
        tracker.update([], 10.0 * look)
    assert numbers(tracker.update([face(100)], 10.0 * MISSES)) == [1]


def test_a_face_elsewhere_is_another_track():
    tracker = Tracker()
    tracker.update([face(100)], 0)
    assert numbers(tracker.update([face(160)], 0.04)) == [2]


@pytest.mark.parametrize("smoothing", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("fps", [10, 25, 29.97, 60])
def test_a_change_is_seen_at_63_percent_after_the_time_constant_at_any_frame_rate(fps, smoothing):
    tracker = Tracker(smoothing=smoothing)
    tracker.update([face(100, happy=0.0)], 0)
    for frame in range(1, 1 + round(3 * smoothing * fps)):
        (reading,) = tracker.update([face(100, happy=1.0)], frame / fps)
        expected = 1 - math.exp(-frame / fps / smoothing)
        assert reading.face.probabilities["happy"] == pytest.approx(expected, abs=1e-9)
        assert sum(reading.face.probabilities.values()) == pytest.approx(1)


def test_smoothing_takes_irregular_times_into_account():
    tracker = Tracker(smoothing=0.5)
    tracker.update([face(100, happy=0.0)], 0)
    for seconds in (0.01, 0.02, 0.3, 0.31, 0.5):
        (reading,) = tracker.update([face(100, happy=1.0)], seconds)
    assert reading.face.probabilities["happy"] == pytest.approx(1 - math.exp(-1))


def test_without_smoothing_the_frame_alone_counts():
    tracker = Tracker(smoothing=0)
    for frame, happy in enumerate([0.9, 0.2, 0.6]):
        (reading,) = tracker.update([face(100, happy=happy)], frame / 25)
        assert reading.face.probabilities == pytest.approx(reading.raw.probabilities)


def test_whether_a_reading_is_uncertain_is_decided_after_smoothing():
    tracker = Tracker(smoothing=0.5, min_confidence=0.8)
    tracker.update([face(100, happy=0.95)], 0)
    (wavering,) = tracker.update([face(100, happy=0.55)], 0.04)
    assert (wavering.face.expression, wavering.face.likeliest) == ("happy", "happy")
    (turned,) = tracker.update([face(100, happy=0.0)], 0.4)
    assert turned.raw.confidence == 1
    assert turned.face.expression == UNCERTAIN


def test_the_box_of_a_still_face_does_not_jitter():
    rng = np.random.default_rng(0)
    tracker, raw, smooth = Tracker(), [], []
    for frame in range(200):
        (reading,) = tracker.update([face(200 + rng.normal(0, 4), size=100 + rng.normal(0, 4))], frame / 25)
        raw.append(reading.raw.box.x + reading.raw.box.size / 2)
        smooth.append(reading.face.box.x + reading.face.box.size / 2)
    steps = [np.abs(np.diff(values[20:])).mean() for values in (raw, smooth)]
    assert steps[1] < 0.4 * steps[0]


def test_the_box_of_a_moving_face_does_not_lag():
    tracker = Tracker()
    for frame in range(50):
        (reading,) = tracker.update([face(10 + 6 * frame)], frame / 25)
    assert abs(reading.face.box.x - reading.raw.box.x) <= 2


def test_a_face_is_drawn_from_its_third_look_and_moves_on_between_looks():
    tracker = Tracker()
    for look in range(SURE - 1):
        tracker.update([face(100 + 20 * look)], look / 5)
        assert tracker.between(look / 5) == ()
    for look in range(SURE - 1, 12):
        tracker.update([face(100 + 20 * look)], look / 5)
    ((number, between),) = tracker.between(11.5 / 5)
    assert number == 1
    assert between.box.x == pytest.approx(100 + 20 * 11.5, abs=3)


def test_a_missed_face_stays_drawn_for_a_moment_only():
    tracker = Tracker()
    for frame in range(10):
        tracker.update([face(100)], frame / 25)
    tracker.update([], 10 / 25)
    assert tracker.between(10 / 25)
    tracker.update([], 20 / 25)
    assert tracker.between(20 / 25) == ()


@pytest.mark.parametrize("seconds", [0.99, math.nan, math.inf])
def test_times_that_go_back_are_refused(seconds):
    tracker = Tracker()
    tracker.update([], 1.0)
    with pytest.raises(ImageError, match="do not go back"):
        tracker.update([], seconds)


@pytest.mark.parametrize("name", ["smoothing", "min_confidence"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "0.5"])
def test_settings_out_of_range_or_of_another_kind_are_refused(name, value):
    with pytest.raises(OptionError, match=f"{name} must be .*, got {value!r}"):
        Tracker(**{name: value})


boxes = st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 150))
looks = st.lists(st.tuples(st.floats(0, 2), st.lists(boxes, max_size=4)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(looks)
def test_each_face_has_one_reading_and_an_ended_number_never_comes_back(steps):
    tracker, now, highest, last_seen = Tracker(), 0.0, 0, {}
    for step, places in steps:
        now += step
        faces = [face(*place) for place in places]
        readings = tracker.update(faces, now)
        assert sorted(map(id, faces)) == sorted(id(reading.raw) for reading in readings)
        found = numbers(readings)
        assert found == sorted(set(found))
        new = [number for number in found if number > highest]
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        for reading in readings:
            values = reading.face.probabilities.values()
            assert sum(values) == pytest.approx(1)
            assert min(values) >= 0
            last_seen[reading.track] = now


def test_a_face_that_stops_while_it_is_missed_keeps_its_number():
    tracker = Tracker()
    for frame in range(25):
        tracker.update([face(100 + 6 * frame)], frame / 25)
    for frame in range(25, 45):
        tracker.update([], frame / 25)
    assert numbers(tracker.update([face(250)], 45 / 25)) == [1]


def test_a_face_that_is_seen_again_is_no_longer_missed():
    """Misses count from the last time on: ten separate ones end no track, however far apart the looks are."""
    tracker = Tracker()
    seen = []
    for look in range(30):
        seen += numbers(tracker.update([face(100)] if look % 3 == 0 else [], 2.0 * look))
    assert set(seen) == {1}


def test_the_angle_is_the_last_faces():
    tracker = Tracker()
    for frame, angle in enumerate((0.0, 20.0, -10.0)):
        tilted = Face(Box(100, 100, 60, angle), "happy", 1.0, {"happy": 1.0, "sad": 0.0})
        (reading,) = tracker.update([tilted], frame / 25)
        assert reading.face.box.angle == angle


def test_the_third_look_is_the_first_that_shows():
    tracker = Tracker()
    shown = []
    for look in range(SURE + 1):
        tracker.update([face(100)], look / 25)
        shown.append(len(tracker.between(look / 25)))
    assert shown == [0, 0, 1, 1]
