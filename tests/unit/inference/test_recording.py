"""What is left in a folder: CSV, timeline, annotated video."""

import csv
import errno
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ferkit.errors import ImageError
from ferkit.inference.boxes import Box
from ferkit.inference.colours import COLOURS
from ferkit.inference.history import History
from ferkit.inference.recognizer import Face
from ferkit.inference.recording import AnnotatedVideo, Recording, draw_tracks
from ferkit.inference.sources import VideoFile
from ferkit.inference.video import read_video
from ferkit.labels import EXPRESSIONS
from films import one_face, picture, recognizer, stopped_after, write_film


def happy(x=100, y=80, size=64):
    return Face(Box(x, y, size), "happy", 0.9, dict.fromkeys(EXPRESSIONS, 0.0) | {"happy": 0.9, "sad": 0.1})


def pictures_of(path):
    with VideoFile(path) as video:
        return video.fps, [(shot.seconds, shot.picture()) for shot in video]


def record(film, reads, folder, every=1):
    history = History(reads.card.classes)
    with VideoFile(film) as video, Recording(folder, film.stem, video, history) as recording:
        for frame in read_video(video, reads, every, draw=recording.draw):
            history.add(frame)
            recording.add(frame)
        history.close(frame.seconds + every / video.fps)
    return recording


@pytest.mark.parametrize("every", [1, 4])
def test_three_files_are_left(tmp_path, every):
    film = write_film(tmp_path / "clip.mp4", one_face(24), 12)
    recording = record(film, recognizer(tmp_path), tmp_path / "out", every)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "clip.csv",
        "clip-timeline.png",
        "clip-annotated.mp4",
    }
    with recording.csv.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["frame"]) for line in lines] == list(range(0, 24, every))
    assert list(lines[0]) == [
        "frame",
        "seconds",
        "track",
        "x",
        "y",
        "size",
        "angle",
        "expression",
        "confidence",
        *EXPRESSIONS,
    ]
    assert float(lines[1]["seconds"]) == pytest.approx(every / 12, abs=1e-3)
    assert {(line["track"], line["expression"]) for line in lines} == {("1", "happy")}
    assert sum(float(lines[0][name]) for name in EXPRESSIONS) == pytest.approx(1, abs=1e-4)
    assert cv2.imread(str(recording.timeline)).shape[1] == 1600
    fps, drawn = pictures_of(recording.video)
    assert (fps, len(drawn)) == (12, 24)
    box_edge = drawn[-1][1][110, 97:104].astype(int)  # the left side of the box
    assert np.abs(box_edge - COLOURS["happy"]).sum(axis=1).min() < 120
    assert np.abs(drawn[0][1][110, 97:100].astype(int)).max() < 60  # not before the third look


def test_pictures_keep_their_times_where_the_frame_rate_varies(tmp_path):
    shown = [picture((100, 80, 64, name)) for name in ("sad", "neutral")]
    with AnnotatedVideo(tmp_path / "a.mp4", 10) as video:
        for seconds, which in [(0.0, 0), (0.1, 0), (0.6, 1), (0.62, 0), (0.7, 1)]:
            video.add(shown[which], seconds, [], EXPRESSIONS)
    _, drawn = pictures_of(tmp_path / "a.mp4")
    levels = [int(each[110, 130, 0]) for _, each in drawn]
    assert len(levels) == 8
    assert levels[5] < 200 < levels[6]  # the picture before stays until the next one's time
    assert levels[7] > 200


def test_a_pause_is_shown_for_a_minute_at_most_and_what_follows_comes_at_its_time_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.inference.recording._LONGEST", 1.0)
    shown = [picture((100, 80, 64, name)) for name in ("sad", "neutral")]
    with AnnotatedVideo(tmp_path / "a.mp4", 10) as video:
        for seconds, which in [(0.0, 0), (100.0, 1), (100.5, 0), (100.6, 1)]:
            video.add(shown[which], seconds, [], EXPRESSIONS)
    _, drawn = pictures_of(tmp_path / "a.mp4")
    bright = [int(each[110, 130, 0]) > 200 for _, each in drawn]
    assert bright == [False] * 11 + [True] * 5 + [False, True]


@pytest.mark.parametrize("size", [(33, 21), (321, 241), (1280, 720)])
def test_pictures_of_any_size_can_be_written(tmp_path, size):
    with AnnotatedVideo(tmp_path / "a.mp4", 25) as video:
        for k in range(3):
            video.add(np.zeros((size[1], size[0], 3), np.uint8), k / 25, [(1, happy(5, 5, 10))], EXPRESSIONS)
    assert len(pictures_of(tmp_path / "a.mp4")[1]) == 3


@pytest.mark.parametrize("fps", [119.947, 66.6666, 0.001])
def test_any_frame_rate_can_be_written(tmp_path, fps):
    with AnnotatedVideo(tmp_path / "out.mp4", fps) as video:
        for number in range(2):
            video.add(np.zeros((64, 64, 3), np.uint8), number / fps if fps > 1 else number, [], EXPRESSIONS)
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_a_name_that_is_too_long_is_told_before_the_video_is_read(tmp_path):
    with VideoFile(write_film(tmp_path / "clip.avi", one_face(3), code="MJPG")) as source:
        with pytest.raises(OSError, match="too long"):
            Recording(tmp_path / "out", "a" * 246, source, History(EXPRESSIONS)).__enter__()
        assert not list((tmp_path / "out").glob("*"))


