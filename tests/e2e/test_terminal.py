"""What a person sees at a terminal while a network trains."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios

import pytest

from conftest import make_data, write_csv

BREAK = re.compile(r"[\r\n]+")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What moves the cursor, erases or colours."""


def at_terminal(columns, *arguments):
    """Run ferkit at a terminal that wide; return what it wrote there."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "ferkit", *map(str, arguments)],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(its)
    written = b""
    try:
        while part := os.read(ours, 1 << 16):
            written += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, written.decode()
    return written.decode()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    csv = write_csv(folder / "fer2013.csv", make_data(training=200, tests=20))
    settings = ("--set", "epochs=2", "--set", "batch_size=4", "--set", "widths=2,2,2,2")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return at_terminal(80, "train", "--data", csv.name, "--out", "run", "--recipe", "model1", *settings)


@pytest.mark.slow
def test_it_says_at_once_what_it_waits_for(written):
    assert written.startswith("reading fer2013.csv")


@pytest.mark.slow
def test_no_line_is_torn_and_the_bar_leaves_room_for_the_echo_of_ctrl_c(written):
    lines = BREAK.split(CONTROL.sub("", written))
    bars = [line for line in lines if "batches" in line and "left" in line]
    assert max(map(len, lines)) <= 80
    assert {"epoch 1/2", "epoch 2/2"} <= {line[:9] for line in bars}
    assert re.search(r" 100/100 batches, +0:00:00 left", bars[-1])
    assert max(map(len, bars)) <= 78


@pytest.mark.slow
def test_epochs_are_rows_of_a_table_and_its_columns_end_where_their_names_do(written):
    lines = BREAK.split(CONTROL.sub("", written))
    header = next(line for line in lines if line.startswith("epoch   loss"))
    rows = [line for line in lines if re.match(r"    [12] ", line)]
    assert [row.split()[0] for row in rows] == ["1", "2"]
    ends = [match.end() for match in re.finditer(r"\S+", header)]
    for row in rows:
        assert [match.end() for match in re.finditer(r"\S+", row)] == ends


@pytest.mark.slow
def test_the_bar_is_gone_when_the_numbers_come(written):
    bar_and_rest = written[written.rindex("batches,") :]
    erased, _, results = bar_and_rest.partition("protocol report")
    assert "\x1b[2K" in erased
    assert "\x1b[?25h" in erased, "the cursor is shown again"
    assert "\x1b" not in results
