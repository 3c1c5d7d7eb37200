import errno
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ferkit import files
from ferkit.data import audit, cache, read, read_fer2013
from ferkit.data.csv import read_csv
from ferkit.errors import DataError


@pytest.fixture
def source(csv_file, row) -> Path:
    """A file that did not change for ten seconds, as far as one can tell."""
    return csv_file(*(row(n % 7, ("Training", "PublicTest")[n % 2], first=n) for n in range(9)))


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Let ten seconds pass between the writing of a file and its reading."""
    now = time.time_ns
    monkeypatch.setattr(cache.time, "time_ns", lambda: now() + 10**10)


@pytest.fixture
def parsed(monkeypatch):
    """Count how often a file is parsed."""
    calls = []
    monkeypatch.setattr(read, "read_csv", lambda path: calls.append(path) or read_csv(path))
    return calls


def arrays(cache_home) -> Path:
    """Return the one file of arrays in the cache."""
    (found,) = cache_home.rglob("*.npz")
    return found


def same(one, other):
    return (
        np.array_equal(one.faces.images, other.faces.images)
        and np.array_equal(one.faces.labels, other.faces.labels)
        and np.array_equal(one.splits, other.splits)
        and (one.source, one.md5, one.notes) == (other.source, other.md5, other.notes)
    )


def test_the_second_reading_gives_the_same_without_parsing(source, parsed):
    first, second = read_fer2013(source), read_fer2013(source)
    assert same(first, second)
    assert parsed == [source]
    assert [a.dtype for a in (second.faces.images, second.faces.labels, second.splits)] == [
        np.uint8,
        np.int64,
        np.uint8,
    ]


def test_the_cache_lies_in_the_xdg_folder_under_the_digest_of_the_source(source, cache_home, kept):
    read_fer2013(source)
    digest = cache.fingerprint(source, [])
    assert arrays(cache_home) == cache_home / "ferkit" / "fer2013-v1" / f"{digest}.npz"
    assert len(kept()) == 2  # the arrays, and a note of the digest


def test_without_the_cache_nothing_is_written_or_read(source, parsed, kept):
    read_fer2013(source, use_cache=False)
    assert kept() == []
    read_fer2013(source)
    read_fer2013(source, use_cache=False)
    assert len(parsed) == 3


def test_a_copy_elsewhere_is_not_parsed_again(source, parsed, tmp_path):
    read_fer2013(source)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(source.read_bytes())
    assert read_fer2013(copy).source == str(copy)
    assert parsed == [source]


def test_a_file_known_by_its_stamp_is_not_digested_again(source, monkeypatch):
    first = read_fer2013(source)
    monkeypatch.setattr(cache.hashlib, "file_digest", None)
    monkeypatch.chdir(source.parent)
    assert same(read_fer2013(source), first)
    assert len(read_fer2013(source.name)) == len(first)


def test_a_file_that_has_just_changed_is_digested_again(source, monkeypatch, kept):
    monkeypatch.setattr(cache.time, "time_ns", lambda: max(source.stat().st_mtime_ns, source.stat().st_ctime_ns))
    read_fer2013(source)
    assert [Path(name).suffix for name in kept()] == [".npz"]


def test_a_changed_file_is_parsed_again(source, parsed, row):
    read_fer2013(source)
    source.write_text(source.read_text() + row(5) + "\n")
    assert read_fer2013(source).faces.labels[-1] == 5
    assert len(parsed) == 2


def test_a_file_changed_behind_its_size_and_time_is_parsed_again(source):
    assert read_fer2013(source).faces.labels[0] == 0
    stat = source.stat()
    with source.open("r+b") as text:
        text.seek(len("emotion,pixels,Usage\n"))
        text.write(b"6")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert read_fer2013(source).faces.labels[0] == 6


def test_another_file_moved_into_place_is_parsed(source, row):
    read_fer2013(source)
    stat = source.stat()
    other = source.with_name("other.csv")
    other.write_text(source.read_text().replace("0,0 1", "6,0 1", 1))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(source)
    assert read_fer2013(source).faces.labels[0] == 6


def test_a_source_that_changes_while_it_is_read_is_not_kept(source, monkeypatch, kept, row):
    def read_and_change(path):
        data = read_csv(path)
        path.write_text(path.read_text() + row() + "\n")
        return data

    monkeypatch.setattr(read, "read_csv", read_and_change)
    read_fer2013(source)
    assert kept() == []


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda c: flip(c, len(c) // 2), id="flipped byte in the middle"),
        pytest.param(lambda c: flip(c, c.index(b"PK\1\2") + 10), id="unknown compression"),
        pytest.param(lambda c: flip(c, c.index(b"'shape'") + 9), id="flipped byte before a shape"),
        pytest.param(lambda c: flip(c, c.index(b"PK\1\2") + 8), id="flipped flags"),
        pytest.param(lambda c: c.replace(b"|u1", b"|u9"), id="unknown dtype"),
        pytest.param(lambda c: c[: len(c) // 2], id="truncated"),
        pytest.param(lambda c: c[:-1], id="truncated by a byte"),
        pytest.param(lambda c: b"", id="empty"),
        pytest.param(lambda c: b"garbage" * 1000, id="garbage"),
        pytest.param(lambda c: b"\x93NUMPY\1\0\x10\0{'descr': '|O'}\n", id="pickled objects"),
    ],
)
def test_a_damaged_cache_is_built_anew(source, parsed, cache_home, damage):
    first = read_fer2013(source)
    whole = arrays(cache_home).read_bytes()
    arrays(cache_home).write_bytes(damage(whole))
    assert same(read_fer2013(source), first)
    assert len(parsed) == 2
    assert arrays(cache_home).read_bytes() == whole
    read_fer2013(source)
    assert len(parsed) == 2


def test_no_flipped_byte_changes_what_is_read(source, cache_home):
    first = read_fer2013(source)
    whole = arrays(cache_home).read_bytes()
    rng = np.random.default_rng(0)
    ends = [*range(260), *range(len(whole) - 900, len(whole))]  # headers and the directory of the archive
    for at in [*rng.choice(ends, 150, replace=False), *rng.integers(0, len(whole), 50)]:
        arrays(cache_home).write_bytes(flip(whole, int(at)))
        found = cache.load(arrays(cache_home).stem, source)
        assert found is None or same(found, first), f"byte {at}"


def test_arrays_that_are_not_faces_are_not_taken(source, parsed, cache_home):
    read_fer2013(source)
    np.savez(arrays(cache_home), images=np.zeros((1, 2, 3)), labels=[9], splits=[0], md5="", notes=[])
    assert len(read_fer2013(source)) == 9
    assert len(parsed) == 2


@pytest.mark.parametrize(
    "note",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\0garbage", id="garbage"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="without keys"),
        pytest.param({"digest": 7}, id="a number for a digest"),
        pytest.param({"digest": "../../../../evil"}, id="a path for a digest"),
        pytest.param({"digest": "a\0b"}, id="a zero byte in the digest"),
    ],
)
def test_a_damaged_note_is_written_anew(source, cache_home, note):
    first = read_fer2013(source)
    (path,) = cache_home.rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(note if isinstance(note, bytes) else json.dumps(json.loads(whole) | note).encode())
    assert same(read_fer2013(source), first)
    assert path.read_bytes() == whole


def test_a_refused_file_leaves_no_note(source, kept, row):
    source.write_text(source.read_text() + row(9) + "\n")
    with pytest.raises(DataError):
        read_fer2013(source)
    assert kept() == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_one_warning(source, monkeypatch, caplog, kept, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "open", refuse)
    with caplog.at_level(logging.WARNING):
        data = read_fer2013(source)
    assert len(data) == 9
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"could not keep the parsed data in {cache.cache_folder()}: {os.strerror(code)}")
    ]
    assert kept() == []


def test_a_disk_that_fills_up_while_the_cache_is_written_leaves_nothing(source, monkeypatch, caplog, kept):
    def fill(sink, **_):
        sink.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.np, "savez", fill)
    assert len(read_fer2013(source)) == 9
    assert "No space left" in caplog.text
    assert not [name for name in kept() if not name.endswith(".json")]


def test_a_cache_folder_that_is_a_file_is_one_warning(source, cache_home, caplog):
    cache_home.write_text("in the way")
    assert len(read_fer2013(source)) == 9
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_what_a_killed_writer_left_is_swept(source, cache_home):
    old = cache_home / "ferkit" / "fer2013-v1" / ".x.npz.0.part"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    read_fer2013(source)
    assert not old.exists()


def test_data_sets_that_were_not_read_for_long_are_forgotten(source, parsed, cache_home, row):
    read_fer2013(source)
    first = arrays(cache_home)
    content = source.read_text()
    for number in range(cache.KEPT + 2):
        for age, path in enumerate(sorted(cache_home.rglob("*.npz"), key=lambda path: -path.stat().st_mtime)):
            os.utime(path, (1e9 - age, 1e9 - age))  # long before, in the same order
        source.write_text(content)
        read_fer2013(source)  # so it stays
        source.write_text(f"{content}{row(number % 7, 'PrivateTest', first=number)}\n")
        read_fer2013(source)
    assert len(list(cache_home.rglob("*.npz"))) == cache.KEPT
    assert first.exists()
    assert len(parsed) == cache.KEPT + 3
    read_fer2013(source)
    assert len(parsed) == cache.KEPT + 3


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_second_reading_loads_neither_pandas_nor_opencv(source):
    first = read_fer2013(source)
    code = (
        "import sys; from ferkit.data import read_fer2013; data = read_fer2013(sys.argv[1]);"
        "print(data.faces.labels.tolist(), [m for m in ('pandas', 'cv2', 'torch') if m in sys.modules])"
    )
    output, errors = python(code, source).communicate(timeout=60)
    assert (output.strip(), errors) == (f"{first.faces.labels.tolist()} []", "")


def test_two_processes_that_write_at_once_leave_one_whole_cache(source, parsed, cache_home, kept):
    code = (
        "import sys, time, pathlib; import pandas; from ferkit.data import read_fer2013;"
        "pathlib.Path(sys.argv[2]).touch();\n"
        "while len(list(pathlib.Path(sys.argv[2]).parent.glob('ready*'))) < 2: time.sleep(0.001)\n"
        "print(read_fer2013(sys.argv[1]).faces.images.sum())"
    )
    writers = [python(code, source, source.with_name(f"ready{n}")) for n in range(2)]
    results = [writer.communicate(timeout=60) for writer in writers]
    total = read_csv(source).faces.images.sum()
    assert results == [(f"{total}\n", "")] * 2
    assert read_fer2013(source).faces.images.sum() == total
    assert parsed == []
    assert [Path(name).suffix for name in kept()].count(".npz") == 1
    assert not [name for name in kept() if name.endswith(".part")]


def test_the_audit_of_cached_data_is_the_same(source):
    assert audit(read_fer2013(source)) == audit(read_fer2013(source))
