"""Asks a run to stop: Ctrl-C, SIGTERM, a closed terminal, a number of minutes, or whoever consumes its events."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # at run time it loads a compiler, which who only asks to stop does not need

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP else []))
"""What asks a run to stop; it may be sent to the whole group of processes."""


class StopRequest:
    """While entered, turns signals into a request that the run answers after the batch it is at.

    A second Ctrl-C stops at once. Outside the main thread signals are left alone.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.signal = 0
        """Number of the signal that came, 0 if none."""
        self.wish = ""
        """Why the consumer of the run's events wants it to stop; empty where it does not."""
        self._deadline = time.monotonic() + max_minutes * 60 if max_minutes is not None else float("inf")
        self._before: dict[int, signal.Handlers | None] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # started by nohup
                self._before[number] = signal.signal(number, self._receive)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def reason(self) -> str:
        """Why to stop; empty where there is no reason."""
        if self.signal:
            return "Ctrl-C" if self.signal == signal.SIGINT else signal.Signals(self.signal).name
        return "the time is up" if time.monotonic() >= self._deadline else self.wish

    def agreed(self, fabric: "Fabric", wanted: int) -> int:
        """Return the largest ``wanted`` of all processes, so that all do the same; every process must call it."""
        if fabric.world_size == 1:
            return wanted
        most = cast("torch.Tensor", fabric.all_reduce(torch.tensor(wanted, device=fabric.device), reduce_op="max"))
        return int(most)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
