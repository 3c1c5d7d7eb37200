"""HTTP and streams as uvicorn speaks them, with limits of what comes before we are asked and of what nobody fetches."""

import asyncio
from contextlib import suppress
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ferkit.web.settings import from_environment

BODY_SECONDS = 5.0
"""Beyond the time a body has, after which its connection is closed: one that was refused unread is still sent."""

HEAD_BYTES = 65_536
"""Of the request line and all headers."""

FETCH_SECONDS = 20.0
"""In which a client fetches at least :data:`FETCH_BYTES` of the answers that wait for it, or is left."""

FETCH_BYTES = 65_536

UNSENT_BYTES = 256_000_000
"""Of all answers of a process that wait to be fetched; above it the clients that have waited longest are left."""


_BAD_HEAD = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"A stream begins with at most 128 headers of at most 8,192 bytes."
)


class _Fetched(asyncio.Protocol):
    """Leaves a client that does not fetch what is sent to it, which would otherwise wait here for ever."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _fetching: asyncio.TimerHandle | None = None
    _slow: ClassVar[dict["_Fetched", None]] = {}
    """Those that do not fetch as fast as is written, the longest first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to be told of whatever is not fetched at once; watch what an earlier answer has left."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(0)
        if unsent := self.transport.get_write_buffer_size():
            self._watch(unsent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._fetch_no_more()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch a client that does not fetch as fast as is written."""
        super().pause_writing()
        self._fetch_no_more()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Watch no more: all has been fetched."""
        self._fetch_no_more()
        super().resume_writing()

    def _watch(self, unsent: int) -> None:
        self._fetching = self.loop.call_later(FETCH_SECONDS, self._look, unsent)
        self._slow.setdefault(self)
        waiting = sum(each.transport.get_write_buffer_size() for each in self._slow)
        for each in [*self._slow]:
            if waiting <= UNSENT_BYTES:
                break
            waiting -= each.transport.get_write_buffer_size()
            each.transport.abort()

    def _look(self, before: int) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent > before - FETCH_BYTES:
            self.transport.abort()
        else:
            self._watch(unsent)

    def _fetch_no_more(self) -> None:
        self._slow.pop(self, None)
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None


class LimitedStream(_Fetched, WebSocketsSansIOProtocol):
    """A stream whose client fetches what it is sent, begins it as streams begin, and sends texts that are texts."""

    def data_received(self, data: bytes) -> None:
        """Refuse a head that uvicorn drops without a word: the first data is a whole one."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(_BAD_HEAD)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Close a stream whose text is no UTF-8, of which uvicorn would log a traceback for whoever sends it."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send ``message``; a stream refused by status and body is answered, which uvicorn would log as a fault."""
        await super().send(message)
        self.handshake_complete |= self.close_sent


class LimitedHttp(_Fetched, HttpToolsProtocol):
    """Closes a connection whose next head is too long, or not whole in the time that a body has, as any body has to be.

    An upgrade to anything but a stream is ignored, as RFC 9110 allows: the request is answered, its body is no other
    request.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._seconds = from_environment().upload_seconds
        self._head = 0
        """Bytes that came while a head was not whole."""
        self._fields = 0
        """Bytes of the head's request line and headers so far."""
        self._in_body = False
        self._until: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_more()
        self._send_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not whole yet, also while an earlier request is being answered."""
        if self._until is None and not self._in_body:
            self._wait()
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._until is None:
            return
        self._head += len(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        """Count anew; a head that came behind a body, in one piece with it, has its time too."""
        self._fields = 0
        if self._until is None:
            self._wait()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve, unless the parser takes for another protocol what comes behind this head."""
        if self.parser.should_upgrade():
            return
        self._in_body = True
        self._wait_no_more()
        self._send_no_more()
        self._sending = self.loop.call_later(self._seconds + BODY_SECONDS, self._give_up)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes now is another head."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._send_no_more()
        super().on_message_complete()

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return
            method = self.parser.get_method()
            if self._should_upgrade() or method == b"CONNECT":
                self._begin_stream(method)
                return
            fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
            version = self.parser.get_http_version().encode()
            self.parser = httptools.HttpRequestParser(self)  # the other one reads nothing behind `Connection: close`
            with suppress(AttributeError):  # before httptools 0.6.3
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
            self.parser.feed_data(b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(fields)))

    def _begin_stream(self, method: bytes) -> None:
        self._wait_no_more()
        given = dict(self.headers)
        if method != b"GET" or b"transfer-encoding" in given or given.get(b"content-length", b"0") != b"0":
            self.send_400_response("A stream begins with a GET without a body.")
            return
        self._fetch_no_more()
        self.scope["method"] = "GET"
        self.handle_websocket_upgrade()

    def _count(self, size: int) -> None:
        self._fields += size
        if self._fields > HEAD_BYTES:
            raise ValueError("Request head too large.")  # the parser stops; uvicorn answers 400

    def _wait(self) -> None:
        self._head = 0
        self._until = self.loop.call_later(self._seconds, self._give_up)

    def _wait_no_more(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _send_no_more(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _give_up(self) -> None:
        self._until = None
        if not self.transport.is_closing():
            self.transport.close()
