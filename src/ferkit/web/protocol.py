"""HTTP as uvicorn speaks it, with limits of the head of a request, which comes before anything of ours is asked."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferkit.web.settings import from_environment

HEAD_BYTES = 65_536
"""Of the request line and all headers. What comes in one piece, at most 256 kB, is looked at whole."""


class LimitedHttp(HttpToolsProtocol):
    """Closes a connection whose next head is too long, or not whole in the time that a body has."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._seconds = from_environment().upload_seconds
        self._head = 0
        self._until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not whole yet."""
        if self._until is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)
        if self._until is None:
            return
        self._head += len(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_headers_complete(self) -> None:
        """Begin to serve."""
        self._wait_no_more()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._head = 0
        self._until = self.loop.call_later(self._seconds, self._give_up)

    def _wait_no_more(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _give_up(self) -> None:
        self._until = None
        if not self.transport.is_closing():
            self.transport.close()
