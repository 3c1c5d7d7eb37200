"""Pictures of a folder to what was read in them, several at the same time."""

import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ferkit.cli.jobs import Job
from ferkit.cli.readings import Done

if TYPE_CHECKING:
    from ferkit.inference.images import RGB
    from ferkit.inference.recognizer import Face, Recognizer

ROOM = 50_000_000
"""Pixels that are unpacked at the same time: four photos of a phone; a larger picture is unpacked alone."""

MOST_AT_ONCE = 32
"""Pictures that are read at the same time, however many are asked for."""


def read_pictures(
    jobs: Sequence[Job], recognizer: "Recognizer", max_pixels: int | None, threads: int
) -> Iterator[Done]:
    """Yield what was read, in order; at most ``threads`` pictures are read at the same time, of large ones fewer."""
    read = partial(_read_one, recognizer=recognizer, max_pixels=max_pixels, room=Room(ROOM))
    if min(threads, len(jobs)) <= 1:
        yield from map(read, jobs)
        return
    threads = min(threads, MOST_AT_ONCE)
    pool = ThreadPoolExecutor(threads)
    try:
        begun: deque[Future[Done]] = deque()
        for job in jobs:
            begun.append(pool.submit(read, job) if _ends(job) else _finished(read(job)))
            if len(begun) > threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _ends(job: Job) -> bool:
    """Return whether reading ``job`` is sure to end: a thread that waits for a pipe could not be ended."""
    try:
        return job.path is not None and job.path.is_file()
    except OSError:
        return False


def _finished(done: Done) -> "Future[Done]":
    future: Future[Done] = Future()
    future.set_result(done)
    return future


class Room:
    """Pixels that may be unpacked at the same time; a picture that has more is unpacked alone."""

    def __init__(self, pixels: int) -> None:
        """Take no picture in yet."""
        self._pixels, self._taken = pixels, 0
        self._freed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for ``pixels``, and take it."""
        with self._freed:
            self._freed.wait_for(lambda: not self._taken or self._taken + pixels <= self._pixels)
            self._taken += pixels
        try:
            yield
        finally:
            with self._freed:
                self._taken -= pixels
                self._freed.notify_all()


def _read_one(job: Job, recognizer: "Recognizer", max_pixels: int | None, room: Room) -> Done:
    from ferkit.errors import ImageError
    from ferkit.inference.annotate import encode_annotated
    from ferkit.inference.heads import pixels_of
    from ferkit.inference.images import MAX_PIXELS, check_name, decode, read_file

    try:
        check_name(job.name)
        content = _standard_input(job.name) if job.path is None else read_file(job.path)
        with room.taken(pixels_of(content)):
            picture = decode(content, job.name, max_pixels or MAX_PIXELS)
            faces = _faces(recognizer, picture, job.name)
            done = Done(job, (picture.shape[1], picture.shape[0]), faces)
            if job.copy is not None:
                try:
                    return replace(done, drawn=encode_annotated(job.copy, picture, faces))
                except ImageError as error:
                    return replace(done, undrawn=str(error))
            return done
    except ImageError as error:
        return Done(job, error=error)


def _faces(recognizer: "Recognizer", picture: "RGB", name: str) -> "list[Face]":
    from ferkit.errors import ImageError

    try:
        return recognizer.recognize(picture)
    except ImageError as error:  # there is not enough memory to look for faces
        raise ImageError(f"{name}: {error}") from None


def _standard_input(name: str) -> bytes:
    from ferkit.errors import ImageError
    from ferkit.inference.images import read_stream

    if sys.stdin is None:
        raise ImageError(f"{name}: expected a picture, but it is closed")
    return read_stream(sys.stdin.buffer, name)
