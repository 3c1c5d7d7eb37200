"""Work that a GPU does alike many times over, recorded as a CUDA graph: one launch in place of hundreds.

A small network waits for the processor, which launches its kernels one by one: on an H200 a batch of ``compact`` took
14 milliseconds so and 3.6 recorded (``benchmarks/reports``, gpu-2026-11-27).

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import torch

T = TypeVar("T")

WARM_UP = 3
"""Calls before work is recorded: what is allocated, chosen or compiled the first time is none of it."""


class Recorded(Generic[T]):
    """Does the same work on the same tensors every time; records it at the fourth call.

    From then on Python is not run any more, and what was returned at that call is filled anew by each. Where recording
    fails, the work goes on being done as it is.
    """

    def __init__(self) -> None:
        """Prepare a stream of its own for the work until it is recorded: autograd must remember no other of it."""
        self.calls = 0
        self.problem = ""
        self.done: T | None = None
        """What the recorded call returned; ``None`` before that."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    @property
    def ready(self) -> bool:
        """Whether the work is recorded."""
        return self._graph is not None

    def __call__(self, work: Callable[[], T]) -> T:
        """Do ``work``; return what it returns.

        It waits for no result of the GPU, draws random numbers from the default generator and is the same at each call.
        It is not kept, as it may know who keeps this.
        """
        if self._graph is None:
            if self.calls < WARM_UP or self.problem:
                self.calls += 1
                return self._plain(work)
            self._record(work)
        if self._graph is None:
            return self._plain(work)
        self._graph.replay()
        return cast("T", self.done)

    def _plain(self, work: Callable[[], T]) -> T:
        self._aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._aside):
            done = work()
        torch.cuda.current_stream().wait_stream(self._aside)
        return done

    def _record(self, work: Callable[[], T]) -> None:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        self._aside.wait_stream(before)
        try:
            # of this thread alone: a loader's thread that pins memory meanwhile is no part of it
            with torch.cuda.graph(graph, stream=self._aside, capture_error_mode="thread_local"):
                self.done = work()
        except RuntimeError as error:  # some kernel cannot be recorded: no reason to end the run
            cause = error.__context__ or error  # the end of a broken recording fails in its turn
            self.problem = str(cause).strip().partition("\n")[0] or type(cause).__name__
            self.done = None
            torch.cuda.set_stream(before)
            torch.cuda.synchronize()
            _renew_generator()
            return
        self._graph = graph


def _renew_generator() -> None:
    """Give the default generator a new state of the same values.

    In PyTorch 2.9 and 2.11 a recording that breaks off leaves the old one waiting for its end, and refusing to be drawn
    from (as their source reads).
    """
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())
