"""The picture of expressions over time."""

import numpy as np
import pytest

from ferkit.inference import timeline
from ferkit.inference.boxes import Box
from ferkit.inference.colours import COLOURS, colour_of
from ferkit.inference.history import History
from ferkit.inference.recognizer import Face
from ferkit.inference.timeline import MOST, WIDTH, clock, draw_timeline
from ferkit.inference.tracks import Reading
from ferkit.inference.video import Frame
from ferkit.labels import EXPRESSIONS


def history_of(tracks, seconds=10.0, classes=EXPRESSIONS, start=0.0):
    """Return a history; ``tracks`` maps a number to a function from seconds to an expression or None."""
    history = History(classes, start)
    for number in range(round(10 * seconds)):
        readings = []
        for track, says in tracks.items():
            if says(number / 10) is not None:
                values = dict.fromkeys(classes, 0.0) | {says(number / 10): 1.0}
                face = Face(Box(0, 0, 9), says(number / 10), 1.0, values)
                readings.append(Reading(track, 5, face, face))
        history.add(Frame(number, start + number / 10, tuple(readings)))
    history.close(start + seconds)
    return history


def test_ribbon_and_stack_have_the_colour_of_the_moment():
    drawn = draw_timeline(history_of({1: lambda t: "happy" if t < 5 else "sad" if t < 7.5 else None}))
    left, width = 150, WIDTH - 150 - 30
    for share, colour in [(0.1, "happy"), (0.4, "happy"), (0.55, "sad"), (0.7, "sad")]:
        column = drawn[:, round(left + share * width)]
        assert np.abs(column[97:100].astype(int) - COLOURS[colour]).max() < 3, share  # in the ribbon, beside its name
        assert np.abs(column[130:190].astype(int) - COLOURS[colour]).max() < 3, share
    gone = drawn[130:190, round(left + 0.9 * width)]
    assert gone.min() > 240


def test_a_part_fills_the_picture_and_keeps_the_times_of_the_film(monkeypatch):
    written = []
    monkeypatch.setattr(timeline, "_text", lambda canvas, text, x, *rest: written.append((text, x)))
    tracks = {1: lambda t: "happy" if t < 5 else "sad"}
    part, whole = (draw_timeline(history_of(tracks, start=start)) for start in (3600.5, 0.0))
    stacks = slice(130, 190), slice(150, WIDTH - 30)
    assert np.array_equal(part[stacks], whole[stacks])
    times = [text for text, _ in written if ":" in text and "ribbon" not in text]
    assert times[:10] == [f"1:00:{second:02}" for second in range(1, 11)]
    places = [x for text, x in written if text.startswith("1:00:0")]
    assert 180 < places[0] < 200
    assert places == sorted(places)


def test_each_track_has_a_row_up_to_a_limit():
    heights = [
        len(draw_timeline(history_of({k + 1: lambda t: "happy" for k in range(n)}))) for n in (1, 2, MOST, MOST + 5)
    ]
    assert heights[1] - heights[0] > 80
    assert heights[3] == heights[2]


def test_the_legend_has_the_colour_of_each_class():
    band = draw_timeline(history_of({1: lambda t: "happy"}))[54:71, 150:].astype(int)
    for name in EXPRESSIONS:
        assert (np.abs(band - COLOURS[name]).max(axis=2) < 3).sum() > 100, name


def test_without_a_face_there_is_a_picture_too():
    drawn = draw_timeline(history_of({}), "größe")
    assert drawn.shape[1:] == (WIDTH, 3)
    assert drawn.min() < 150


def test_an_empty_history_can_be_drawn():
    assert draw_timeline(History(EXPRESSIONS)).shape[1] == WIDTH


def test_classes_of_another_data_set_have_colours_of_their_own():
    classes = ("happy", "contempt", "boredom")
    assert len({colour_of(name, classes) for name in classes}) == 3
    drawn = draw_timeline(history_of({1: lambda t: "contempt"}, classes=classes))
    assert np.abs(drawn[150, 400].astype(int) - colour_of("contempt", classes)).max() < 3


@pytest.mark.parametrize("seconds", [0.1, 3, 59, 61, 3000, 20000])
def test_any_length_has_an_axis(seconds):
    history = History(EXPRESSIONS)
    values = dict.fromkeys(EXPRESSIONS, 1 / 7)
    face = Face(Box(0, 0, 9), "uncertain", 1 / 7, values)
    history.add(Frame(0, 0.0, (Reading(1, 1, face, face),)))
    history.close(seconds)
    drawn = draw_timeline(history)
    labels = drawn[-44:-14, 140:] < 100
    assert labels.any(axis=(0, 2)).sum() > 15


def test_times_are_read_in_minutes_and_seconds():
    assert [clock(s) for s in (0, 59.99, 60, 3599, 3600)] == ["00:00", "00:59", "01:00", "59:59", "1:00:00"]
    assert clock(0.3 * 3, tenths=True) == "00:00.9"
    assert clock(1.88, tenths=True) == "00:01.9"
    assert clock(59.97, tenths=True) == "01:00.0"


def test_a_long_title_and_the_last_time_stay_inside(monkeypatch):
    written = []
    plain = timeline._text
    monkeypatch.setattr(
        timeline,
        "_text",
        lambda canvas, text, x, *rest: (written.append((text, x, rest)), plain(canvas, text, x, *rest)),
    )
    for seconds in (0.3, 54000.0):
        history = History(EXPRESSIONS)
        history.add(Frame(0, 0.0, ()))
        history.close(seconds)
        draw_timeline(history, "Fête " * 60 + "end")
    assert all(x + timeline._text_width(text, rest[1]) <= WIDTH for text, x, rest in written)
    assert any(text.startswith("...") and text.endswith("Fete end") for text, _, _ in written)
    assert any(text == "00:00.2" for text, _, _ in written)
    assert any(text == "15:00:00" for text, _, _ in written)
