"""The bounded queue before the threads."""

import asyncio
import threading
import time

import pytest

from ferkit.web.desk import Desk
from ferkit.web.refusals import Refusal


def run(desk, scenario):
    async def all_of_it():
        try:
            return await scenario(desk)
        finally:
            await asyncio.to_thread(desk.close)

    return asyncio.run(all_of_it())


def test_work_is_done_and_its_errors_come_back():
    async def scenario(desk):
        assert await desk.do(lambda: 6 * 7) == 42
        with pytest.raises(ZeroDivisionError):
            await desk.do(lambda: 1 // 0)
        await asyncio.sleep(0.01)
        return desk.taken

    assert run(Desk(1, 0, 5), scenario) == 0


def test_the_gauge_shows_what_waits_or_is_being_done():
    class Shown:
        value = 0

        def inc(self, change):
            self.value += change

    async def scenario(desk):
        gate = threading.Event()
        pieces = [asyncio.create_task(desk.do(lambda: gate.wait(5))) for _ in range(2)]
        await asyncio.sleep(0.02)
        during = shown.value
        gate.set()
        await asyncio.gather(*pieces)
        await asyncio.sleep(0.02)
        return during, shown.value

    shown = Shown()
    assert run(Desk(1, 1, 5, shown), scenario) == (2, 0)


def test_who_does_not_fit_in_is_told_at_once_and_when_to_come_back():
    async def scenario(desk):
        gate = threading.Event()
        first = [asyncio.create_task(desk.do(gate.wait)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal) as refused:
            await desk.do(lambda: None)
        gate.set()
        assert await asyncio.gather(*first) == [True] * 3
        await asyncio.sleep(0.05)
        await desk.do(lambda: None)  # there is room again
        return refused.value

    refusal = run(Desk(1, 2, 5), scenario)
    assert (refusal.kind.status, refusal.kind.code) == (503, "busy")
    assert refusal.headers["Retry-After"].isdecimal()


def test_work_that_takes_too_long_is_given_up_but_keeps_its_place_until_it_ends():
    async def scenario(desk):
        gate = threading.Event()
        with pytest.raises(Refusal) as slow:
            await desk.do(gate.wait)
        taken = desk.taken
        with pytest.raises(Refusal) as busy:
            await desk.do(lambda: None)
        gate.set()
        await asyncio.sleep(0.05)
        return slow.value.kind.code, taken, busy.value.kind.code, desk.taken

    assert run(Desk(1, 0, 0.1), scenario) == ("too_slow", 1, "busy", 0)


def test_work_that_waits_too_long_is_never_begun():
    async def scenario(desk):
        gate, begun = threading.Event(), []
        first = asyncio.create_task(desk.do(lambda: gate.wait(5)))
        await asyncio.sleep(0.02)
        with pytest.raises(Refusal):
            await desk.do(lambda: begun.append(1))
        gate.set()
        with pytest.raises(Refusal):
            await first
        await asyncio.sleep(0.05)
        return begun, desk.taken

    assert run(Desk(1, 1, 0.1), scenario) == ([], 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_pieces_are_done_at_a_time_as_there_are_threads(threads):
    async def scenario(desk):
        at_once, most, lock, all_there = 0, 0, threading.Lock(), threading.Barrier(threads)

        def work():
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            all_there.wait(5)  # breaks where they are fewer
            with lock:
                at_once -= 1

        await asyncio.gather(*[desk.do(work) for _ in range(6)])
        return most

    assert run(Desk(threads, 6, 5), scenario) == threads


def test_when_it_closes_what_has_begun_ends_and_what_waits_is_left():
    async def scenario():
        desk, gate, done = Desk(1, 2, 5), threading.Event(), []
        first = asyncio.create_task(desk.do(lambda: gate.wait(5) and done.append("begun")))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(desk.do(lambda: done.append("waiting")))
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(asyncio.to_thread(desk.close))
        await asyncio.sleep(0.02)
        gate.set()
        await closing
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        return done

    assert asyncio.run(scenario()) == ["begun"]


def test_it_waits_for_what_has_begun_when_it_closes():
    async def scenario():
        desk, begun, done = Desk(1, 0, 5), threading.Event(), []
        first = asyncio.create_task(desk.do(lambda: begun.set() or time.sleep(0.2) or done.append("begun")))
        await asyncio.to_thread(begun.wait, 5)
        await asyncio.to_thread(desk.close)
        found = [*done]
        await first
        return found

    assert asyncio.run(scenario()) == ["begun"]


def test_it_closes_although_a_piece_does_not_end(monkeypatch, caplog):
    monkeypatch.setattr("ferkit.web.desk.CLOSING_SECONDS", 0.05)
    gate, ended = threading.Event(), threading.Event()

    def work():
        gate.wait(5)
        ended.set()

    async def scenario():
        desk = Desk(1, 0, 0.05)
        with pytest.raises(Refusal):
            await desk.do(work)
        began = time.monotonic()
        desk.close()
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 2
    gate.set()
    assert ended.wait(5)
    time.sleep(0.1)
    assert caplog.text == ""  # it ends in silence, after the loop it was begun from


def test_the_longer_the_queue_the_later_one_should_come_back():
    async def scenario(desk):
        for _ in range(5):
            await desk.do(lambda: time.sleep(0.06))
        desk.taken = 100
        return desk.retry_after()

    assert 4 <= run(Desk(2, 100, 5), scenario) <= 5, "half of a hundred times a little more than 0.06 seconds"


def test_where_nothing_waits_one_should_come_back_after_a_second():
    async def scenario(desk):
        return desk.retry_after()

    assert run(Desk(1, 0, 5), scenario) == 1


def test_what_was_done_is_forgotten(monkeypatch):
    monkeypatch.setattr("ferkit.web.desk._REMEMBERED", 4)

    async def scenario(desk):
        for _ in range(9):
            await desk.do(lambda: None)
        await asyncio.sleep(0.05)
        return len(desk._pieces), len(desk._times)

    assert run(Desk(1, 0, 5), scenario) == (0, 4)
