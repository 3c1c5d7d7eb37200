"""A camera gives its latest picture."""

import itertools
import time

import cv2
import numpy as np
import pytest

from ferkit.errors import ImageError, OptionError
from ferkit.inference import camera
from ferkit.inference.camera import Camera
from ferkit.inference.video import read_video
from films import FakeCapture, picture, recognizer


def numbered():
    """Yield pictures of which each tells its number."""
    for number in itertools.count():
        yield np.full((240, 320, 3), number % 256, np.uint8)


@pytest.mark.alone
def test_a_slow_reader_misses_pictures_but_does_not_lag():
    capture = FakeCapture(numbered())
    seen = []
    with Camera(0, lambda _: capture) as opened:
        for shot in itertools.islice(opened, 6):
            seen.append((shot.number, int(shot.picture()[0, 0, 0])))
            time.sleep(0.05)
    assert all(number == shown for number, shown in seen)
    gaps = np.diff([number for number, _ in seen])
    assert gaps.min() >= 2
    assert capture.released.is_set()


def test_a_camera_that_was_read_has_to_be_opened_again():
    with Camera(0, lambda _: FakeCapture(numbered())) as opened:
        next(iter(opened))
        with pytest.raises(ImageError, match="camera 0: it was read before; open it again"):
            next(iter(opened))


def test_times_are_those_of_the_pictures():
    with Camera(0, lambda _: FakeCapture(numbered(), 0.02)) as opened:
        seconds = [shot.seconds for shot in itertools.islice(opened, 5)]
    assert seconds == sorted(seconds)
    assert 0.06 < seconds[-1] - seconds[0] < 2


def test_a_camera_may_have_no_picture_at_first_and_now_and_then():
    taken = itertools.chain([None], itertools.islice(numbered(), 3), [None, None, cv2.error], numbered())
    with Camera(0, lambda _: FakeCapture(taken, 0.02)) as opened:
        shots = list(itertools.islice(opened, 8))
    assert shots[-1].number >= 7
    assert opened.remark is None


def test_a_camera_that_is_pulled_out_ends_with_a_remark(monkeypatch):
    monkeypatch.setattr(camera, "SILENCE", 0.2)
    with Camera(2, lambda _: FakeCapture(itertools.islice(numbered(), 5))) as opened:
        assert list(opened)
        assert opened.remark == "camera 2: gives no more pictures"


def test_a_camera_without_a_picture_is_an_error(monkeypatch):
    monkeypatch.setattr(camera, "SILENCE", 0.2)
    with Camera(1, lambda _: FakeCapture([])) as opened, pytest.raises(ImageError, match="camera 1: expected pictures"):
        list(opened)


def test_a_camera_that_hangs_is_told(monkeypatch):
    monkeypatch.setattr(camera, "SILENCE", 0.05)
    with Camera(1, lambda _: FakeCapture(numbered(), 0.5)) as opened, pytest.raises(ImageError, match="got none"):
        list(opened)


@pytest.mark.parametrize("number", [-1, -2])
def test_no_camera_is_counted_below_0_which_may_end_the_program(tmp_path, monkeypatch, number):
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: pytest.fail("OpenCV was asked"))
    with pytest.raises(OptionError, match=f"number of a camera, 0 or more, got {number}"):
        list(read_video(number, recognizer(tmp_path)))


def test_there_is_no_camera_63():
    with pytest.raises(ImageError, match="camera 63: expected a camera, found none"):
        Camera(63)


def test_a_camera_is_read_like_a_video_at_every_nth_picture(tmp_path):
    shown = itertools.repeat(picture((100, 80, 64, "angry")))
    with Camera(0, lambda _: FakeCapture(shown)) as opened:
        frames = list(itertools.islice(read_video(opened, recognizer(tmp_path), every=5), 4))
    assert [frame.readings[0].face.expression for frame in frames] == ["angry"] * 4
    assert len({frame.number // 5 for frame in frames}) == 4
