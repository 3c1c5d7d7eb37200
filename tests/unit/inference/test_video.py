"""Video files and streams to readings."""

import gc
import io
import json
import math
import re
import struct
import subprocess
import sys
import weakref
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferkit.errors import ImageError, OptionError
from ferkit.inference.sources import Shot, Source, VideoFile
from ferkit.inference.video import VideoRecognizer, open_source, read_video, recognize_stream, usual_every
from films import one_face, picture, recognizer, write_film
from networks import LEVELS


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    return recognizer(tmp_path_factory.mktemp("network"))


@pytest.mark.parametrize("fps", [10, 25, 29.97])
def test_frames_have_their_times_and_what_is_on_them(tmp_path, reads, fps):
    film = write_film(tmp_path / "film.mp4", one_face(12), fps)
    frames = list(read_video(film, reads))
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.seconds for frame in frames] == pytest.approx([k / fps for k in range(12)], abs=1e-3)
    for frame in frames:
        ((reading),) = frame.readings
        assert (reading.track, reading.face.expression) == (1, "happy")
        assert abs(reading.raw.box.x - 100) + abs(reading.raw.box.y - 80) <= 4
        assert abs(reading.face.box.size - 64) <= 4


@pytest.mark.parametrize(("every", "numbers"), [(1, list(range(10))), (3, [0, 3, 6, 9]), (50, [0])])
def test_every_looks_at_each_nth_frame_only(tmp_path, reads, every, numbers):
    film = write_film(tmp_path / "film.mp4", one_face(10), 25)
    frames = list(read_video(film, reads, every))
    assert [frame.number for frame in frames] == numbers
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in numbers], abs=1e-3)


def test_a_look_that_came_late_does_not_put_off_the_next(reads):
    class Late(Source):
        name, width, height, fps, live = "camera", 64, 64, 10.0, True

        def __iter__(self):
            for number in (0, 4, 6, 7, 9):
                yield Shot(number, number / 10, lambda: np.zeros((64, 64, 3), np.uint8))

        def __exit__(self, *what):
            pass

    assert [frame.number for frame in read_video(Late(), reads, every=3)] == [0, 4, 6, 9]


def test_two_people_are_two_tracks_with_their_own_expressions(tmp_path, reads):
    pictures = [picture((10 + 3 * k, 20, 60, "surprise"), (230 - 3 * k, 150, 70, "sad")) for k in range(25)]
    film = write_film(tmp_path / "film.mp4", pictures)
    seen = {(r.track, r.face.expression) for frame in read_video(film, reads) for r in frame.readings}
    assert seen == {(1, "sad"), (2, "surprise")}


def test_an_expression_that_changes_is_followed_with_the_documented_lag(tmp_path, reads):
    pictures = [*one_face(25, "happy"), *one_face(50, "sad")]
    film = write_film(tmp_path / "film.mp4", pictures, 25)
    frames = list(read_video(film, reads, smoothing=0.5))
    raw = next(f.seconds for f in frames if f.readings[0].raw.expression == "sad")
    smooth = next(f.seconds for f in frames if f.readings[0].face.expression == "sad")
    assert raw == pytest.approx(1.0, abs=0.05)
    assert smooth - raw == pytest.approx(0.5 * np.log(2), abs=0.08)  # half of the change is seen then
    assert frames[-1].readings[0].face.probabilities["sad"] > 0.9


def test_the_recognizers_own_threshold_counts_after_smoothing(tmp_path, reads):
    doubtful = recognizer(tmp_path, min_confidence=0.9)
    film = write_film(tmp_path / "film.mp4", [*one_face(20, "happy"), *one_face(20, "sad")], 25)
    seen = [f.readings[0].face.expression for f in read_video(film, doubtful)]
    assert seen[0] == "happy"
    assert "uncertain" in seen
    certain = [f.readings[0].face.expression for f in read_video(film, doubtful, min_confidence=0.0)]
    assert set(certain) == {"happy", "sad"}


