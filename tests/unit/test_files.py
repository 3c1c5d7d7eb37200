import os
import signal
import subprocess
import sys

import pytest

from ferkit.files import remove_abandoned, replacing, write_bytes, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [pytest.param(None, id="new"), pytest.param("old", id="replaced")])
def test_a_block_that_ends_well_leaves_the_new_file_alone(tmp_path, before):
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)
    with replacing(path) as part:
        part.write_text("new")
        assert path.exists() == bool(before)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("stop", [OSError("disk full"), KeyboardInterrupt(), SystemExit(1), ValueError("x")])
def test_a_block_that_raises_leaves_the_old_file_alone(tmp_path, stop):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with replacing(path) as part:
            part.write_text("half")
            raise stop

    with pytest.raises(type(stop)):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_move_that_fails_leaves_no_part(tmp_path):
    path = tmp_path / "a.txt"
    path.mkdir()
    with pytest.raises(OSError, match=r"a\.txt"):
        write_text(path, "new")
    assert names(tmp_path) == ["a.txt"]


def test_a_part_that_the_block_removed_is_an_error_and_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt") as part:
        part.unlink()
    assert names(tmp_path) == []


def test_what_is_flushed_is_open_for_writing_as_windows_needs_it(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    modes = []
    monkeypatch.setattr(os, "fsync", lambda handle: modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE))
    write_text(tmp_path / "a.txt", "new")
    assert modes == [os.O_RDWR]


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "b" / "c" / "a.txt", "new")
    assert (tmp_path / "b" / "c" / "a.txt").read_text() == "new"


def test_text_is_written_as_utf8_with_its_own_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "ä\n\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n\r\n"


@pytest.mark.parametrize("content", [b"\0\xff", memoryview(b"\0\xff")])
def test_bytes_are_written_as_they_are(tmp_path, content):
    write_bytes(tmp_path / "a.bin", content)
    assert (tmp_path / "a.bin").read_bytes() == b"\0\xff"


@pytest.mark.parametrize(
    ("umask", "mode"), [pytest.param(0o022, 0o644, id="usual"), pytest.param(0o077, 0o600, id="private")]
)
def test_the_mode_of_the_file_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "new")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


def test_the_umask_is_never_lifted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "umask", asked.append)
    write_text(tmp_path / "a.txt", "new")
    assert asked == []


def test_the_content_is_on_the_disk_before_the_file_is_in_place(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    present = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (present.append(path.exists()), sync(handle)))
    write_text(path, "new")
    assert present == [False]


KILLED = """
import os, sys, pathlib
from ferkit.files import replacing
with replacing(pathlib.Path(sys.argv[1])) as part, part.open("wb") as sink:
    sink.write(b"half")
    sink.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_writer_killed_in_the_middle_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    (part,) = tmp_path.glob(".*.part")
    assert part.read_bytes() == b"half"
    remove_abandoned(tmp_path)
    assert part.exists()  # for all we know its writer is at work
    remove_abandoned(tmp_path, older_than=0)
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "age", "swept"),
    [
        pytest.param(".a.npz.0123.part", 4000, True, id="an hour old"),
        pytest.param(".a.npz.0123.part", 10, False, id="young"),
        pytest.param("a.npz", 4000, False, id="whole file"),
        pytest.param("a.part", 4000, False, id="of another program"),
        pytest.param("below/.a.npz.0123.part", 4000, False, id="in a subfolder"),
    ],
)
def test_only_old_parts_in_the_folder_itself_are_swept(tmp_path, name, age, swept):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    remove_abandoned(tmp_path)
    assert path.exists() != swept


def test_sweeping_a_folder_that_is_not_there_does_nothing(tmp_path):
    remove_abandoned(tmp_path / "nowhere")
    assert names(tmp_path) == []


def test_a_part_that_another_process_sweeps_first_is_no_error(tmp_path, monkeypatch):
    part = tmp_path / ".a.0.part"
    part.write_text("x")
    monkeypatch.setattr(type(part), "glob", lambda *_: [tmp_path / ".gone.0.part", part])
    remove_abandoned(tmp_path, older_than=0)
    assert not part.exists()


def test_json_has_no_word_for_a_number_that_is_not_finite_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"loss": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert path.read_text() == '{\n "loss": 0.5\n}\n'
    assert names(tmp_path) == ["a.json"]
