"""A stream of camera frames over a WebSocket: always the latest frame is read, what came before it is dropped.

The client sends pictures as binary messages and gets one JSON text for each that was read: faces with the numbers of
their tracks and readings smoothed over time. Where the service has keys, the key comes in the header ``X-API-Key`` or,
as browsers cannot set one, in a first text message ``{"api_key": "..."}``.
"""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ferkit.inference.tracks import Tracker
from ferkit.web.desk import Desk
from ferkit.web.keys import Keys, given_key
from ferkit.web.meters import Meters
from ferkit.web.reading import Reader
from ferkit.web.refusals import BUSY, INVALID, Refusal
from ferkit.web.settings import Settings
from ferkit.web.uploads import check_kind

WRONG_KEY, TOO_MANY, INVALID_FRAME, TOO_LARGE = 4401, 1013, 1008, 1009
"""Codes with which a stream is closed."""

IDLE_SECONDS = 60.0
"""Without a frame, after which a stream is closed."""

KEY_SECONDS = 5.0
"""For a first message with the API key, where there was none in the header."""

UNKNOWN = 64
"""Streams at the same time that have not sent their key yet; they take no place of those that have. One more, and the
one that has waited longest is closed: a browser sends its key at once."""


@dataclass(slots=True)
class _Inbox:
    """The latest frame and what became of the others."""

    content: bytes | None = None
    seconds: float = 0.0
    number: int = -1
    dropped: int = 0


async def _first_text(socket: WebSocket) -> str:
    return await asyncio.wait_for(socket.receive_text(), KEY_SECONDS)


class Streams:
    """All streams of a process."""

    def __init__(self, reader: Reader, desk: Desk, keys: Keys, settings: Settings, meters: Meters) -> None:
        self._reader, self._desk, self._keys, self._meters = reader, desk, keys, meters
        self._most, self._largest = settings.streams, settings.frame_bytes
        self._open = 0
        self._unknown: deque[asyncio.Task[str]] = deque()

    async def serve(self, socket: WebSocket, smoothing: float, min_confidence: float) -> None:
        """Serve one stream to its end.

        Args:
            socket: Not accepted yet.
            smoothing: Time constant of the probabilities, in seconds.
            min_confidence: Confidence below which an expression is uncertain.
        """
        try:
            await socket.accept()
            if await self._knows_key(socket):
                await self._read_in_turn(socket, Tracker(smoothing, min_confidence))
        except WebSocketDisconnect:
            pass
        except RuntimeError:  # what Starlette raises, too, where the other side has gone while we wrote
            if WebSocketState.DISCONNECTED not in {socket.client_state, socket.application_state}:
                raise

    async def _read_in_turn(self, socket: WebSocket, tracker: Tracker) -> None:
        if self._open >= self._most:
            await socket.close(TOO_MANY, "too many streams")
            return
        self._open += 1
        self._meters.streams.inc()
        try:
            await self._read(socket, tracker)
        finally:
            self._open -= 1
            self._meters.streams.dec()

    async def _sent_key(self, socket: WebSocket) -> str | None:
        """Return the key in the first message; empty if none comes, None if others took its place meanwhile."""
        if len(self._unknown) >= UNKNOWN:
            self._unknown.popleft().cancel()
        waiting = asyncio.create_task(_first_text(socket))
        self._unknown.append(waiting)
        try:
            await asyncio.wait({waiting})
            return None if waiting.cancelled() else str(json.loads(waiting.result())["api_key"])
        except (ValueError, KeyError, TypeError, TimeoutError, RecursionError):
            return ""
        finally:
            waiting.cancel()
            if waiting in self._unknown:
                self._unknown.remove(waiting)

    async def _knows_key(self, socket: WebSocket) -> bool:
        given = given_key(socket.headers)
        if self._keys.needed and not given:
            sent = await self._sent_key(socket)
            if sent is None:
                await socket.close(TOO_MANY, "too many streams without a key")
                return False
            given = sent
        try:
            self._keys.check(given)
        except Refusal as refusal:
            await socket.send_json({"type": "error", **refusal.to_dict()})
            await socket.close(WRONG_KEY, "API key missing or wrong")
            return False
        return True

    async def _read(self, socket: WebSocket, tracker: Tracker) -> None:
        inbox, news = _Inbox(), asyncio.Event()
        listening = asyncio.create_task(self._listen(socket, inbox, news))
        try:
            while True:
                waiting = asyncio.create_task(news.wait())
                await asyncio.wait({listening, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    break
                news.clear()
                content, inbox.content = inbox.content, None
                assert content is not None
                await socket.send_json(await self._answer(content, inbox, tracker))
        finally:
            listening.cancel()
        listening.result()  # raises what ended it

    async def _answer(self, content: bytes, inbox: _Inbox, tracker: Tracker) -> dict[str, Any]:
        number, seconds, began = inbox.number, inbox.seconds, time.perf_counter()
        try:
            check_kind(content, "frame")
            picture, faces = await self._desk.do(lambda: self._reader.frame(content))
        except Refusal as refusal:
            if refusal.kind is BUSY:
                inbox.dropped += 1
                self._meters.dropped.inc()
            return {"type": "error", "frame": number, **refusal.to_dict()}
        readings = tracker.update(faces, seconds)
        return {
            "type": "reading",
            "frame": number,
            "seconds": round(seconds, 3),
            "dropped": inbox.dropped,
            "milliseconds": round(1000 * (time.perf_counter() - began), 2),
            "width": picture.shape[1],
            "height": picture.shape[0],
            "faces": [reading.to_dict() for reading in readings],
        }

    async def _listen(self, socket: WebSocket, inbox: _Inbox, news: asyncio.Event) -> None:
        start: float | None = None
        until = time.monotonic() + IDLE_SECONDS
        while True:
            try:
                message = await asyncio.wait_for(socket.receive(), max(0, until - time.monotonic()))
            except TimeoutError:
                await socket.close(1000, "no frames")
                return
            if message["type"] == "websocket.disconnect":
                return
            content = message.get("bytes")
            if content is None:
                if '"api_key"' in (message.get("text") or ""):
                    continue  # sent although none is needed, or again
                refusal = Refusal(INVALID, "Expected frames as binary messages, got a text.")
                await socket.send_json({"type": "error", **refusal.to_dict()})
                continue
            if len(content) > self._largest:  # where another application serves, whose server may allow more
                await socket.close(TOO_LARGE, f"expected frames of at most {self._largest:,} bytes")
                return
            if inbox.content is not None:
                inbox.dropped += 1
                self._meters.dropped.inc()
            now = time.monotonic()
            until = now + IDLE_SECONDS
            start = now if start is None else start
            inbox.content, inbox.seconds, inbox.number = content, now - start, inbox.number + 1
            news.set()
