"""Photos on the command line: what is printed, what is written, and what never happens."""

import csv
import errno
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from rich.cells import cell_len

from conftest import exit_code
from ferkit import Recognizer
from ferkit.cli import signals
from ferkit.cli.jobs import Job
from ferkit.cli.main import main
from ferkit.cli.pool import Room, read_pictures
from ferkit.errors import ImageError
from ferkit.inference.images import read_image
from ferkit.labels import EXPRESSIONS
from films import one_face, write_film
from networks import LEVELS, grey_of, write_network

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
QUIET = Path(__file__).with_name("quiet_ferkit.py")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


@pytest.fixture
def recognize(network, monkeypatch, capfd):
    """Return a function that runs the command and returns exit code, stdout and stderr, of C libraries too."""

    def run(*arguments, stdin=None):
        monkeypatch.setattr("sys.argv", ["ferkit", "recognize", *map(str, arguments), "--model", str(network)])
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = exit_code()
        output = capfd.readouterr()
        return code, output.out, output.err

    return run


def photo(path, name="happy", size=(60, 60)):
    """Write a picture that is one face of this expression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey_of(name),) * 3).save(path)
    return path


@pytest.fixture
def album(tmp_path):
    """Return a folder of photos, some of which cannot be read."""
    folder = tmp_path / "album"
    photo(folder / "a.png", "happy")
    photo(folder / "b.jpg", "sad")
    photo(folder / "trip" / "a.png", "angry", (80, 60))
    photo(folder / ".hidden.png")
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.png").write_bytes(b"")
    content = ASTRONAUT.read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_one_photo_gets_a_bar_for_every_class(recognize, tmp_path):
    code, out, err = recognize(photo(tmp_path / "a.png", size=(80, 60)), "--detector", "none")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("a.png, 80 x 60 pixels: 1 face")
    assert lines[2].startswith("face 1: happy, 9")
    assert lines[2].endswith("; x 10, y 0, size 60")
    assert [line.split()[0] for line in lines[3:]] == list(EXPRESSIONS)
    assert lines[6].count("█") > 40
    assert max(map(len, lines[2:])) <= 80


def test_a_real_photo_has_its_face_and_an_annotated_copy(recognize, tmp_path):
    code, out, err = recognize(ASTRONAUT, "--save", tmp_path / "copy.jpg")
    assert (code, err) == (0, "")
    assert ": 1 face\n" in out
    assert f"annotated: {tmp_path / 'copy.jpg'}" in out
    drawn, plain = read_image(tmp_path / "copy.jpg").astype(int), read_image(ASTRONAUT).astype(int)
    assert drawn.shape == plain.shape
    changed = np.argwhere(np.abs(drawn - plain).max(axis=2) > 100)
    assert 500 < len(changed) < 10_000
    assert (changed.min(axis=0) > 10).all()
    assert (changed.max(axis=0) < 400).all()


def test_no_face_is_no_error(recognize, tmp_path):
    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "wall.png")
    code, out, err = recognize(tmp_path / "wall.png")
    assert (code, err) == (0, "")
    assert out.endswith("wall.png, 200 x 200 pixels: no face found\n")
    assert json.loads(recognize(tmp_path / "wall.png", "--json")[1])["faces"] == []


def test_a_folder_is_searched_and_goes_on_over_what_cannot_be_read(recognize, album):
    code, out, err = recognize(album, "--detector", "none")
    assert code == 1
    rows = [line.split("  ") for line in out.splitlines()[1:]]
    assert [(Path(row[0]).name, [cell.strip() for cell in row if cell.strip()][2]) for row in rows] == [
        ("a.png", "happy"),
        ("b.jpg", "sad"),
        ("cut.png", "cannot be read"),
        ("empty.png", "cannot be read"),
        ("text.jpg", "cannot be read"),
        ("a.png", "angry"),
    ]
    starts = {line.index(" - ") if " - " in line else line.index(" 1 ") for line in out.splitlines()[1:]}
    assert len(starts) == 1  # aligned
    lines = err.splitlines()
    assert lines[0] == "error: 3 could not be read:"
    assert [line.rpartition(": ")[2] for line in lines[1:]] == [
        "the file is cut off",
        "expected a picture, got an empty file",
        "expected a picture (JPEG, PNG, WebP, TIFF, GIF, BMP), got something else",
    ]


def test_pictures_read_at_once_are_printed_in_order(recognize, tmp_path):
    photo(tmp_path / "0.png", "sad", (4000, 3000))  # takes longer than the others together
    for number, name in enumerate((*EXPRESSIONS, *EXPRESSIONS), start=1):
        photo(tmp_path / f"{number:02}.png", name)
    code, alone, _ = recognize(tmp_path, "--json", "--detector", "none", "--threads", 1)
    assert code == 0
    assert [json.loads(line)["picture"] for line in alone.splitlines()] == [*map(str, sorted(tmp_path.iterdir()))]
    assert recognize(tmp_path, "--json", "--detector", "none", "--threads", 5) == (0, alone, "")


class Counting:
    """A recognizer that finds nothing and knows how often it was asked."""

    def __init__(self):
        self.asked = 0

    def recognize(self, _):
        self.asked += 1
        return []


def test_a_picture_for_which_there_is_no_memory_does_not_stop_the_others(tmp_path, monkeypatch, recognize):
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / name)
    found, asked = Recognizer.recognize, []

    def short_of_memory(self, picture):
        asked.append(picture)
        if len(asked) == 2:
            raise ImageError("there is not enough memory for 8000 x 8000 pixels")
        return found(self, picture)

    monkeypatch.setattr(Recognizer, "recognize", short_of_memory)
    code, out, err = recognize(tmp_path, "--json", "--detector", "none", "--threads", 1)
    read = [line["picture"] for line in map(json.loads, out.splitlines()) if "faces" in line]
    assert (code, read) == (1, [str(tmp_path / "a.png"), str(tmp_path / "c.png")])
    assert f"{tmp_path / 'b.png'}: there is not enough memory for 8000 x 8000 pixels" in err


@pytest.mark.parametrize("ending", [".jpe", ".jfif", ".JPG"])
def test_the_copy_of_a_jpeg_is_one_under_its_name(tmp_path, recognize, ending):
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in" / "a.jpg").rename(tmp_path / "in" / f"a{ending}")
    assert recognize(tmp_path / "in", "--save", tmp_path / "out", "--detector", "none")[0] == 0
    assert (tmp_path / "out" / f"a{ending}").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("threads", [1, 3])
def test_only_so_many_pictures_are_read_ahead(tmp_path, threads):
    jobs = [Job(name, photo(tmp_path / name), Path(name)) for name in (f"{number}.png" for number in range(12))]
    recognizer = Counting()
    reading = read_pictures(jobs, recognizer, None, threads)
    for number, done in enumerate(reading, start=1):
        assert done.job is jobs[number - 1]
        assert recognizer.asked <= number + threads
        if number == 5:
            break
    reading.close()
    assert recognizer.asked <= 5 + threads


def test_large_pictures_are_unpacked_one_after_the_other():
    room, inside, most = Room(100), [0], [0]

    def unpack(pixels):
        with room.taken(pixels):
            inside[0] += pixels
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= pixels

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(unpack, [40] * 12))
        assert most == [80]
        list(pool.map(unpack, [500, 40, 500, 40]))  # too large at any time: alone
        assert most == [500]


def wait_for_reader(pipe):
    """Return a descriptor of ``pipe``, opened for writing as soon as somebody reads it."""
    until = time.monotonic() + 60
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_program_though_a_picture_never_comes(network, tmp_path, name):
    os.mkfifo(tmp_path / "pipe.png")
    command = [sys.executable, "-m", "ferkit", "recognize", photo(tmp_path / "a.png"), tmp_path / "pipe.png"]
    with subprocess.Popen(
        [*map(str, command), "--model", str(network), "--threads", "2"], stderr=subprocess.PIPE
    ) as run:
        try:
            waiting = wait_for_reader(tmp_path / "pipe.png")
            run.send_signal(getattr(signal, name))
            _, err = run.communicate(timeout=10)
            os.close(waiting)
        finally:
            run.kill()  # or a program that heeds no signal would be waited for
    assert run.returncode == 128 + getattr(signal, name)
    assert b"Traceback" not in err
    assert b" of 2 pictures" in err


def test_json_has_a_line_for_every_picture(recognize, album):
    code, out, _ = recognize(album, "--detector", "none", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [("error" in line, len(line.get("faces", []))) for line in found] == [
        (False, 1),
        (False, 1),
        (True, 0),
        (True, 0),
        (True, 0),
        (False, 1),
    ]
    face = found[-1]["faces"][0]
    assert (found[-1]["width"], found[-1]["height"]) == (80, 60)
    assert face["box"] == {"x": 10, "y": 0, "size": 60, "angle": 0.0}
    assert face["expression"] == "angry"
    assert face["confidence"] == face["probabilities"]["angry"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_csv_has_a_line_for_every_face(recognize, tmp_path):
    photo(tmp_path / 'a, "b".png', "fear")
    photo(tmp_path / "c.png", "sad")
    code, out, err = recognize(tmp_path, "--detector", "none", "--csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(Path(row["picture"]).name, row["expression"]) for row in rows] == [
        ('a, "b".png', "fear"),
        ("c.png", "sad"),
    ]
    assert list(rows[0]) == ["picture", "face", "x", "y", "size", "angle", "expression", "confidence", *EXPRESSIONS]
    assert float(rows[0]["fear"]) == float(rows[0]["confidence"]) > 0.9


def test_a_picture_on_standard_input(recognize, tmp_path):
    content = photo(tmp_path / "a.png", "surprise").read_bytes()
    code, out, err = recognize("-", "--detector", "none", "--json", "--save", tmp_path / "x.png", stdin=content)
    assert (code, err) == (0, f"annotated: {tmp_path / 'x.png'}\n")
    assert json.loads(out)["picture"] == "-"
    assert json.loads(out)["faces"][0]["expression"] == "surprise"
    assert (tmp_path / "x.png").exists()
    code, _, err = recognize("-", stdin=b"")
    assert (code, err) == (1, "error: standard input: expected a picture, got an empty file\n")


def test_copies_keep_the_tree_of_a_folder_and_never_share_a_name(recognize, tmp_path):
    album, out = tmp_path / "album", tmp_path / "out"
    for name in ("a.png", "a.bmp", "A.gif", "a-2.png", "trip/a.jpg", "trip/b.webp"):
        photo(album / name)
    code, _, err = recognize(album, album / "a.png", "--detector", "none", "--save", out)
    assert (code, err) == (0, "")
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert len(names) == 7
    assert len({name.casefold() for name in names}) == 7
    assert {"a-2.png", "trip/a.jpg", "trip/b.png"} <= set(names)
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob(".*"))


def test_copies_of_an_earlier_run_inside_the_folder_are_not_read_again(recognize, album):
    first = recognize(album, "--detector", "none", "--save", album / "out")
    assert recognize(album, "--detector", "none", "--save", album / "out") == first
    assert len(list((album / "out").rglob("*.*"))) == 3


def test_a_copy_never_takes_the_place_of_a_picture(recognize, album, monkeypatch):
    before = {path: path.read_bytes() for path in album.rglob("*.*")}
    for save in (album, album / "trip" / "..", album / "trip" / ".." / "." / "."):
        code, out, err = recognize(album, "--detector", "none", "--save", save)
        assert (code, out) == (1, "")
        assert "would overwrite a picture that is read" in err
    monkeypatch.chdir(album)
    assert "would overwrite" in recognize("a.png", "--save", album / "a.png")[2]
    assert {path: path.read_bytes() for path in album.rglob("*.*")} == before


def test_a_copy_never_takes_the_place_of_what_a_link_leads_to(recognize, tmp_path):
    real = photo(tmp_path / "real" / "a.png")
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "a.png").symlink_to(real)
    before = real.read_bytes()
    for source, save in ((tmp_path / "view", tmp_path / "real"), (tmp_path / "view" / "a.png", real)):
        assert "would overwrite" in recognize(source, "--detector", "none", "--save", save)[2]
    assert real.read_bytes() == before


def test_a_copy_takes_the_place_of_an_earlier_copy_and_of_nothing_else(recognize, tmp_path):
    first, second = photo(tmp_path / "1" / "a.png"), photo(tmp_path / "2" / "a.png", "sad")
    mine = photo(tmp_path / "out" / "a.png", "fear")
    before = mine.read_bytes()
    for save in (mine, mine.parent):  # the first as by `--save *.png`, where a folder's name was forgotten
        code, out, err = recognize(first, "--detector", "none", "--save", save)
        assert (code, out) == (1, "")
        assert f"the copy {mine} would overwrite a file that is no annotated copy; choose another folder" in err
    assert mine.read_bytes() == before
    mine.unlink()
    os.mkfifo(mine)  # which nobody would read from
    assert f"the copy {mine} would overwrite" in recognize(first, "--detector", "none", "--save", mine.parent)[2]
    mine.unlink()
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    code, _, err = recognize(first, "--detector", "none", "--save", notes)
    assert (code, err) == (
        1,
        f"error: --save {notes}: expected a folder or the name of a picture, got an existing file of another kind\n",
    )
    copies = []
    for source in (first, second, first):
        assert recognize(source, "--detector", "none", "--save", mine.parent)[0] == 0
        copies.append(mine.read_bytes())
    assert copies[0] == copies[2] != copies[1]


@pytest.mark.parametrize("ending", [".bmp", ".jpg", ".png", ".tif", ".webp"])
def test_every_kind_of_copy_is_known_again_and_a_picture_to_all(recognize, tmp_path, ending):
    source, copy = photo(tmp_path / "a.png"), tmp_path / f"copy{ending}"
    for _ in range(2):
        assert recognize(source, "--detector", "none", "--save", copy)[0] == 0
    with Image.open(copy) as opened:
        opened.load()
        assert read_image(copy).shape[:2] == (opened.height, opened.width)


def test_what_is_out_of_reach_does_not_stop_the_others(recognize, tmp_path):
    names = [photo(tmp_path / "in" / "a.png"), tmp_path / ("a" * 300 + ".png"), photo(tmp_path / "in" / "b.png")]
    code, out, err = recognize(*names, "--detector", "none", "--json")
    assert code == 1
    assert [("faces" in json.loads(line), "error" in json.loads(line)) for line in out.splitlines()] == [
        (True, False), (False, True), (True, False)
    ]  # fmt: skip
    assert err.count("File name too long") == 1


def test_a_name_as_long_as_names_can_be_has_its_copy_and_one_that_would_be_longer_is_told(recognize, tmp_path):
    for name in ("写" * 83 + "a.jpg", "x" * 251 + ".bmp", "x" * 251 + ".gif", "z.jpg"):
        photo(tmp_path / "in" / name)
    code, out, err = recognize(tmp_path / "in", "--detector", "none", "--save", tmp_path / "out")
    assert code == 1
    assert out.count("happy") == 4
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert "x-2.png: cannot be written (File name too long)" in err


def test_an_address_is_not_fetched_and_the_others_are_read(recognize):
    code, out, err = recognize("https://example.org/a.jpg", ASTRONAUT, "--csv")
    assert (code, len(out.splitlines())) == (1, 2)
    _, lines, _ = recognize("https://example.org/a.jpg", ASTRONAUT, "--json")
    assert ["error" in json.loads(line) for line in lines.splitlines()] == [True, False]  # a line for each, in order
    assert "https://example.org/a.jpg: an address is not fetched; save the picture and name the file" in err
    code, _, err = recognize("rtsp://example.org/a.mp4")
    assert code == 1
    assert "rtsp://example.org/a.mp4: an address is not opened; save the video and name the file" in err
    assert "or open it yourself and give its frames to recognize_stream" in err


def test_videos_in_folders_and_heic_are_not_passed_over_in_silence(recognize, tmp_path):
    for name in ("a.jfif", "b.HEIC", "c.mp4"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    photo(tmp_path / "in" / "a.jpg").rename(tmp_path / "in" / "a.jfif")
    code, out, err = recognize(tmp_path / "in", "--detector", "none")
    assert code == 1
    assert "happy" in out
    assert err.count("left out") == 1
    video = f"1 video, such as {tmp_path / 'in' / 'c.mp4'}"
    assert f"left out: {video}; videos are read by their names, without photos beside them\n" in err
    assert f"{tmp_path / 'in' / 'b.HEIC'}: the picture is damaged (" in err


def test_annotated_copies_of_before_are_not_counted_as_photos(recognize, tmp_path):
    photo(tmp_path / "in" / "a.jpg")
    film = write_film(tmp_path / "in" / "clip.mp4", one_face(10))
    drawn = tmp_path / "in" / "drawn"
    recognize(tmp_path / "in", "--detector", "none", "--save", drawn)
    recognize(film, "--detector", "none", "--save", drawn)
    code, out, err = recognize(tmp_path / "in", "--detector", "none", "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "left out: 1 video, such as" in err
    assert f"left out: 3 annotated files, such as {drawn / 'a.jpg'}; a copy is read only when it is named\n" in err
    assert recognize(drawn / "a.jpg", "--detector", "none")[0] == 0


def test_a_signal_whose_exception_python_drops_ends_the_reading_all_the_same(recognize, tmp_path, monkeypatch):
    for name in "abc":
        photo(tmp_path / "in" / f"{name}.png")
    monkeypatch.setattr("ferkit.cli.recognize._copy", lambda *_: signals.came.append(15) or ("", False))
    code, out, _ = recognize(tmp_path / "in", "--detector", "none")
    signals.came.clear()
    assert code == 143
    assert (str(tmp_path / "in" / "a.png") in out, str(tmp_path / "in" / "b.png") in out) == (True, False)


def test_a_folder_that_cannot_be_searched_is_told_and_taken_for_no_video(recognize, tmp_path, monkeypatch):
    found = [photo(tmp_path / "in" / "a.png"), tmp_path / "in" / "closed"]
    found[1].mkdir()  # os.walk tells what it cannot search; root searches everything
    monkeypatch.setattr("ferkit.cli.jobs.find_images", lambda *_: found)
    code, out, err = recognize(tmp_path / "in", "--detector", "none")
    assert (code, "happy" in out, "left out" in err) == (1, True, False)
    assert f"{found[1]}: cannot be read" in err


def test_a_picture_that_fits_no_copy_does_not_stop_the_others(recognize, tmp_path):
    photo(tmp_path / "in" / "a.jpg")
    photo(tmp_path / "in" / "b.png", size=(70_000, 2)).rename(tmp_path / "in" / "b.jpg")  # more than a JPEG can hold
    photo(tmp_path / "in" / "c.jpg")
    code, out, err = recognize(tmp_path / "in", "--detector", "none", "--save", tmp_path / "out")
    assert code == 1
    assert [name.name for name in sorted((tmp_path / "out").iterdir())] == ["a.jpg", "c.jpg"]
    assert f"annotated: {tmp_path / 'out'}" in out
    assert "1 could not be copied:" in err


@pytest.mark.parametrize("taken", ["a folder", "a file"])
def test_a_copy_whose_place_is_taken_does_not_stop_the_others(recognize, tmp_path, taken):
    names = [photo(tmp_path / "in" / name).name for name in ("a.png", "b.png", "c.png")]
    photo(tmp_path / "in" / "sub" / "d.png")
    if taken == "a folder":
        (tmp_path / "out" / "b.png").mkdir(parents=True)
        lacks = tmp_path / "out" / "b.png"
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "sub").write_text("x")
        lacks = tmp_path / "out" / "sub" / "d.png"
    code, out, err = recognize(tmp_path / "in", "--detector", "none", "--save", tmp_path / "out")
    assert (code, out.count("happy")) == (1, 4)
    written = sorted(each.relative_to(tmp_path / "out") for each in (tmp_path / "out").rglob("*.png") if each.is_file())
    assert len(written) == 3
    assert names[2] in map(str, written)
    assert f"{lacks}: cannot be written (" in err


def test_what_was_read_is_printed_though_its_copy_cannot_be_written(recognize, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ferkit.files.write_bytes", full)
    copy = tmp_path / "copy.png"
    code, out, err = recognize(photo(tmp_path / "a.png"), "--detector", "none", "--save", copy)
    assert code == 1
    assert "face 1: happy" in out
    assert err == f"error: {copy}: cannot be written (No space left on device)\n"


def test_copies_of_several_folders_do_not_mix(recognize, tmp_path):
    for folder in ("one", "two"):
        photo(tmp_path / folder / "a.png")
    for _ in range(2):
        recognize(tmp_path / "one", tmp_path / "two", "--detector", "none", "--save", tmp_path / "out")
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")} == {
        "one/a.png",
        "two/a.png",
    }


def test_linked_folders_are_not_followed_in_silence(recognize, album):
    (album / "away").symlink_to(photo(album.parent / "other" / "c.png").parent)
    for passed_over in (album / ".git", album / "out"):
        passed_over.mkdir()
        (passed_over / "away").symlink_to(album.parent / "other")
    _, out, err = recognize(album, "--detector", "none", "--save", album / "out")
    assert "c.png" not in out
    assert f"left out: 1 linked folder, such as {album / 'away'}; a link is followed only when it is named\n" in err
    assert "c.png" in recognize(album / "away", album, "--detector", "none")[1]


def test_a_video_is_known_by_how_it_begins_where_its_name_says_nothing(recognize, tmp_path):
    film = write_film(tmp_path / "clip.mp4", one_face(10))
    for name in ("clip.MPG4", "clip"):
        code, out, _ = recognize(shutil.copy(film, tmp_path / name), "--detector", "none")
        assert code == 0
        assert "1 track in 0.4 s" in out
    code, _, err = recognize("-", stdin=film.read_bytes())
    assert (code, err.count("got a video; read_video reads one")) == (1, 1)
    os.mkfifo(tmp_path / "pipe.mp4")
    code, _, err = recognize(tmp_path / "pipe.mp4")
    assert (code, err) == (1, f"error: {tmp_path / 'pipe.mp4'}: expected a video, got a pipe or a device\n")


def test_csv_is_utf_8_whatever_the_terminal_could_show(network, tmp_path):
    name = str(photo(tmp_path / "日本.png"))
    command = [sys.executable, "-m", "ferkit", "recognize", name, "--detector", "none", "--csv", "--model", network]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    (line,) = csv.DictReader(io.StringIO(done.stdout.decode()))
    assert line["picture"] == name


def test_wide_letters_keep_the_columns(recognize, tmp_path):
    photo(tmp_path / "日本.png")
    photo(tmp_path / "plain.png")
    _, out, _ = recognize(tmp_path, "--detector", "none")
    ends = {cell_len(line[: line.index("happy")]) for line in out.splitlines() if "happy" in line}
    assert len(ends) == 1


FAKE_RUNTIME = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.Signals[os.environ["SENT"]])
    time.sleep(10)
except BaseException:
    raise ImportError("initialization failed") from None
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_onnx_runtime_is_loaded_ends_without_a_word(network, tmp_path, name):
    (tmp_path / "onnxruntime.py").write_text(FAKE_RUNTIME)
    command = [sys.executable, "-m", "ferkit", "recognize", photo(tmp_path / "a.png"), "--model", network]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "SENT": name, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.Signals[name], "", "")


def test_copies_are_named_though_a_folder_was_empty(recognize, tmp_path):
    (tmp_path / "empty").mkdir()
    out = recognize(photo(tmp_path / "a.png"), tmp_path / "empty", "--detector", "none", "--save", tmp_path / "o")[1]
    assert f"annotated: {tmp_path / 'o'}" in out


def test_every_name_is_one_field_of_csv(recognize, tmp_path):
    names = ["new\nline.png", "carriage\rreturn.png", 'quote".png', "comma,.png", "\x1b[31mred.png"]
    for name in names:
        photo(tmp_path / name)
    out = recognize(*(tmp_path / name for name in names), "--detector", "none", "--csv")[1]
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert {len(row) for row in rows} == {15}
    assert [Path(row[0]).name for row in rows[1:]] == names


def test_views_are_read_besides_each_face(recognize, tmp_path):
    pixels = np.full((48, 48), 74, np.uint8)
    pixels[:, :2] = 194  # moved out of sight to the left, doubled to the right
    Image.fromarray(pixels).save(tmp_path / "a.png")

    def angry(*options):
        code, out, err = recognize(tmp_path / "a.png", "--detector", "none", "--json", *options)
        assert (code, err) == (0, "")
        return json.loads(out)["faces"][0]["probabilities"]["angry"]

    brightness = np.array([79, 79, 79, 74, 84])  # as it is, up, down, left, right
    logits = -0.005 * (brightness[:, None] - np.array(LEVELS)) ** 2
    expected = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[:, 0]
    assert abs(expected.mean() - expected[0]) > 0.02
    assert angry() == pytest.approx(expected[0], abs=1e-4)
    assert angry("--views", "mirror") == pytest.approx(expected[0], abs=1e-4)
    assert angry("--views", "shifts") == pytest.approx(expected.mean(), abs=1e-4)
    assert angry("--views", " mirror, shifts") == pytest.approx(expected.mean(), abs=1e-4)
    code, out, err = recognize(tmp_path / "a.png", "--views", "shift")
    assert (code, out, err) == (1, "", "error: unknown view 'shift'; did you mean 'shifts'?\n")


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line(network, tmp_path, options):
    command = [sys.executable, "-m", "ferkit", "recognize", photo(tmp_path / "a.png"), "--detector", "none", *options]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*command, "--model", network], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"error: standard output: No space left on device\n")


def test_streams_that_the_shell_has_closed_do_no_harm(network, tmp_path):
    command = shlex.join([sys.executable, *f"-m ferkit recognize --detector none --model {network}".split()])
    done = subprocess.run(f"{command} - <&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard input: expected a picture, but it is closed\n")
    command = f"{command} {shlex.quote(str(photo(tmp_path / 'a.png')))}"
    done = subprocess.run(f"{command} >&-", shell=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_names_that_opencv_cannot_open_are_refused_and_do_not_end_the_program(network, tmp_path):
    film = write_film(tmp_path / "clip.mkv", one_face(5))
    strange = tmp_path / os.fsdecode(b"\xff")
    strange.mkdir()
    shutil.copy(film, strange / "clip.mkv")
    for name in ("model.onnx", "yunet.onnx"):
        shutil.copy(network, strange / name)
    picture = photo(tmp_path / "a.png")
    yunet = ["--detector", "yunet", "--detector-model", strange / "yunet.onnx"]
    for arguments, line in (
        ([strange / "clip.mkv"], b"expected a name in UTF-8"),
        ([film, "--save", strange], b"expected a name in UTF-8"),
        ([picture, *yunet], b"expected the ONNX file of a YuNet detector, got another file"),  # it was opened
    ):
        command = [sys.executable, "-m", "ferkit", "recognize", *arguments, "--model", network]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 1
        assert line in done.stderr
    assert not list(strange.glob(".*"))
    command = [sys.executable, "-m", "ferkit", "recognize", picture, "--detector", "none", "--model"]
    assert subprocess.run([*command, strange / "model.onnx"], capture_output=True, check=False).returncode == 0


def test_links_that_lead_in_a_circle_do_no_harm(recognize, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    picture = photo(tmp_path / "a.png")
    code, _, err = recognize(picture, "--detector", "none", "--save", tmp_path / "loop")
    assert (code, err.count("\n")) == (1, 1)
    code, _, err = recognize(tmp_path / "loop" / "a.png", picture, "--detector", "none", "--save", tmp_path / "out")
    assert code == 1
    assert "Too many levels of symbolic links" in err


def test_a_video_is_known_by_its_name_and_a_folder_of_that_name_is_a_folder(recognize, tmp_path):
    film = write_film(tmp_path / "clip.MP4", one_face(10))
    code, out, _ = recognize(film, "--detector", "none", "--every", "2", "--json")
    assert code == 0
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [0, 2, 4, 6, 8]
    photo(tmp_path / "album.mov" / "a.png")
    assert recognize(tmp_path / "album.mov", "--detector", "none")[1].count("1 face\n") == 1


WRONG = [
    pytest.param(["no.jpg"], "error: no.jpg: cannot be read (No such file or directory)\n", id="missing"),
    pytest.param(["nothing"], "error: nothing: expected a folder with pictures, found none in it\n", id="no pictures"),
    pytest.param(
        ["a.png", "b.png", "--save", "c.png"], "expected a folder for the copies of 2 pictures", id="one file"
    ),
    pytest.param(["a.png", "--save", "c.gif"], "expected a folder or a name that ends in", id="unwritable format"),
    pytest.param(["a.png", "--save", "b.png/x"], "b.png/x/a.png: cannot be written", id="folder is a file"),
    pytest.param(["a.png", "--detector", "har"], "unknown detector 'har'; did you mean 'haar'?", id="detector"),
    pytest.param(
        ["a.png", "--detector", "none", "--detector-model", "b.png"], "none takes no file", id="needless file"
    ),
    pytest.param(["a.png", "--detector", "yunet"], "the detector yunet needs its file", id="no detector's file"),
    pytest.param(["a.png", "--max-pixels", "3599"], "expected at most 3,599 pixels, got 60 x 60", id="pixels"),
    pytest.param([""], "expected the name of a picture or a folder, got an empty one", id="empty name"),
    pytest.param(["-", "-"], "expected - only once", id="two inputs"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wrong_is_one_clear_line(recognize, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "nothing").mkdir()
    code, out, err = recognize(*arguments)
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert "picture " not in out or len(out.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.png", "--json", "--csv"],
        ["a.mp4", "b.png"],
        ["a.png", "--camera", "0"],
        ["a.png", "--min-confidence", "2"],
        ["a.png", "--every", "2"],
        ["a.png", "--threads", "100000"],
        ["--camera", "99999999999999"],
        ["a.png", "--smoothing", "1"],
        ["a.mp4", "--every", "9" * 400],
        ["a.mp4", "--save", "drawn.mp4"],
        ["a.mp4", "--save", "drawn.png"],
        ["--camera", "0", "--save", "drawn.jpg"],
    ],
)
def test_wrong_usage_has_exit_code_2(recognize, arguments):
    assert recognize(*arguments)[0] == 2


def test_the_least_confidence_makes_answers_uncertain(recognize, tmp_path):
    between = (grey_of("fear") + grey_of("happy")) // 2
    Image.new("L", (60, 60), between).save(tmp_path / "a.png")
    out = recognize(tmp_path / "a.png", "--detector", "none", "--min-confidence", "0.9")[1]
    assert "face 1: uncertain (likeliest: " in out
    photo(tmp_path / "b.png")
    out = recognize(tmp_path, "--detector", "none", "--min-confidence", "0.9")[1]
    assert re.search(r"a\.png +1  uncertain +(fear|happy) [1-8]?\d %", out)


def test_a_name_cannot_command_the_terminal(recognize, tmp_path):
    photo(tmp_path / "a\x1b[2J\n.png")
    photo(tmp_path / "b.png")
    code, out, _ = recognize(tmp_path, "--detector", "none")
    assert code == 0
    assert "\x1b" not in out
    assert "a\\x1b[2J\\n.png" in out


def test_names_that_are_no_unicode_and_terminals_without_unicode_do_no_harm(network, tmp_path):
    photo(tmp_path / "ä.png")
    shutil.copy(tmp_path / "ä.png", os.fsencode(tmp_path) + b"/\xff.png")
    for more in ([], ["--json"], ["--csv", "--save", tmp_path / "out"]):
        done = subprocess.run(
            [sys.executable, "-m", "ferkit", "recognize", tmp_path, "--detector", "none", "--model", network, *more],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONIOENCODING": "latin-1" if "--save" in more else "ascii"},
        )
        assert done.returncode == 0, done.stderr
        assert b"Error" not in done.stderr
        assert done.stdout.count(b"\\udcff.png") == 1


def test_damaged_pictures_leave_no_noise_on_stderr(recognize, tmp_path):
    rng = np.random.default_rng(0)
    whole = read_image(ASTRONAUT)[::4, ::4]
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        for number in range(6):
            buffer = io.BytesIO()
            Image.fromarray(whole).save(buffer, kind)
            content = bytearray(buffer.getvalue())
            for place in rng.integers(600, len(content), 6):
                content[place] = rng.integers(256)
            (tmp_path / f"{kind}{number}.png").write_bytes(content)
    _, out, err = recognize(tmp_path, "--detector", "none")
    assert len(out.splitlines()) == 25
    assert all(line.startswith(("error: ", f"  {tmp_path}")) for line in err.splitlines())


def test_a_closed_pipe_ends_the_program_quietly(network, tmp_path):
    for number in range(30):
        photo(tmp_path / f"{number}.png")
    command = f"'{sys.executable}' -m ferkit recognize '{tmp_path}' --detector none --model '{network}' | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("picture")
    assert done.stderr == ""


def test_progress_is_shown_on_a_terminal_only(network, tmp_path):
    pty = pytest.importorskip("pty")
    for number in range(3):
        photo(tmp_path / f"{number}.png")
    here, there = pty.openpty()
    arguments = ["-m", "ferkit", "recognize", tmp_path, "--detector", "none", "--model", network]
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=there, check=True)
    os.close(there)
    shown = os.read(here, 10_000).decode()
    os.close(here)
    assert "3 of 3 pictures" in shown
    assert shown.endswith("\x1b[2K")  # and it is taken away at the end
    assert b"of 3" not in done.stdout


def on_a_terminal(network, folder, *more, columns=80):
    """Return what is printed about a folder on a terminal of so many columns."""
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    arguments = ["-m", "ferkit", "recognize", folder, "--detector", "none", "--model", network, *more]
    environment = {**os.environ, "COLUMNS": str(columns)}
    subprocess.run([sys.executable, *arguments], stdout=there, stderr=subprocess.DEVNULL, env=environment, check=True)
    os.close(there)
    printed = os.read(here, 10_000).decode()
    os.close(here)
    return printed


def test_a_narrow_terminal_leaves_names_long_enough_to_tell_files_apart(network, tmp_path):
    for number in range(2):
        photo(tmp_path / f"IMG_{number}001.jpg", size=(40, 40))
    for columns in (10, 60, 80):
        printed = on_a_terminal(network, tmp_path, columns=columns)
        assert "IMG_0001.jpg " in printed
        assert "IMG_1001.jpg " in printed


def test_a_name_in_csv_cannot_command_the_terminal_and_is_whole_for_a_program(recognize, network, tmp_path):
    name = str(photo(tmp_path / "a\x1b[31m.png"))
    assert f"{name[:-9]}\\x1b[31m.png,1," in on_a_terminal(network, tmp_path, "--csv")
    assert recognize(tmp_path, "--detector", "none", "--csv")[1].splitlines()[1].startswith(f"{name},1,")


def test_the_card_is_printed_and_speaks_json(network, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ferkit", "card", str(network)])
    main_quietly()
    out = capsys.readouterr().out
    for words in ("brightness, 7 parameters", "temperature 1.000", "PublicTest", "50.00 %", "40.00 to 60.00 %"):
        assert words in out
    monkeypatch.setattr("sys.argv", ["ferkit", "card", str(network), "--json"])
    main_quietly()
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "brightness"
    assert len(found["sha256"]) == 64


def main_quietly():
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


def test_recognition_loads_nothing_of_training(network, tmp_path):
    heavy = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "pydantic", "PIL", "skimage", "rich.progress")
    code = f"""
