"""When a run is asked to stop."""

import os
import signal
import time

import pytest

from ferkit.training.stopping import StopRequest


def test_minutes_are_minutes(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr("ferkit.training.stopping.time.monotonic", lambda: now)
    stop = StopRequest(max_minutes=1.5)
    assert stop.reason == ""
    now += 89
    assert stop.reason == ""
    now += 2
    assert stop.reason == "the time is up"
    assert StopRequest().reason == ""


def test_a_signal_asks_and_a_second_ctrl_c_ends_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.reason, stop.signal) == ("SIGTERM", signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_ctrl_c_asks():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == "Ctrl-C"


def test_a_signal_comes_before_the_time_and_the_time_before_a_wish():
    stop = StopRequest(max_minutes=-1)
    stop.wish = "pruned"
    assert stop.reason == "the time is up"
    stop.signal = signal.SIGTERM
    assert stop.reason == "SIGTERM"
    waiting = StopRequest(max_minutes=9)
    waiting.wish = "pruned"
    assert waiting.reason == "pruned"