@pytest.mark.parametrize("long", [False, True], ids=["32 bits", "64 bits"])
@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        pytest.param((-1, 0, 0, 0, 1, 0, 320, 0), lambda picture: picture[:, ::-1], id="left and right"),
        pytest.param((1, 0, 0, 0, -1, 0, 0, 240), lambda picture: picture[::-1], id="up and down"),
        pytest.param((0, 1, 0, 1, 0, 0, 0, 0), lambda picture: picture.swapaxes(0, 1), id="about a diagonal"),
        pytest.param((0, -1, 0, -1, 0, 0, 240, 320), lambda picture: picture[::-1, ::-1].swapaxes(0, 1), id="across"),
        pytest.param((-1, 0, 0, 0, -1, 0, 320, 240), lambda picture: picture[::-1, ::-1], id="turned alone"),
    ],
)
def test_a_video_that_is_mirrored_when_shown_is_no_turned_one(tmp_path, matrix, shown, long):
    scene = picture((20, 30, 64, "happy"), (200, 150, 40, "angry"))
    content = bytearray(write_film(tmp_path / "raw.mp4", [scene] * 4).read_bytes())
    begins = content.index(b"tkhd") + 4
    struct.pack_into(">9i", content, begins + 40, *(number << 16 for number in matrix), 1 << 30)
    if long:  # a head with times of 64 bits, in boxes that are so much larger
        times = struct.unpack_from(">4xIIIIIxxxxxxxx", content, begins)
        content[begins : begins + 32] = struct.pack(">B3sQQIIQ8x", 1, b"\0\0\3", *times)
        for name in (b"moov", b"trak", b"tkhd"):
            at = content.index(name) - 4
            struct.pack_into(">I", content, at, struct.unpack_from(">I", content, at)[0] + 12)
    (tmp_path / "mirrored.mp4").write_bytes(content)
    with VideoFile(tmp_path / "mirrored.mp4") as video:
        seen = [shot.picture() for shot in video]
        assert (video.height, video.width) == seen[0].shape[:2]
    assert len(seen) == 4
    assert np.abs(seen[0].astype(int) - shown(scene)).mean() < 5


def test_the_rotation_of_a_phone_is_applied(tmp_path, reads):
    upright = picture((30, 20, 80, "angry"), size=(320, 240))
    film = write_film(tmp_path / "film.mp4", [upright] * 5)
    content = bytearray(film.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # version and flags, times, identity and the rest come before it
    assert struct.unpack_from(">9i", content, matrix)[:2] == (1 << 16, 0)
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 240 << 16, 0, 1 << 30)  # a quarter to the right
    struct.pack_into(">9i", content, matrix, *turned)
    film.write_bytes(content)
    with VideoFile(film) as video:
        assert (video.width, video.height) == (240, 320)
    boxes = [r.raw.box for frame in read_video(film, reads) for r in frame.readings]
    assert len(boxes) == 5
    assert all(abs(box.x - (240 - 20 - 80)) <= 4 and abs(box.y - 30) <= 4 for box in boxes)


def test_times_come_from_the_file_where_the_frame_rate_varies(tmp_path, reads):
    film = write_film(tmp_path / "film.mkv", one_face(10), 25)
    assert delay(film, lambda k: 500 if k >= 5 else 0) == 10
    seconds = [frame.seconds for frame in read_video(film, reads)]
    assert seconds == pytest.approx([0.04 * k + (0.5 if k >= 5 else 0) for k in range(10)], abs=2e-3)


def counted(frames):
    """Return pictures of one face each that say which they are: by where the face is."""
    return [picture((2 * (k % 100), k % 150, 64, "happy")) for k in range(frames)]


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi"])
@pytest.mark.parametrize(("start", "end"), [(0, 2), (0.5, 1.5), (2, None), (6.01, 8), (11.5, None), (0, 60)])
def test_a_part_is_the_same_frames_as_in_the_whole(tmp_path, reads, name, start, end):
    film = write_film(tmp_path / name, counted(300), 25)
    whole = [f for f in read_video(film, reads, smoothing=0) if start <= f.seconds < (end or 60)]
    part = list(read_video(film, reads, smoothing=0, start=start, end=end))
    assert [(f.number, f.seconds) for f in part] == [(f.number, f.seconds) for f in whole]
    assert [r.raw.box for f in part for r in f.readings] == [r.raw.box for f in whole for r in f.readings]
    assert len(part) > 10


