"""What stands before every request: sizes, times, counts and places, each at its limit."""

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from ferkit.web import guard as module
from ferkit.web import refusals
from ferkit.web.guard import Guard
from ferkit.web.keys import Keys
from ferkit.web.meters import Meters
from ferkit.web.refusals import Refusal
from ferkit.web.settings import Settings


@dataclass
class Asked:
    """What became of a request."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    fetched: int = 0
    """Parts of the body that were taken."""


async def whole(scope, receive, send):
    """Read the body to its end and answer."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def failing(scope, receive, send):
    """Read the body and fail."""
    await receive()
    raise ValueError("a fault of ours")


def make(app=whole, **settings):
    return Guard(app, Settings(**{"hosts": (), **settings}), Keys(), Meters())


def ask(guard, *parts, pause=0.0, client="1.2.3.4", path="/v1/recognize", method="POST", **headers):
    """Return what ``guard`` does with a request whose body comes in ``parts``, a while apart."""
    asked, rest = Asked(), list(parts or [b""])
    names = {"host": "localhost:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def receive():
        await asyncio.sleep(pause)
        asked.fetched += 1
        return {"type": "http.request", "body": rest.pop(0), "more_body": bool(rest)}

    async def send(message):
        if message["type"] == "http.response.start":
            asked.status = message["status"]
            asked.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "client": (client, 1),
        "headers": [(name.encode(), value.encode()) for name, value in names.items()],
    }
    asyncio.run(guard(scope, receive, send))
    return asked


@pytest.mark.parametrize(("last", "status"), [(40, 200), (41, 413)])
def test_the_parts_of_a_body_count_together(last, status):
    guard = make(body_bytes=100)
    asked = ask(guard, bytes(60), bytes(last), bytes(0))
    assert asked.status == status
    assert "connection" not in asked.headers, "what was left of the body has been dropped"


def test_a_body_as_large_as_is_allowed_is_held_however_large_that_is():
    assert ask(make(body_bytes=300_000_000), bytes(300_000_000)).status == 200


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("100", 200),
        ("101", 413),
        pytest.param("0" * 5000 + "100", 200, id="zeros before it"),
        pytest.param("0" * 5000 + "101", 413, id="zeros before too much"),
        pytest.param("9" * 5000, 413, id="more digits than Python reads"),
    ],
)
def test_a_body_that_says_it_is_too_large_is_not_fetched(length, status):
    asked = ask(make(body_bytes=100), b"x", content_length=length)
    assert (asked.status, asked.fetched > 0) == (status, status == 200)


def test_what_requests_held_is_given_back_however_they_end():
    guard = make(held_bytes=100)
    assert [ask(guard, bytes(80)).status for _ in range(3)] == [200] * 3
    guard.app = failing
    assert [ask(guard, bytes(80)).status for _ in range(3)] == [500] * 3
    guard.app = whole
    refused = ask(guard, bytes(80), bytes(30))
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert ask(guard, bytes(100)).status == 200


def test_what_a_client_sent_that_went_away_is_given_back():
    guard = make(held_bytes=100)
    for _ in range(3):
        parts = iter([{"type": "http.request", "body": bytes(80), "more_body": True}, {"type": "http.disconnect"}])

        async def receive(parts=parts):
            return next(parts)

        async def send(message):
            pass

        headers = [(b"host", b"localhost:8000")]
        scope = {
            "type": "http",
            "path": "/v1/recognize",
            "method": "POST",
            "client": ("1.2.3.4", 1),
            "headers": headers,
        }
        asyncio.run(guard(scope, receive, send))
    assert ask(guard, bytes(100)).status == 200


@pytest.mark.parametrize(("pause", "status"), [(0.05, 200), (0.2, 408)])
def test_the_whole_body_must_come_in_time_not_each_part(pause, status):
    assert ask(make(upload_seconds=0.5), *[b"x"] * 4, pause=pause).status == status


def test_a_body_that_never_begins_closes_its_connection():
    asked = ask(make(upload_seconds=0.05), b"x", pause=0.2)
    assert (asked.status, asked.headers["connection"]) == (408, "close")


