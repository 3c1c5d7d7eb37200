"""What a person sees of a video or a camera."""

import csv
import errno
import io
import itertools
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from ferkit.cli import signals
from ferkit.cli.options import parse_seconds
from ferkit.cli.recognize_video import Part, run, run_several
from ferkit.errors import ImageError
from ferkit.inference.camera import Camera
from ferkit.inference.sources import VideoFile
from films import FakeCapture, bright_squares, one_face, picture, recognizer, stopped_after, write_film
from networks import write_network

TESTS = Path(__file__).parents[1]


def camera(expression="happy", looks=None):
    shown = itertools.repeat(picture((100, 80, 64, expression)))
    return Camera(0, lambda _: FakeCapture(shown if looks is None else itertools.islice(shown, looks)))


def test_a_video_is_summed_up_track_by_track(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", [*one_face(75, "happy"), *one_face(25, "angry")], 25)
    run(film, recognizer(tmp_path), smoothing=0)
    out, err = capsys.readouterr()
    assert f"{film}: 1 track in 4.0 s" in out
    assert "track 1: 00:00.0 to 00:04.0, seen for 4.0 s" in out
    assert "  happy       75%  ██████████████████\n  angry       25%  ██████\n" in out
    assert err == f"{film}: 320 x 240, 25 frames/s, 00:04; looking at every frame\n"


def test_a_video_without_a_face_is_no_error(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", [picture()] * 10, 10)
    run(film, recognizer(tmp_path))
    assert capsys.readouterr().out == f"{film}: no face found in 1.0 s\n"


def test_faces_seen_for_a_moment_share_a_line(tmp_path, capsys):
    pictures = [picture((10, 20, 60, "sad"), *([(200, 150, 40, "fear")] if k in (10, 11) else [])) for k in range(30)]
    run(write_film(tmp_path / "clip.mp4", pictures), recognizer(tmp_path))
    out = capsys.readouterr().out
    assert "2 tracks in 1.2 s" in out
    assert "track 2" not in out
    assert "not shown: 1 more, each seen for less than 0.5 s" in out


def test_json_is_a_line_a_frame(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", one_face(9), 10)
    run(film, recognizer(tmp_path), output="json", every=4)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["frame"], line["seconds"]) for line in lines] == [(0, 0.0), (4, 0.4), (8, 0.8)]
    assert [line["faces"][0]["expression"] for line in lines] == ["happy"] * 3


def test_csv_is_a_line_a_reading(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", one_face(9), 10)
    run(film, recognizer(tmp_path), output="csv")
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["frame"] for line in lines] == [str(k) for k in range(9)]
    assert lines[3]["expression"] == "happy"


def test_save_leaves_three_files_and_names_them(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", one_face(20))
    run(film, recognizer(tmp_path), save=tmp_path / "out")
    names = [tmp_path / "out" / f"clip{end}" for end in (".csv", "-timeline.png", "-annotated.mp4")]
    assert sorted((tmp_path / "out").iterdir()) == sorted(names)
    assert f"saved: {names[0]}, {names[1]}, {names[2]}" in capsys.readouterr().out


def test_frames_above_the_limit_are_refused_with_the_name_of_the_video(tmp_path):
    film, network = write_film(tmp_path / "clip.mp4", one_face(3)), write_network(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "ferkit", "recognize", film, "--model", network, "--max-pixels", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"error: {film}: expected at most 1,000 pixels, got 320 x 240"


def test_a_folder_that_cannot_be_written_to_gives_one_line(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(3))
    with pytest.raises(ImageError, match="cannot be written to"):
        run(film, recognizer(tmp_path), save=film)
    assert film.stat().st_size > 100


@pytest.mark.parametrize("option", ["--json", "--csv"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_cannot_be_written_to_is_not_taken_for_the_folder(tmp_path, option):
    film, network = write_film(tmp_path / "clip.mp4", one_face(3)), write_network(tmp_path / "model.onnx")
    command = [sys.executable, "-m", "ferkit", "recognize", film, "--save", tmp_path / "out", option]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*command, "--model", network], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"error: standard output: No space left on device"
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_progress_that_nobody_can_read_costs_no_recording(tmp_path):
    film, network = write_film(tmp_path / "clip.mp4", one_face(9)), write_network(tmp_path / "model.onnx")
    command = [
        sys.executable,
        "-m",
        "ferkit",
        "recognize",
        film,
        "--save",
        tmp_path / "out",
        "--model",
        network,
        "--csv",
    ]
    with Path("/dev/full").open("w") as full:
        subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False)
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_video_that_breaks_off_is_summed_up_and_the_break_is_told(tmp_path, capsys):
    film = write_film(tmp_path / "clip.avi", one_face(50), code="MJPG")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    run(film, recognizer(tmp_path), save=tmp_path / "out")
    out, err = capsys.readouterr()
    assert "breaks off after" in err
    assert "happy      100%" in out
    assert len(list((tmp_path / "out").iterdir())) == 3


def long_mkv(path):
    """Write ten seconds in a container that tells how long it is, not how many frames it has."""
    return write_film(path, one_face(50), fps=5)


def test_a_container_that_only_tells_its_length_may_have_sound_that_goes_on(tmp_path, capsys, monkeypatch):
    film = long_mkv(tmp_path / "clip.mkv")
    source = VideoFile(film)
    assert source.expected == 50
    source.expected = 58  # OpenCV multiplies the length of the sound by the frame rate
    run(source, recognizer(tmp_path))
    out, err = capsys.readouterr()
    assert "warning" not in err
    assert "1 track in 10.0 s" in out
    assert "00:00.0 to 00:10.0, seen for 10.0 s" in out
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    run(film, recognizer(tmp_path))
    assert re.search(r"warning: .*clip\.mkv: its pictures end after [3-7]\.\d of 10\.0 s", capsys.readouterr().err)


def test_times_of_a_rate_that_cannot_be_are_not_believed(tmp_path, capsys):
    film = write_film(tmp_path / "clip.avi", one_face(50), code="MJPG")
    content = bytearray(film.read_bytes())
    struct.pack_into("<II", content, content.find(b"strh") + 28, 1, 1_000_000)  # its scale and rate
    film.write_bytes(content)
    run(film, recognizer(tmp_path), output="csv")
    seconds = [float(line["seconds"]) for line in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert seconds == pytest.approx([k / 25 for k in range(50)])


def test_what_cannot_be_saved_costs_neither_the_other_files_nor_the_summary(tmp_path, capsys, monkeypatch):
    film = write_film(tmp_path / "clip.mp4", one_face(20))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ferkit.inference.recording.write_bytes", full)
    with pytest.raises(ImageError, match=r"cannot be written to \(No space left"):
        run(film, recognizer(tmp_path), save=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.csv", "clip-annotated.mp4"}
    out = capsys.readouterr().out
    assert "happy      100%" in out
    assert out.splitlines()[-1] == f"saved: {tmp_path}/out/clip.csv, {tmp_path}/out/clip-annotated.mp4"


def test_a_csv_with_a_column_of_the_users_keeps_its_place(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(3))
    run(film, recognizer(tmp_path), save=tmp_path)
    table = tmp_path / "clip.csv"
    table.write_text(table.read_text().replace("\n", ",note\n", 1))
    with pytest.raises(ImageError, match="does not hold ferkit's readings"):
        run(film, recognizer(tmp_path), save=tmp_path)


def test_stopping_a_video_by_ctrl_c_leaves_no_files(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(20))
    with pytest.raises(KeyboardInterrupt):
        run(film, recognizer(tmp_path, detector=stopped_after(5)), save=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


class Dropped:
    """Sends a signal while it is finalised, where Python drops what the signal raises."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGTERM, SystemExit, 143), (signal.SIGINT, KeyboardInterrupt, None)]
)
def test_a_signal_whose_exception_python_drops_ends_a_video_all_the_same(tmp_path, monkeypatch, number, kind, code):
    looks = []

    def detect(shown):
        looks.append(1)
        if len(looks) == 3:
            Dropped(number)
        return bright_squares(shown)

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    film, before = write_film(tmp_path / "clip.mp4", one_face(30)), signal.getsignal(number)
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signals.take()
    try:
        with pytest.raises(kind) as end:
            run(film, recognizer(tmp_path, detector=detect), save=tmp_path / "out")
    finally:
        signal.signal(number, before)
        signals.came.clear()
    assert getattr(end.value, "code", None) == code
    assert 3 <= len(looks) <= 5
    assert list((tmp_path / "out").iterdir()) == []


def test_stopping_a_video_by_a_signal_leaves_no_files(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(1000))
    network = write_network(tmp_path / "brightness.onnx")
    command = [sys.executable, "-m", "ferkit", "recognize", film, "--model", network, "--save", tmp_path / "out"]
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as below nohup, where it is to be ignored
    for number in (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGHUP):
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while not list(tmp_path.glob("out/.*.part.mp4")):
            assert process.poll() is None
            assert time.monotonic() - began < 60
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert list((tmp_path / "out").iterdir()) == []


def test_a_csv_that_is_not_ours_keeps_its_place(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(3))
    (tmp_path / "clip.csv").write_text("my notes\n")
    with pytest.raises(ImageError, match="does not hold ferkit's readings"):
        run(film, recognizer(tmp_path), save=tmp_path)
    assert (tmp_path / "clip.csv").read_text() == "my notes\n"
    (tmp_path / "clip.csv").unlink()
    os.mkfifo(tmp_path / "clip.csv")  # which nobody writes to
    with pytest.raises(ImageError, match="does not hold ferkit's readings"):
        run(film, recognizer(tmp_path), save=tmp_path)
    (tmp_path / "clip.csv").unlink()
    for _ in range(2):
        run(film, recognizer(tmp_path), save=tmp_path)


@pytest.mark.parametrize("name", ["clip-timeline.png", "clip-annotated.mp4"])
def test_nor_does_a_picture_or_a_video_that_is_not_ours_lose_it(tmp_path, name):
    film = write_film(tmp_path / "clip.mp4", one_face(3))
    (tmp_path / name).write_bytes(film.read_bytes())
    with pytest.raises(ImageError, match=f"{name}: exists, was not written by ferkit, and would be replaced"):
        run(film, recognizer(tmp_path), save=tmp_path)
    assert (tmp_path / name).read_bytes() == film.read_bytes()
    assert not (tmp_path / "clip.csv").exists()


def test_a_name_cannot_command_the_terminal(tmp_path, capsys):
    run(write_film(tmp_path / "a\x1b[2J\n.mp4", one_face(3)), recognizer(tmp_path), save=tmp_path / "out")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "a\\x1b[2J\\n.mp4: 1 track" in out


def test_stopping_a_camera_by_ctrl_c_is_how_it_ends(tmp_path, capsys):
    with pytest.raises(typer.Exit) as end:
        run(camera(), recognizer(tmp_path, detector=stopped_after(30)), save=tmp_path / "out")
    assert end.value.exit_code == 130
    out, _ = capsys.readouterr()
    assert "camera 0: 1 track in" in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    moment = r"camera-0-\d{4}-\d\d-\d\d-\d{6}"
    patterns = rf"{moment}-annotated\.mp4", rf"{moment}-timeline\.png", rf"{moment}\.csv"
    assert [re.fullmatch(pattern, name) is not None for pattern, name in zip(patterns, names, strict=True)] == [
        True
    ] * 3
    with pytest.raises(typer.Exit) as end:
        run(camera(), recognizer(tmp_path, detector=stopped_after(30, SystemExit(143))), save=tmp_path / "out")
    assert end.value.exit_code == 143
    assert len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.parametrize("output", ["json", "csv"])
def test_a_camera_that_nobody_reads_along_keeps_its_recording(tmp_path, output, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            if shown.taken > 20:
                raise BrokenPipeError
            return super().write(text)

    shown = Counted(picture((100, 80, 64, "happy")))
    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(BrokenPipeError):
        run(Camera(0, lambda _: FakeCapture(shown)), recognizer(tmp_path), save=tmp_path / "out", output=output)
    assert len(list((tmp_path / "out").iterdir())) == 3


class Counted:
    """The same picture for ever; knows how often it was taken."""

    def __init__(self, shown):
        self.shown, self.taken = shown, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return self.shown


def test_a_camera_gives_json_lines_as_they_come(tmp_path, capsys):
    run(camera("fear", looks=20), recognizer(tmp_path), output="json")
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines
    assert {face["expression"] for line in lines for face in line["faces"]} == {"fear"}
    assert "warning: camera 0: gives no more pictures" in err


def test_a_camera_without_a_terminal_prints_a_line_a_second(tmp_path, capsys):
    run(camera(looks=20), recognizer(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith((" s  no face", "happy 97%")) for line in lines) == 1


LIVE = """
import itertools, sys, typer
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from films import FakeCapture, picture, recognizer, stopped_after
from ferkit import Recognizer
from ferkit.cli.recognize_video import run
from ferkit.inference.camera import Camera
shown = itertools.repeat(picture((100, 80, 64, "surprise")))
reads = recognizer(Path(sys.argv[2]), detector=stopped_after(60))
try:
    run(Camera(0, lambda _: FakeCapture(shown, 0.01)), reads)
except typer.Exit as end:
    print("exit code", end.exit_code)
"""


def on_a_terminal(*command):
    """Run a command on a terminal of its own; return what it wrote there."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal is closed
            break
        if not part:
            break
        written += part
    process.wait()
    os.close(ours)
    return written.decode()


def test_the_live_view_is_a_table_that_is_drawn_ten_times_a_second_at_most(tmp_path):
    shown = on_a_terminal(sys.executable, "-c", LIVE, TESTS, tmp_path)
    assert "surprise" in shown
    assert "looks/s" in shown
    assert "Ctrl-C ends" in shown
    drawn = shown.count("looks/s")
    assert 2 <= drawn <= 40
    assert "Traceback" not in shown
    assert "exit code 130" in shown
    assert "camera 0: 1 track in" in shown


def test_progress_with_the_time_left_is_shown_on_a_terminal(tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(150))
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from films import recognizer;"
        "from ferkit.cli.recognize_video import run; run(Path(sys.argv[2]), recognizer(Path(sys.argv[2]).parent))"
    )
    shown = on_a_terminal(sys.executable, "-c", code, TESTS, film)
    assert "/00:06" in shown
    assert "1 face" in shown
    assert "happy      100%" in shown


def test_several_videos_are_read_one_after_another_and_one_that_cannot_be_does_not_stop_them(tmp_path, capsys):
    films = [tmp_path / name / "clip.mp4" for name in ("a", "b", "c")]
    for film in films:
        film.parent.mkdir()
    write_film(films[0], one_face(10, "happy"))
    films[1].write_bytes(b"no video")
    write_film(films[2], one_face(10, "sad"))
    with pytest.raises(typer.Exit) as end:
        run_several([str(film) for film in films], recognizer(tmp_path), save=tmp_path / "out")
    assert end.value.exit_code == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{films[0]}: 1 track in 0.4 s\n")
    assert f"-annotated.mp4\n\n{films[2]}: 1 track in 0.4 s\n" in out
    lines = err.splitlines()
    assert lines[-2] == "error: 1 could not be read or written:"
    assert lines[-1].startswith(f"  {films[1]}: expected a video")
    saved = {path.name for path in (tmp_path / "out").iterdir()}
    ends = (".csv", "-timeline.png", "-annotated.mp4")
    assert saved == {f"{name}{end}" for name in ("clip", "clip-3") for end in ends}
    for name, expression in (("clip", "happy"), ("clip-3", "sad")):
        with (tmp_path / "out" / f"{name}.csv").open() as file:
            assert {line["expression"] for line in csv.DictReader(file)} == {expression}


def test_a_full_disk_ends_several_videos_at_the_first(tmp_path, capsys, monkeypatch):
    films = [str(write_film(tmp_path / f"{name}.mp4", one_face(3))) for name in "abc"]

    def full(self, frame):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ferkit.inference.recording.ReadingsCsv.add", full)
    with pytest.raises(typer.Exit):
        run_several(films, recognizer(tmp_path), save=tmp_path / "out")
    assert capsys.readouterr().err.splitlines() == [
        f"{films[0]}: 320 x 240, 25 frames/s, 00:00; looking at every frame",
        "error: 1 could not be read or written:",
        f"  {tmp_path / 'out'}: cannot be written to (No space left on device)",
        "stopped after 1 of 3 videos",
    ]


def test_a_part_is_summed_up_and_saved_under_a_name_of_its_own(tmp_path, capsys):
    film = write_film(tmp_path / "clip.mp4", [*one_face(50, "happy"), *one_face(100, "sad")], 25)
    for part in (Part(1, 5), Part(1.5), Part()):
        run(film, recognizer(tmp_path), smoothing=0, part=part, save=tmp_path / "out")
    out, err = capsys.readouterr()
    assert f"{film}: 1 track in 4.0 s" in out
    assert "track 1: 00:01.0 to 00:05.0, seen for 4.0 s in 100 looks\n  sad         75%" in out
    assert err.splitlines()[0] == f"{film}: 320 x 240, 25 frames/s, 00:06; from 00:01 to 00:05, looking at every frame"
    assert err.splitlines()[1] == f"{film}: 320 x 240, 25 frames/s, 00:06; from 00:01 to 00:06, looking at every frame"
    ends = (".csv", "-timeline.png", "-annotated.mp4")
    saved = {path.name for path in (tmp_path / "out").iterdir()}
    assert saved == {f"{name}{end}" for name in ("clip-1-5", "clip-1.5-end", "clip") for end in ends}
    with VideoFile(tmp_path / "out" / "clip-1-5-annotated.mp4") as drawn:
        assert drawn.expected == 100
    with (tmp_path / "out" / "clip-1-5.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(lines[k]["frame"], float(lines[k]["seconds"])) for k in (0, -1)] == [("25", 1.0), ("124", 4.96)]


def test_the_same_part_of_several_videos_is_read(tmp_path, capsys):
    films = [str(write_film(tmp_path / f"{name}.v1.mp4", one_face(frames))) for name, frames in (("a", 75), ("b", 10))]
    with pytest.raises(typer.Exit):
        run_several(films, recognizer(tmp_path), part=Part(1, 2), save=tmp_path / "out")
    out, err = capsys.readouterr()
    assert f"{films[0]}: 1 track in 1.0 s" in out
    assert err.splitlines()[-1] == f"  {films[1]}: expected frames from 1 to 2 s, got a video of 0.4 s"
    assert {path.name[:10] for path in (tmp_path / "out").iterdir()} == {"a.v1-1-2.c", "a.v1-1-2-t", "a.v1-1-2-a"}


def test_a_camera_ends_by_itself_where_it_is_told_to(tmp_path, capsys):
    shown = itertools.repeat(picture((100, 80, 64, "happy")))
    run(Camera(0, lambda _: FakeCapture(shown), end=0.5), recognizer(tmp_path), save=tmp_path / "out")
    out, err = capsys.readouterr()
    assert "camera 0: 1 track in 0.5 s" in out
    assert "warning" not in err
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("75", 75), ("7.25", 7.25), ("1:15", 75), ("90:00", 5400), ("1:02:03.5", 3723.5), ("00:00:00.001", 0.001)],
)
def test_times_are_seconds_or_as_a_clock_shows_them(given, seconds):
    assert parse_seconds(given) == seconds


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--start", "-1"], "expected seconds, or a time such as 1:30 or 1:02:03.5, got '-1'"),
        (["--start", "1h"], "expected seconds, or a time such as 1:30 or 1:02:03.5, got '1h'"),
        (["--end", "nan"], "expected seconds, or a time such as 1:30 or 1:02:03.5, got 'nan'"),
        (["--end", "1:2:3:4"], "expected seconds, or a time such as 1:30 or 1:02:03.5, got '1:2:3:4'"),
        (["--end", "0"], "--end: expected a time after the start"),
        (["--start", "1:00", "--end", "59.9"], "--end: expected a time after the start"),
        (["two.mp4", "--json"], "--json and --csv print what one video shows"),
        (["two.mp4", "--csv"], "--json and --csv print what one video shows"),
        (["photo.png"], "a camera is read alone, and videos without photos"),
        (["--camera", "0"], "a camera is read alone, and videos without photos"),
        (["two.mp4", "--save", "out.mp4"], "expected a folder, for the annotated video"),
        (["--save", "\x1b[31mout.mp4"], "--save \\x1b[31mout.mp4: expected a folder"),
    ],
)
def test_what_cannot_be_read_beside_a_video_is_said(tmp_path, more, message):
    command = [sys.executable, "-m", "ferkit", "recognize", "one.mp4", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.replace("│", " ").split())