def test_a_part_has_the_times_of_the_file_where_the_frame_rate_varies(tmp_path, reads):
    film = write_film(tmp_path / "film.mkv", counted(250), 25)
    assert delay(film, lambda k: (500 if k >= 200 else 0) + (7 if k % 2 else 0)) == 250
    whole = [f for f in read_video(film, reads, smoothing=0) if f.seconds >= 8]
    part = list(read_video(film, reads, smoothing=0, start=8))
    assert [f.seconds for f in part] == [f.seconds for f in whole]
    assert [r.raw.box for f in part for r in f.readings] == [r.raw.box for f in whole for r in f.readings]


def test_a_file_that_cannot_be_leapt_in_is_read_from_its_beginning(tmp_path, reads, monkeypatch):
    film = write_film(tmp_path / "film.mp4", counted(250), 25)
    whole = [f.number for f in read_video(film, reads, start=7, end=8)]
    leaps = []

    class Stubborn:
        def __init__(self, *opened):
            self._capture = capture(*opened)

        def set(self, name, value):
            if name == cv2.CAP_PROP_POS_MSEC:
                leaps.append(value)
                value = 9500
            return self._capture.set(name, value)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Stubborn)
    assert [f.number for f in read_video(film, reads, start=7, end=8)] == whole == list(range(175, 200))
    assert leaps == [6000]


def test_what_comes_before_a_part_is_leapt_over(tmp_path, monkeypatch):
    film, grabbed = write_film(tmp_path / "film.mp4", one_face(500), 25), []

    class Counting:
        def __init__(self, *opened):
            self._capture = capture(*opened)

        def grab(self):
            grabbed.append(self)
            return self._capture.grab()

        def __getattr__(self, name):
            return getattr(self._capture, name)

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Counting)
    with VideoFile(film, start=18, end=19) as video:
        assert [shot.number for shot in video] == list(range(450, 475))
    assert len(grabbed) <= 52


def test_a_part_after_the_end_is_told(tmp_path, reads):
    film = write_film(tmp_path / "film.mp4", one_face(250), 25)
    for start in (10, 30, 3600):
        with pytest.raises(
            ImageError, match=re.escape(f"{film}: expected frames from {start} s on, got a video of 10.0 s")
        ):
            list(read_video(film, reads, start=start))
    with pytest.raises(ImageError, match=re.escape("expected frames from 10 to 20.5 s, got a video of 10.0 s")):
        list(read_video(film, reads, start=10, end=20.5))


def test_a_part_that_ends_before_the_video_does_has_no_remark(tmp_path):
    film = write_film(tmp_path / "film.avi", one_face(100), code="MJPG")
    with VideoFile(film, end=2) as video:
        assert len(list(video)) == 50
        assert video.remark is None
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with VideoFile(film, start=0.5) as video:
        assert len(list(video)) > 10
        assert "breaks off after" in video.remark


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (-1, None),
        (3, 3),
        (3, 2),
        (math.nan, None),
        (0, math.nan),
        (math.inf, None),
        ("1", None),
        (0, "2"),
        (10**400, None),
    ],
)
def test_what_is_no_part_is_told_at_once(tmp_path, reads, start, end):
    film = write_film(tmp_path / "film.mp4", one_face(3))
    with pytest.raises(OptionError, match="a part begins at 0 seconds or later and ends after that"):
        read_video(film, reads, start=start, end=end)


def test_an_open_source_has_its_part_already(tmp_path, reads):
    film = write_film(tmp_path / "film.mp4", one_face(50), 25)
    with pytest.raises(OptionError, match="open_source"):
        read_video(VideoFile(film), reads, start=1)
    assert [f.number for f in read_video(open_source(film, start=1, end=1.1), reads)] == [25, 26, 27]
    with pytest.raises(OptionError, match="a camera begins with its first picture"):
        open_source(0, start=1)


def delay(film, late):
    """Let each frame of a Matroska file be shown so many milliseconds later as ``late`` says of its number."""
    content = bytearray(film.read_bytes())
    blocks = [at for at in range(len(content) - 5) if content[at] == 0xA3 and _is_block(content, at)]
    for number, at in enumerate(blocks):
        place = at + _length(content, at) + 2
        struct.pack_into(">h", content, place, struct.unpack_from(">h", content, place)[0] + late(number))
    film.write_bytes(content)
    return len(blocks)


