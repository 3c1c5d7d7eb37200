"""What every request passes before anything else looks at it: who asks, from where, how much, how long.

A middleware of plain ASGI, as it has to stand between the server and the body.
"""

import asyncio
import logging
import math
import time
from collections.abc import MutableMapping
from ipaddress import IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferkit.web import refusals
from ferkit.web.keys import Keys, given_key
from ferkit.web.meters import Meters
from ferkit.web.refusals import Refusal
from ferkit.web.settings import HELD_BYTES, Settings

PROTECTED = ("/v1/", "/metrics")
"""Beginnings of the paths that need the API key, where there is one."""

STREAM = "/v1/stream"
"""The one path of a WebSocket."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of all answers: nothing from elsewhere, no inline script."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}

_LOG = logging.getLogger("ferkit.web")

GONE = 499
"""Status under which a client that went away before its request was whole is counted."""

_DIGITS = 18  # of a length, without zeros before it; Python reads no number of any length

_CLIENTS = 10_000  # whose requests are counted; beyond that the count begins anew


class Guard:
    """Refuses, counts and limits."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys, meters: Meters) -> None:
        self.app, self.settings, self.keys, self.meters = app, settings, keys, meters
        self._held = 0  # bytes of bodies
        self._most = settings.held_bytes or max(HELD_BYTES, 2 * settings.body_bytes)
        self._counts: dict[str, int] = {}
        self._minute = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, begun = time.perf_counter(), 500, False
        body = _Body(self, receive)

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                await body.drain()
                status, begun = message["status"], True
                _complete(message, _route_path(scope), last=body.broken)
            await send(message)

        try:
            self._check(scope)
            await self.app(scope, body.receive, answer)
        except Refusal as refusal:
            await _refused(refusal)(scope, receive, answer)
        except ClientDisconnect:
            status = GONE  # there is nobody to answer, and nothing went wrong here
        except Exception as error:
            if begun:
                raise
            _LOG.error("internal error: %s", type(error).__name__, exc_info=error)
            sentence = "The service failed at this request; its log says why."
            await _refused(Refusal(refusals.FAILED, sentence))(scope, receive, answer)
        finally:
            body.let_go()
            route = getattr(scope.get("route"), "path", "other")
            self.meters.requests.labels(route, str(status)).inc()
            self.meters.seconds.labels(route).observe(time.perf_counter() - began)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_stream(scope)
        except Refusal as refusal:
            await receive()
            if "websocket.http.response" in scope.get("extensions", {}):
                await _refused(refusal)(scope, receive, send)
            else:  # a server that can but close
                await send({"type": "websocket.close", "code": 4403})
            return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_place(headers)
        if _route_path(scope).startswith(PROTECTED) and scope["method"] != "OPTIONS":
            self._check_rate(scope, headers)  # first, as it counts wrong keys, too
            self.keys.check(given_key(headers))
        length = headers.get("content-length", "").lstrip("0")
        if length.isdecimal() and (len(length) > _DIGITS or int(length) > self.settings.body_bytes):
            raise self.too_large()

    def _check_stream(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_place(headers)
        self._check_rate(scope, headers)
        if _route_path(scope) != STREAM:
            raise Refusal(refusals.NOT_FOUND, "Not Found.")

    def _check_place(self, headers: Headers) -> None:
        """Refuse other names of this machine, and pages of other origins."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self.settings.hosts and name.lower() not in self.settings.hosts:
            raise Refusal(refusals.WRONG_HOST, f"This service does not answer to the name {name[:80]!r}.")
        origin = headers.get("origin")
        if origin is None or origin in self.settings.origins:
            return
        try:
            place = urlsplit(origin).netloc
        except ValueError:  # not even an address
            place = ""
        if place.lower() != host.lower():
            raise Refusal(refusals.FORBIDDEN, f"Pages from {origin[:80]} may not use this service.")

    def _check_rate(self, scope: Scope, headers: Headers) -> None:
        if not self.settings.per_minute:
            return
        now = time.monotonic()
        if int(now // 60) != self._minute or len(self._counts) > _CLIENTS:
            self._minute, self._counts = int(now // 60), {}
        given = given_key(headers)
        client = given if self.keys.knows(given) else _household((scope.get("client") or ("",))[0])
        self._counts[client] = self._counts.get(client, 0) + 1
        if self._counts[client] > self.settings.per_minute:
            most = f"Expected at most {self.settings.per_minute} requests a minute."
            raise Refusal(refusals.TOO_MANY_REQUESTS, most, math.ceil(60 - now % 60))

    def too_large(self) -> Refusal:
        """Return how to say that a body is too large."""
        return Refusal(refusals.BODY_TOO_LARGE, f"Expected a body of at most {self.settings.body_bytes:,} bytes.")

    def hold(self, size: int) -> None:
        """Take memory for a part of a body."""
        if self._held + size > self._most:
            raise Refusal(refusals.BUSY, "The service is receiving too much at once; try again later.", 1)
        self._held += size

    def let_go(self, size: int) -> None:
        """Give back what :meth:`hold` took."""
        self._held -= size


class _Body:
    """The body of one request on its way in."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self._guard, self._receive = guard, receive
        self._size = 0
        self._until = time.monotonic() + guard.settings.upload_seconds
        self._whole = False
        self.broken = False
        """Whether what is left of it will never be read."""

    async def receive(self) -> Message:
        if self._whole:  # what comes now is the end of the connection
            return await self._receive()
        try:
            message = await self._in_time()
        except TimeoutError:
            self.broken = True
            seconds = self._guard.settings.upload_seconds
            raise Refusal(
                refusals.UPLOAD_TOO_SLOW, f"Expected the whole body within {seconds:g} seconds; try again."
            ) from None
        self._whole = not message.get("more_body", False)
        self.broken = not self._whole
        size = len(message.get("body", b""))
        if self._size + size > self._guard.settings.body_bytes:
            raise self._guard.too_large()
        self._guard.hold(size)
        self._size += size
        return message

    async def _in_time(self) -> Message:
        """Return what comes next before the body's time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return await asyncio.wait_for(self._receive(), left)

    async def drain(self) -> None:
        """Drop what is left of a body nobody wants, within its time and size: many read no answer before it is sent."""
        self.let_go()
        left = self._guard.settings.body_bytes
        while self.broken and left > 0:
            try:
                message = await self._in_time()
            except TimeoutError:
                return
            left -= len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            self.broken = not self._whole

    def let_go(self) -> None:
        self._guard.let_go(self._size)
        self._size = 0


def _route_path(scope: Scope) -> str:
    """Return the path as routes know it: without what a proxy or an application around this one has put before it."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if path.startswith(f"{root}/") else path


def _household(address: str) -> str:
    """Return what one client has to itself: its address, or the /64 in which it chooses those of IPv6."""
    try:
        version_6 = IPv6Address(address)
    except ValueError:  # of version 4, or a name
        return address
    if version_6.ipv4_mapped:
        return str(version_6.ipv4_mapped)
    return str(IPv6Network((int(version_6), 64), strict=False))


def _refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.to_dict(), refusal.kind.status, refusal.headers)


def _complete(message: MutableMapping[str, Any], path: str, *, last: bool) -> None:
    """Add the headers that all answers have."""
    present = {name.lower() for name, _ in message["headers"]}
    added = dict(HEADERS)
    # what a browser kept of the page is asked about first, or parts of two versions would meet after an update
    added["Cache-Control"] = "no-store" if path.startswith("/v1/") else "no-cache"
    if last:
        added["Connection"] = "close"
    message["headers"] = [
        *message["headers"],
        *(
            (name.lower().encode(), value.encode())
            for name, value in added.items()
            if name.lower().encode() not in present
        ),
    ]
