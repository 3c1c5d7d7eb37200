"""Work that a GPU does alike many times over, recorded as a CUDA graph: one launch in place of hundreds.

A batch of a small network keeps a GPU busy for a millisecond or two, and the processor, which launches its kernels one
by one, for ten times as long. A recorded batch is launched at once.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import torch

T = TypeVar("T")

WARM_UP = 3
"""Calls before work is recorded: what is allocated, chosen or compiled the first time is none of it."""


class Recorded(Generic[T]):
    """Work without arguments that reads and writes the same tensors every time; recorded at its fourth call.

    From then on Python is not run any more, and what was returned at that call is filled anew by each. Recording does
    what a call does. Where it fails, the work goes on being done as it is.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Remember ``work``, which waits for no result of the GPU and draws random numbers from the default generator.

        It is done on a stream of its own until it is recorded, so that no trace of it is left on the others.
        """
        self.work = work
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

    def __call__(self) -> T:
        """Do the work; return what it returns."""
        if self._graph is None:
            if self.calls < WARM_UP or self.problem:
                self.calls += 1
                return self._plain()
            self._record()
        if self._graph is None:
            return self._plain()
        self._graph.replay()
        return cast("T", self.done)

    def _plain(self) -> T:
        self._aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._aside):
            done = self.work()
        torch.cuda.current_stream().wait_stream(self._aside)
        return done

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        self._aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.graph(graph, stream=self._aside):
                self.done = self.work()
        except RuntimeError as error:  # some kernel cannot be recorded: no reason to end the run
            self.problem = str(error).strip().partition("\n")[0]
            torch.cuda.synchronize()
            return
        self._graph = graph