def _length(content, at):
    """Return the number of bytes of a SimpleBlock's size."""
    return 9 - content[at + 1].bit_length()


def _is_block(content, at):
    """Return whether a SimpleBlock of track 1 with a plausible size begins at ``at``."""
    if not content[at + 1]:
        return False
    length = _length(content, at)
    size = int.from_bytes(content[at + 1 : at + 1 + length]) & ~(1 << 7 * length)
    data = at + 1 + length
    return content[data] == 0x81 and data + size <= len(content) and content[data + 3] in (0x00, 0x80) and size > 8


def test_a_name_with_a_null_character_is_no_video(reads):
    with pytest.raises(ImageError, match="cannot be read"):
        list(read_video("a\0.mp4", reads))


def test_what_is_no_video_gives_one_line_that_names_it(tmp_path, reads):
    text, empty, folder = tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path / "folder.mp4"
    text.write_text("this is a text\n" * 100)
    empty.touch()
    folder.mkdir()
    cut = write_film(tmp_path / "cut.mp4", one_face(20))
    cut.write_bytes(cut.read_bytes()[:-3000])
    none = write_film(tmp_path / "none.avi", [], code="MJPG")
    for path, message in [
        (tmp_path / "missing.mp4", "No such file"),
        (empty, "empty file"),
        (text, "expected a video, got something else"),
        (cut, "cut off or damaged"),
        (none, "without a frame"),
        (folder, "cannot be read"),
    ]:
        with pytest.raises(ImageError, match=message) as caught:
            list(read_video(path, reads))
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def test_neither_opencv_nor_ffmpeg_prints_what_the_error_says(tmp_path):
    cut = write_film(tmp_path / "cut.mp4", one_face(20))
    cut.write_bytes(cut.read_bytes()[:-3000])
    code = """
import sys
from ferkit.errors import ImageError
from ferkit.inference.video import open_source
try:
    open_source(eval(sys.argv[1]))
except ImageError as error:
    print(error)
"""
    for source, message in [(repr(str(cut)), "expected a video"), ("63", "camera 63: expected a camera, found none")]:
        done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True)
        assert message in done.stdout
        assert done.stderr == ""


def test_a_video_that_breaks_off_keeps_what_was_read_and_says_so(tmp_path, reads):
    film = write_film(tmp_path / "film.avi", one_face(50), 25, code="MJPG")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    frames = []
    with pytest.warns(UserWarning, match=r"film\.avi: breaks off after \d\.\d of 2\.0 s \(frame \d+ of 50\)"):
        frames.extend(read_video(film, reads))
    assert 15 < len(frames) < 35
    assert all(frame.readings for frame in frames)


@pytest.mark.parametrize(("number", "said"), [(1, "1 frame"), (3, "3 frames")])
def test_frames_that_cannot_be_read_are_passed_over_and_told(tmp_path, number, said):
    film = write_film(tmp_path / "film.avi", one_face(50), 25, code="MJPG")
    content = film.read_bytes()
    places = [found.start() for found in re.finditer(rb"\xff\xd8\xff", content)]
    assert len(places) == 50
    for place in places[20 : 20 + number]:
        content = content[:place] + bytes(200) + content[place + 200 :]
    film.write_bytes(content)
    with VideoFile(film) as video:
        seconds = [shot.seconds for shot in video]
        assert video.remark == f"{film}: {said} could not be read; the others were"
    assert len(seconds) == 50 - number
    assert seconds[-1] == pytest.approx(49 / 25, abs=0.001)
    assert seconds[20] == pytest.approx((20 + number) / 25, abs=0.001)


def test_a_whole_video_has_no_remark(tmp_path):
    with VideoFile(write_film(tmp_path / "film.mp4", one_face(20), 29.97)) as video:
        assert sum(1 for _ in video) == 20
        assert video.remark is None