import sys
sys.argv = ["ferkit", "recognize", {str(photo(tmp_path / "a.png"))!r}, "--model", {str(network)!r}]
from ferkit.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]


def test_nothing_is_called_and_nothing_written_but_what_was_asked_for(network, tmp_path):
    home, work, notes = tmp_path / "home", tmp_path / "work", tmp_path / "notes"
    home.mkdir()
    work.mkdir()
    shutil.copy(ASTRONAUT, work)
    shutil.copy(network, work)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    environment |= {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["recognize", "astronaut.png", "--model", "model.onnx", "--save", "out.png"]
    done = subprocess.run(
        [sys.executable, QUIET, notes, *command], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not notes.exists(), notes.read_text()
    assert list(home.rglob("*")) == []
    assert sorted(path.name for path in work.iterdir()) == ["astronaut.png", "model.onnx", "out.png"]


def example(name, *arguments, code=0):
    """Return what an example prints; what is wrong is told without a traceback."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_the_examples_run(network, tmp_path):
    assert "at 17" in example("recognize_photo.py", ASTRONAUT, tmp_path / "copy.png", network)
    assert (tmp_path / "copy.png").exists()
    assert len(example("own_detector.py", ASTRONAUT, network).splitlines()) == 7
    shutil.copy(ASTRONAUT, tmp_path / "twice.png")
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8")
    counted = example("count_expressions.py", tmp_path, network, code=1)
    assert re.search(r"^[a-z]+ +2$", counted, re.MULTILINE)
    assert "damaged.jpg: " in counted
    assert "no face was found" in example("count_expressions.py", tmp_path / "nowhere", network, code=1)
    assert example("recognize_photo.py", "none.jpg", tmp_path / "x.png", network, code=1).startswith(
        "error: none.jpg: "
    )
    assert "x.xyz: expected a name that ends in " in example(
        "recognize_photo.py", ASTRONAUT, tmp_path / "x.xyz", network, code=1
    )
    (tmp_path / "file").touch()
    assert "file: cannot be written to (" in example("demo.py", "--out", tmp_path / "file", code=1)


def test_the_demo_prints_a_table_and_draws(network, tmp_path):
    out = example("demo.py", "--out", tmp_path / "demo", "--model", network)
    assert out.startswith("$ ferkit recognize ")
    assert out.rstrip().endswith(f"annotated: {tmp_path / 'demo' / 'annotated'}")
    portraits = {path.name for path in (tmp_path / "demo" / "annotated").iterdir()}
    assert "astronaut.png" in portraits
    assert len(out.splitlines()) == len(portraits) + 3  # each of them has one face