def test_pictures_that_change_their_size_are_fitted(tmp_path):
    with AnnotatedVideo(tmp_path / "a.mp4", 25) as video:
        for k, size in enumerate([(320, 240), (160, 120), (640, 480)]):
            video.add(np.zeros((size[1], size[0], 3), np.uint8), k / 25, [], EXPRESSIONS)
    assert [each.shape for _, each in pictures_of(tmp_path / "a.mp4")[1]] == [(240, 320, 3)] * 3


def test_labels_stay_inside_the_picture():
    blank = np.zeros((240, 320, 3), np.uint8)
    for place in [(-20, -20), (290, -5), (-30, 220), (300, 200), (100, 0)]:
        drawn = draw_tracks(blank, [(12, happy(*place, 60))], EXPRESSIONS)
        text = (np.abs(drawn.astype(int) - COLOURS["happy"]).sum(axis=2) < 10).sum()
        assert text > 600, place
    assert not blank.any()


def test_all_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    film = write_film(tmp_path / "clip.mp4", one_face(9))
    monkeypatch.setattr(Recording, "_write_timeline", full)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
        record(film, recognizer(tmp_path), tmp_path / "one")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"clip.csv", "clip-annotated.mp4"}
    monkeypatch.setattr("ferkit.inference.recording.AnnotatedVideo.__exit__", full)
    with pytest.raises(ImageError) as told:
        record(film, recognizer(tmp_path), tmp_path / "both")
    names = [tmp_path / "both" / f"clip-{end}" for end in ("timeline.png", "annotated.mp4")]
    assert str(told.value) == "; ".join(f"{name}: cannot be written (No space left on device)" for name in names)


@pytest.mark.parametrize("room", [0, 5])
def test_a_video_leaves_the_last_of_a_disk_to_the_readings(tmp_path, monkeypatch, room):
    film = write_film(tmp_path / "clip.mp4", one_face(20))
    left = iter([3 << 20] * room)
    monkeypatch.setattr("ferkit.inference.recording.disk_usage", lambda _: SimpleNamespace(free=next(left, 1 << 20)))
    with pytest.raises(ImageError) as told:
        record(film, recognizer(tmp_path), tmp_path / "out")
    assert str(told.value) == f"{tmp_path}/out/clip-annotated.mp4: cannot be written (the disk is full)"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.csv", "clip-timeline.png"}
    assert len((tmp_path / "out" / "clip.csv").read_text().splitlines()) == 21


def test_a_video_is_written_where_nobody_knows_how_much_room_there_is(tmp_path, monkeypatch):
    def unknown(_):
        raise PermissionError

    monkeypatch.setattr("ferkit.inference.recording.disk_usage", unknown)
    with AnnotatedVideo(tmp_path / "a.mp4", 25) as video:
        video.add(np.zeros((64, 64, 3), np.uint8), 0, [], EXPRESSIONS)
    assert len(pictures_of(tmp_path / "a.mp4")[1]) == 1


def test_an_error_leaves_the_old_files_as_they_were(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(9))
    reads = recognizer(tmp_path)
    record(film, reads, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        record(film, recognizer(tmp_path, detector=stopped_after(5)), tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from ferkit.inference.recording import AnnotatedVideo
path, end = Path(sys.argv[1]), sys.argv[2]
if end == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
with AnnotatedVideo(path, 25) as video:
    for k in range(30):
        video.add(rng.integers(0, 255, (240, 320, 3)).astype(np.uint8), k / 25, [], ())
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["killed", "full"])
def test_a_video_that_could_not_be_finished_does_not_take_the_place_of_the_old_one(tmp_path, end):
    path = write_film(tmp_path / "a.mp4", one_face(3))
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", WRITER, path, end], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert path.read_bytes() == before
    if end == "full":
        assert "could not be written whole; is the disk full?" in done.stderr
        assert list(tmp_path.iterdir()) == [path]


def test_without_a_picture_there_is_no_video_and_the_old_one_stays(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(3), 12)
    folder = tmp_path / "out"
    reads = recognizer(tmp_path)
    for before in (False, True):
        with VideoFile(film) as video, Recording(folder, "clip", video, History(reads.card.classes)) as recording:
            pass  # Ctrl-C before a camera gave one
        assert recording.written == [recording.csv, recording.timeline]
        assert recording.video.exists() == before
        record(film, reads, folder)
    assert len(pictures_of(recording.video)[1]) == 3


def test_a_recording_needs_a_picture_size_that_can_be_written(tmp_path):
    video = AnnotatedVideo(tmp_path / "a.mp4", 25)
    video.__enter__()
    for seconds in (0, 1):  # what is written beside it goes on
        video.add(np.zeros((1, 1, 3), np.uint8), seconds, [], EXPRESSIONS)
    with pytest.raises(ImageError, match="1 x 1 pixels cannot be written"):
        video.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []
