"""What commands that take long show meanwhile."""

import io
import re

import pytest

from ferkit.cli.screen import Screen

LABEL = "table-7, 4 layers, at most 32 channels, NLLLoss, Adam, seed 1"


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def shown(capsys):
    """Return what was drawn, line by line, without colours and movements of the cursor."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err))


@pytest.mark.usefixtures("terminal")
def test_a_bar_keeps_to_a_terminal_of_80_columns_and_shows_the_end_of_what_it_is_for(capsys):
    screen = Screen()
    screen.begin("run", LABEL, whole=1, done=0.25)
    screen.advance("run", 0.5)
    assert screen.close()
    (bar,) = {line for line in shown(capsys) if "50%" in line}
    assert bar.startswith("…")
    assert LABEL.endswith(bar[1:].partition("━")[0].strip())
    assert bar.endswith("left")
    assert len(bar) <= 80 - len("^C")


@pytest.mark.usefixtures("terminal")
def test_a_line_stands_above_the_bars_whole(capsys):
    screen = Screen()
    screen.begin("run", "epoch 1/2", whole=10)
    screen.say("[red]" + LABEL + " " + LABEL, whole=True)
    screen.end("run")
    screen.end("never begun")
    screen.close()
    assert "[red]" + LABEL + " " + LABEL in shown(capsys)
    assert not screen.close()
    screen.say(LABEL + " " + LABEL)
    broken = [line.rstrip() for line in shown(capsys) if line.strip()]
    assert " ".join(broken) == LABEL + " " + LABEL
    assert max(map(len, broken)) <= 80


def test_where_there_is_no_terminal_there_are_lines_alone(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    screen = Screen()
    screen.begin("run", "epoch 1/2", whole=10)
    screen.advance("run", 5)
    screen.say(LABEL)
    assert not screen.close()
    assert capsys.readouterr().err == LABEL + "\n"


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
def test_a_line_that_nobody_reads_costs_nothing(monkeypatch, error):
    tried = []

    class Gone(io.StringIO):
        def write(self, text):
            if text:
                tried.append(text)
                raise error
            return 0

    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", Gone())
    screen = Screen()
    for _ in range(3):
        screen.say(LABEL)
    assert len(tried) == 1
