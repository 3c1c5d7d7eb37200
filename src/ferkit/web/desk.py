"""Work for a few threads, with a bounded queue before them: who does not fit in is told so at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from statistics import median
from typing import Any, TypeVar

from prometheus_client import Gauge

from ferkit.web.refusals import BUSY, TOO_SLOW, Refusal

T = TypeVar("T")

CLOSING_SECONDS = 2.0
"""In which what has begun may still come to its end when the desk closes; nobody waits for it any more."""

_REMEMBERED = 64  # pieces of work whose time is known


class Desk:
    """Takes work as long as there is room; belongs to one event loop."""

    def __init__(self, threads: int, waiting: int, seconds: float, gauge: Gauge | None = None) -> None:
        """Open the desk.

        Args:
            threads: Pieces of work at the same time.
            waiting: Pieces that may wait besides.
            gauge: Shows how many pieces there are.
            seconds: After which a piece is given up; one that has begun still runs to its end, in its place.
        """
        self.threads, self.waiting, self.seconds = threads, waiting, seconds
        self._gauge = gauge
        self.taken = 0
        """Pieces that wait or are being done."""
        self._pool = ThreadPoolExecutor(threads, "recognize")
        self._pieces: set[Future[Any]] = set()
        self._times: deque[float] = deque([0.05], maxlen=_REMEMBERED)

    async def do(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in a thread.

        Raises:
            Refusal: There is no room, or it took too long.
        """
        if self.taken >= self.threads + self.waiting:
            raise Refusal(BUSY, "The service is busy; try again later.", self.retry_after())
        loop = asyncio.get_running_loop()
        self._take(1)
        future = self._pool.submit(self._timed, work)
        self._pieces.add(future)
        future.add_done_callback(lambda done: self._give_back(done, loop))
        try:
            return await asyncio.wait_for(_result(future), self.seconds)
        except TimeoutError:
            message = f"Reading took longer than {self.seconds:g} seconds; try again later or with a smaller picture."
            raise Refusal(TOO_SLOW, message, self.retry_after()) from None

    def retry_after(self) -> int:
        """Return the whole seconds until what is waiting now should be done."""
        return max(1, math.ceil(median(self._times) * self.taken / self.threads))

    def close(self) -> None:
        """Let what has begun come to its end, unless that takes long."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(self._pieces, CLOSING_SECONDS)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._times.append(time.perf_counter() - began)

    def _give_back(self, piece: "Future[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._pieces.discard(piece)
        with suppress(RuntimeError):  # the loop has ended before this piece
            loop.call_soon_threadsafe(self._take, -1)

    def _take(self, change: int) -> None:
        self.taken += change
        if self._gauge is not None:
            self._gauge.inc(change)


async def _result(future: "Future[T]") -> T:
    return await asyncio.wrap_future(future)
