"""What was read over time, in bounded memory."""

import pytest

from ferkit.inference.boxes import Box
from ferkit.inference.history import SLICES, History, without_brief
from ferkit.inference.recognizer import Face
from ferkit.inference.tracks import Reading
from ferkit.inference.video import Frame

CLASSES = ("happy", "sad")


def frame(number, seconds, **tracks):
    """Return a frame; ``tracks`` maps ``t1`` to the probability of happy."""
    readings = []
    for name, happy in tracks.items():
        values = {"happy": happy, "sad": 1 - happy}
        best = max(CLASSES, key=values.__getitem__)
        expression = best if values[best] >= 0.6 else "uncertain"
        face = Face(Box(0, 0, 9), expression, values[best], values)
        readings.append(Reading(int(name[1:]), 1, face, face))
    return Frame(number, seconds, tuple(readings))


def test_a_reading_holds_until_the_next_look():
    history = History(CLASSES)
    for number, (seconds, tracks) in enumerate(
        [(0.0, {"t1": 1.0}), (0.5, {"t1": 0.5, "t2": 0.0}), (2.0, {"t2": 0.0}), (2.25, {})]
    ):
        history.add(frame(number, seconds, **tracks))
    history.close(3.0)
    first, second = history.tracks()
    assert (first.number, first.first, first.last, first.looks) == (1, 0.0, 2.0, 2)
    assert first.seconds == pytest.approx(2.0)
    assert first.shares == pytest.approx({"uncertain": 0.75, "happy": 0.25})
    assert list(first.shares) == ["uncertain", "happy"]
    assert (second.number, second.seconds, second.looks) == (2, pytest.approx(1.75), 2)
    assert second.shares == {"sad": 1.0}
    assert history.end == 3.0


def test_slices_hold_the_mean_and_the_longest_expression():
    history = History(CLASSES)
    history.add(frame(0, 0.0, t1=1.0))
    history.add(frame(1, 0.005, t1=0.0))
    history.close(0.02)
    ((place, found),) = history.slices(1).items()
    assert (place, found.expression) == (0, "sad")
    assert found.seconds == pytest.approx(0.02)
    assert found.probabilities.tolist() == pytest.approx([0.25, 0.75])


def test_a_part_of_a_long_film_is_held_as_finely_as_a_short_film():
    history, whole = History(CLASSES, start=7200.0), History(CLASSES)
    for number in range(40):
        history.add(frame(180_000 + number, 7200 + number / 25, t1=number / 40))
        whole.add(frame(number, number / 25, t1=number / 40))
    history.close(7201.6)
    whole.close(1.6)
    assert history.width == whole.width
    assert history.slices(1).keys() == whole.slices(1).keys()
    ((track,), (same,)) = history.tracks(), whole.tracks()
    assert (track.first, track.last, history.end) == (7200.0, 7201.6, 7201.6)
    assert (track.looks, track.seconds) == (same.looks, pytest.approx(same.seconds))
    assert track.shares == pytest.approx(same.shares)


def test_hours_take_no_more_slices_than_a_minute_and_no_second_is_lost():
    history = History(CLASSES)
    for number in range(4 * 3600 * 2):
        history.add(frame(number, number / 2, t1=1.0 if number < 7200 else 0.0))
    history.close(4 * 3600.0)
    (track,) = history.tracks()
    assert track.seconds == pytest.approx(4 * 3600)
    assert track.shares == pytest.approx({"sad": 0.75, "happy": 0.25})
    assert len(history.slices(1)) <= SLICES
    assert max(history.slices(1)) < SLICES
    for place, found in history.slices(1).items():
        assert found.expression == ("happy" if (place + 0.5) * history.width < 3600 else "sad")


def test_a_single_frame_without_a_length_is_a_track_all_the_same():
    history = History(CLASSES)
    history.add(frame(0, 0.0, t1=1.0))
    history.close(0.04)
    assert [track.number for track in history.tracks()] == [1]


def test_of_two_frames_of_the_same_time_the_later_counts():
    history = History(CLASSES)
    for number, tracks in enumerate([{"t1": 1.0, "t2": 1.0}, {"t1": 0.0}, {"t1": 0.0}]):
        history.add(frame(number, 1.0 if number < 2 else 2.0, **tracks))
    history.close(3.0)
    (track,) = history.tracks()
    assert (track.number, track.seconds, track.shares) == (1, pytest.approx(2.0), {"sad": 1.0})


def test_brief_tracks_are_left_out_unless_all_are():
    history = History(CLASSES)
    for number in range(30):
        history.add(frame(number, number / 10, **({"t1": 1.0, "t2": 0.0} if number == 3 else {"t1": 1.0})))
    history.close(3.0)
    tracks = history.tracks()
    assert [track.number for track in without_brief(tracks)] == [1]
    assert without_brief(tracks[1:]) == tracks[1:]


def test_what_few_looks_have_seen_is_brief_however_long_they_hold():
    history = History(CLASSES)
    for number in range(5):
        history.add(frame(number, 2.0 * number, **({"t1": 1.0, "t2": 0.0} if number == 3 else {"t1": 1.0})))
    history.close(10.0)
    tracks = history.tracks()
    assert (tracks[1].seconds, tracks[1].looks) == (pytest.approx(2.0), 1)
    assert [track.number for track in without_brief(tracks)] == [1]


def test_after_a_reading_of_hours_there_are_no_more_slices_than_ever():
    history = History(CLASSES)
    history.add(frame(0, 0.0, t1=1.0))
    history.close(10_000.0)
    slices = history.slices(1)
    assert max(slices) < SLICES
    assert sum(each.seconds for each in slices.values()) == pytest.approx(10_000)


def test_a_slice_in_which_nothing_was_sure_is_uncertain():
    history = History(CLASSES)
    history.add(frame(0, 0.0, t1=0.55))
    history.close(0.02)
    ((_, found),) = history.slices(1).items()
    assert (found.expression, found.probabilities.tolist()) == ("uncertain", pytest.approx([0.55, 0.45]))