@pytest.mark.parametrize("name", ["100%.mp4", "clip %03d.mp4", "concat:a|b.mp4", "größe.mp4", "-.mp4"])
def test_a_files_name_is_never_taken_for_a_pattern_or_an_address(tmp_path, reads, name, monkeypatch):
    write_film(tmp_path / "film.mp4", one_face(3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(read_video(name, reads))) == 3


def test_an_address_is_no_file(reads):
    with pytest.raises(ImageError, match=r"^http://localhost:9/film\.mp4: an address is not opened"):
        list(read_video("http://localhost:9/film.mp4", reads))


@pytest.mark.parametrize(
    ("size", "fps", "every"),
    [((320, 240), 60, 1), ((640, 480), 30, 1), ((1280, 720), 30, 3), ((1280, 720), 8, 1), ((1920, 1080), 60, 6)],
)
def test_large_videos_are_looked_at_ten_times_a_second(tmp_path, size, fps, every):
    film = write_film(tmp_path / "film.mp4", [np.zeros((size[1], size[0], 3), np.uint8)], fps)
    with VideoFile(film) as video:
        assert usual_every(video) == every


def test_a_stream_takes_times_and_anything_that_is_a_picture(reads):
    shown = picture((100, 80, 64, "fear"))
    jpeg = cv2.imencode(".jpg", shown)[1].tobytes()
    frames = list(recognize_stream([(7.0, shown), (7.1, jpeg), (7.3, shown.astype(float) / 255)], reads))
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.3])
    assert [frame.readings[0].face.expression for frame in frames] == ["fear"] * 3
    assert {frame.readings[0].track for frame in frames} == {1}


def test_a_stream_of_pictures_alone_takes_a_frame_rate(reads):
    frames = list(recognize_stream(one_face(9), reads, every=4, fps=20))
    assert [(frame.number, frame.seconds) for frame in frames] == [(0, 0.0), (4, 0.2), (8, 0.4)]
    assert [frame.seconds for frame in recognize_stream(one_face(2), reads, fps=0.5)] == [0, 2]


def test_a_frame_rate_of_numpys_gives_seconds_for_json(reads):
    frames = [frame.to_dict() for frame in recognize_stream(one_face(2), reads, fps=np.float32(4))]
    assert [frame["seconds"] for frame in json.loads(json.dumps(frames))] == [0, 0.25]


@pytest.mark.parametrize("number", [Fraction, Decimal, np.float32])
def test_times_and_rates_may_be_any_kind_of_number(reads, number):
    frames = list(recognize_stream(one_face(3), reads, fps=number(4)))
    assert [frame.seconds for frame in frames] == [0, 0.25, 0.5]
    stream = VideoRecognizer(reads, smoothing=0.5)
    for tick, shown in enumerate(one_face(3)):
        (reading,) = stream.recognize(shown, number(tick) / 4)
    assert reading.looks == 3
    assert len(stream.between(number(1))) == 1


@pytest.mark.parametrize("seconds", [None, "x", timedelta(seconds=1)])
def test_what_is_no_time_is_told(reads, seconds):
    with pytest.raises(OptionError, match="expected a time as a number of seconds, got "):
        VideoRecognizer(reads).recognize(picture((100, 80, 64, "fear")), seconds)


@pytest.mark.parametrize("source", [b"clip.mp4", None, io.BytesIO(), ""])
def test_what_is_neither_file_nor_camera_is_told_before_anything_is_read(reads, source):
    with pytest.raises(OptionError, match="expected a Recognizer, got 'compact'"):
        VideoRecognizer("compact")
    with pytest.raises(OptionError, match="expected the file of a video, or the number of a camera, got "):
        read_video(source, reads)


def test_a_video_is_told_at_once_that_cannot_be_read_or_is_to_be_read_wrongly(reads, tmp_path):
    with pytest.raises(OptionError, match="every must be"):
        read_video(tmp_path / "none.mp4", reads, every=0)
    with pytest.raises(ImageError, match="No such file"):
        read_video(tmp_path / "none.mp4", reads)


def test_what_is_wrong_with_a_frame_is_told_with_the_videos_name(tmp_path):
    film = write_film(tmp_path / "film.mp4", one_face(2))
    with pytest.raises(ImageError, match=r"film\.mp4: .* at most 1,000 pixels"):
        list(read_video(film, recognizer(tmp_path, max_pixels=1000)))