def test_a_fault_behind_the_beginning_of_an_answer_ends_it():
    async def breaking(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        ask(make(breaking))


def test_a_client_may_come_back_in_the_next_minute(monkeypatch):
    guard, now = make(per_minute=2), 605.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    assert [ask(guard).status for _ in range(3)] == [200, 200, 429]
    assert ask(guard).headers["retry-after"] == "55"
    assert ask(guard, client="5.6.7.8").status == 200, "each is counted for itself"
    assert ask(guard, path="/healthz").status == 200, "what needs no key is not counted"
    now = 610.6
    assert ask(guard).headers["retry-after"] == "50", "49.4 seconds are not over after 49"
    now = 659.9
    assert ask(guard).headers["retry-after"] == "1"
    now = 660.0
    assert ask(guard).status == 200


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 429, id="one network, one client"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", 200, id="another network"),
        pytest.param("::ffff:1.2.3.4", "1.2.3.4", 429, id="one address of version 4, written as 6"),
        pytest.param("::ffff:1.2.3.4", "::ffff:1.2.3.5", 200, id="two of version 4, written as 6"),
        pytest.param("fe80::1%eth0", "fe80::1%eth0", 429, id="with an interface"),
        pytest.param("/run/ferkit.sock", "1.2.3.4", 200, id="no address at all"),
    ],
)
def test_a_client_of_version_6_is_its_whole_network(monkeypatch, first, second, status):
    monkeypatch.setattr(module.time, "monotonic", lambda: 605.0)
    guard = make(per_minute=1)
    assert ask(guard, client=first).status == 200
    assert ask(guard, client=second).status == status


def test_more_clients_than_are_counted_begin_the_count_anew(monkeypatch):
    monkeypatch.setattr(module, "_CLIENTS", 3)
    monkeypatch.setattr(module.time, "monotonic", lambda: 605.0)
    guard = make(per_minute=1)
    assert [ask(guard, client=f"1.1.1.{n}").status for n in range(4)] == [200] * 4
    assert ask(guard, client="1.1.1.0").status == 200
    assert len(guard._counts) == 1


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("http://localhost:8000", 200, id="its own page"),
        pytest.param("http://LOCALHOST:8000", 200, id="in capitals"),
        pytest.param("http://localhost:9000", 403, id="of another port"),
        pytest.param("http://evil.example", 403, id="from elsewhere"),
        pytest.param("https://named.example", 200, id="named"),
        pytest.param("null", 403, id="a file"),
        pytest.param("http://[", 403, id="no address"),
    ],
)
def test_pages_of_other_places_are_refused(origin, status):
    assert ask(make(origins=("https://named.example",)), origin=origin).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("LocalHost:8000", 200), ("[::1]:8000", 200), ("evil.example:8000", 421), ("", 421)],
)
def test_names_are_compared_without_their_port(host, status):
    asked = ask(make(hosts=("localhost", "[::1]")), host=host)
    assert (asked.status, asked.fetched > 0) == (status, status == 200)


def test_what_is_left_of_a_refused_body_is_dropped_so_that_its_sender_gets_to_the_answer():
    async def refusing(scope, receive, send):
        await receive()
        raise Refusal(refusals.INVALID, "no form")

    guard = make(refusing, body_bytes=100)
    asked = ask(guard, bytes(40), bytes(40), bytes(40))
    assert (asked.status, asked.fetched, "connection" in asked.headers) == (422, 3, False)
    endless = ask(guard, bytes(40), *[bytes(40)] * 9)
    assert (endless.status, endless.fetched, endless.headers["connection"]) == (422, 4, "close"), "but not for ever"
    assert guard._held == 0
    began = time.monotonic()
    drip = ask(make(refusing, upload_seconds=0.2, body_bytes=10**9), *[b"x"] * 10_000, pause=0.0001)
    assert (drip.status, drip.headers["connection"]) == (422, "close")
    assert time.monotonic() - began < 0.2 + 0.5, "nor for longer than a body may take, however fast its parts come"


def test_an_answer_that_listens_for_the_end_of_the_connection_meanwhile_is_held_up_by_nothing():
    async def listening(scope, receive, send):
        listens = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await listens

    began = time.monotonic()
    asked = ask(make(listening), pause=0.05, method="GET", path="/")
    assert (asked.status, asked.fetched, "connection" in asked.headers) == (200, 1, False)
    assert time.monotonic() - began < 5


def test_every_answer_has_the_headers_and_only_a_broken_one_closes():
    asked = ask(make())
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["x-content-type-options"] == "nosniff"
    assert "connection" not in asked.headers
    assert ask(make(), path="/page.js").headers["cache-control"] == "no-cache"
