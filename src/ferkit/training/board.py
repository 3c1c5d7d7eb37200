"""The epochs of a run for TensorBoard."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ferkit.training.folder import RunFolder
from ferkit.training.state import Epoch


@contextmanager
def board(run: RunFolder, history: list[Epoch]) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that adds an epoch to the TensorBoard log of ``run``, which begins anew with ``history``.

    So what a killed run wrote of an epoch that is trained again does not stand there twice.

    Raises:
        OSError: From the function too: the disk is full. PyTorch's writer would print a thread's traceback.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    run.board.mkdir(exist_ok=True)
    for old in run.board.glob("events.out.tfevents.*"):
        old.unlink()
    with (run.board / f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}").open("wb") as file:
        records = RecordWriter(file)

        def write(**content: Any) -> None:
            records.write(Event(wall_time=time.time(), **content).SerializeToString())

        def add(epoch: Epoch) -> None:
            for name, value in epoch.flat().items():
                if name != "epoch":
                    scalar = Summary.Value(tag=name.replace("_", "/", 1), simple_value=value)
                    write(step=epoch.number, summary=Summary(value=[scalar]))
            records.flush()

        write(file_version="brain.Event:2")
        records.flush()
        for epoch in history:
            add(epoch)
        yield add