def test_a_video_that_was_read_is_not_taken_for_an_empty_one(reads, tmp_path):
    video = VideoFile(write_film(tmp_path / "film.mp4", one_face(2)))
    assert len(list(read_video(video, reads))) == 2
    with pytest.raises(ImageError, match="it was read before; open it again"):
        list(read_video(video, reads))


@pytest.mark.parametrize("name", ["clip.mp4", Path("clip.mp4")])
def test_a_name_is_no_stream(reads, name):
    with pytest.raises(OptionError, match=r"got the name 'clip\.mp4'; read_video reads a file"):
        recognize_stream(name, reads, fps=25)
    with pytest.raises(ImageError, match="expected several pictures, got bytes"):
        recognize_stream(b"clip", reads, fps=25)


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"fps": 0}, {"fps": "5"}, {"fps": [5]}, {"smoothing": -1}, {"min_confidence": 2}]
)
def test_a_stream_refuses_wrong_settings_at_once(reads, options):
    with pytest.raises(OptionError, match="must be"):
        recognize_stream([], reads, **options)


def test_a_stream_keeps_no_picture(reads):
    alive = []

    def pictures():
        for k in range(30):
            shown = picture((100, 80, 64, "happy"))
            alive.append(weakref.ref(shown))
            yield k / 25, shown

    gc.freeze()  # what is there already need not be looked through each time
    try:
        for _ in recognize_stream(pictures(), reads):
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 2
    finally:
        gc.unfreeze()


def test_a_frame_becomes_plain_values(reads):
    (frame,) = recognize_stream([(0, picture((100, 80, 64, "happy")))], reads)
    for pictures in (one_face(2), [3]):
        with pytest.raises(ImageError, match="expected pairs of seconds and picture"):
            list(recognize_stream(pictures, reads))
    plain = frame.to_dict()
    assert (plain["frame"], plain["seconds"]) == (0, 0)
    (seen,) = plain["faces"]
    assert (seen["track"], seen["looks"], seen["expression"]) == (1, 1, "happy")
    assert seen["box"] == {"x": 100, "y": 80, "size": 64, "angle": 0.0} == seen["raw"]["box"]
    assert len(LEVELS) == len(seen["probabilities"])


def test_the_colours_of_a_film_are_rgb(tmp_path):
    film = write_film(tmp_path / "clip.avi", [np.full((240, 320, 3), (200, 40, 90), np.uint8)] * 3, code="MJPG")
    with VideoFile(film) as video:
        shots = [shot.picture() for shot in video]
    assert shots[0].shape == (240, 320, 3)
    assert np.abs(shots[1].astype(int).mean((0, 1)) - (200, 40, 90)).max() < 6


def test_times_that_the_file_does_not_tell_go_on_at_its_rate(tmp_path, monkeypatch):
    film = write_film(tmp_path / "clip.avi", one_face(6), code="MJPG")
    with VideoFile(film) as video:
        video._timed = False
        assert [shot.seconds for shot in video] == pytest.approx([k / 25 for k in range(6)])


def test_the_smoothing_asked_for_is_the_one_used(tmp_path):
    film = write_film(tmp_path / "clip.mp4", [picture((100, 80, 64, name)) for name in ["happy"] * 10 + ["sad"] * 10])
    last = {}
    for smoothing in (0.0, 0.2, 2.0):
        *_, frame = read_video(film, recognizer(tmp_path), smoothing=smoothing)
        last[smoothing] = frame.readings[0].face.probabilities["sad"]
    assert last[0.0] > 0.9
    assert last[0.0] > last[0.2] > last[2.0] + 0.2


@pytest.mark.parametrize(("fps", "every"), [(25.0, 2), (30.0, 3), (59.94, 6), (29.0, 3), (5.0, 1)])
def test_large_videos_are_looked_at_about_ten_times_a_second(fps, every):
    class Large(Source):
        width, height, live = 1920, 1080, False

        def __exit__(self, *_):
            pass

        def __iter__(self):
            return iter(())

    source = Large()
    source.fps = fps
    assert usual_every(source) == every
    source.live = True
    assert usual_every(source) == 1
