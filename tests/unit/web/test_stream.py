"""Camera frames over a WebSocket."""

import json
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from ferkit.web import Settings, create_app
from networks import write_network
from service import KEY, picture


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


@pytest.fixture
def serve(network):
    """Return a function that returns a client of a service with these settings."""
    opened = []

    def open_service(**settings):
        chosen = Settings(**{"model": network, "detector": "none", "hosts": (), **settings})
        client = TestClient(create_app(chosen))
        opened.append(client)
        return client.__enter__()

    yield open_service
    for client in opened:
        client.__exit__(None, None, None)


def test_each_frame_is_answered_with_a_track(serve):
    with serve().websocket_connect("/v1/stream") as socket:
        for number in range(3):
            began = time.perf_counter()
            socket.send_bytes(picture("happy"))
            answer = socket.receive_json()
            assert (answer["type"], answer["frame"], answer["dropped"]) == ("reading", number, 0)
            assert (answer["width"], answer["height"]) == (60, 50)
            (face,) = answer["faces"]
            assert (face["track"], face["looks"], face["expression"]) == (1, number + 1, "happy")
            assert number > 0 or answer["seconds"] == 0
            assert 0 < answer["milliseconds"] < 1000 * (time.perf_counter() - began)


def test_a_frame_that_is_too_large_ends_the_stream_whatever_the_server_allows(serve):
    frame = picture("happy")
    with serve(frame_bytes=max(1000, len(frame))).websocket_connect("/v1/stream") as socket:
        socket.send_bytes(frame)
        assert socket.receive_json()["type"] == "reading"
        socket.send_bytes(frame + bytes(max(1000, len(frame))))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1009


def test_readings_are_smoothed_over_time(serve):
    with serve().websocket_connect("/v1/stream?smoothing=60") as socket:
        socket.send_bytes(picture("happy"))
        socket.receive_json()
        socket.send_bytes(picture("sad"))
        (face,) = socket.receive_json()["faces"]
    assert (face["expression"], face["raw"]["expression"]) == ("happy", "sad")


def test_below_the_asked_confidence_a_reading_is_uncertain(serve):
    with serve().websocket_connect("/v1/stream?min_confidence=0.999") as socket:
        socket.send_bytes(picture("happy"))
        (face,) = socket.receive_json()["faces"]
    assert face["expression"] == "uncertain"


def test_a_stream_without_frames_is_closed(serve, monkeypatch):
    monkeypatch.setattr("ferkit.web.stream.IDLE_SECONDS", 0.1)
    with serve().websocket_connect("/v1/stream") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1000, "no frames")


def test_nor_does_one_that_had_a_frame_stay_open_without_others(serve, monkeypatch):
    monkeypatch.setattr("ferkit.web.stream.IDLE_SECONDS", 0.3)
    with serve().websocket_connect("/v1/stream") as socket:
        socket.send_bytes(picture("happy"))
        assert socket.receive_json()["faces"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1000, "no frames")


def test_nor_do_texts_keep_it_open(serve, monkeypatch):
    monkeypatch.setattr("ferkit.web.stream.IDLE_SECONDS", 0.3)
    with serve().websocket_connect("/v1/stream") as socket:
        for _ in range(20):
            socket.send_json({"api_key": "again"})
            time.sleep(0.05)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (1000, "no frames")


def test_who_sends_faster_than_is_read_loses_frames_but_always_gets_the_latest(serve, monkeypatch):
    from ferkit.web.reading import Reader

    frame, begun, all_arrived = Reader.frame, threading.Event(), threading.Event()

    def held_back(self, content):
        begun.set()
        assert all_arrived.wait(60)
        return frame(self, content)

    monkeypatch.setattr(Reader, "frame", held_back)
    client, sent = serve(), 20
    with client.websocket_connect("/v1/stream") as socket:
        socket.send_bytes(picture("happy"))
        assert begun.wait(60)
        for _ in range(sent - 1):
            socket.send_bytes(picture("happy"))
        while f"ferkit_frames_dropped_total {sent - 2}.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        all_arrived.set()
        answers = [socket.receive_json() for _ in range(2)]
    assert [answer["frame"] for answer in answers] == [0, sent - 1]
    assert answers[-1]["dropped"] == sent - 2


@pytest.mark.parametrize("content", [b"no picture", b"", picture()[:50]], ids=["text", "empty", "cut off"])
def test_a_bad_frame_is_answered_with_an_error_and_the_stream_goes_on(serve, content):
    with serve().websocket_connect("/v1/stream") as socket:
        socket.send_bytes(content)
        answer = socket.receive_json()
        assert answer["type"] == "error"
        assert answer["error"].endswith(".")
        socket.send_text("what is this")
        assert socket.receive_json()["code"] == "invalid_request"
        socket.send_bytes(picture())
        assert socket.receive_json()["type"] == "reading"


def test_a_frame_of_a_kind_that_few_need_is_refused(serve):
    with serve().websocket_connect("/v1/stream") as socket:
        socket.send_bytes(picture(form="PPM"))
        assert socket.receive_json()["code"] == "unsupported_media_type"


def test_a_frame_for_which_there_is_no_room_counts_as_dropped(serve, monkeypatch):
    client = serve()
    desk = client.app.state.service.desk
    with client.websocket_connect("/v1/stream") as socket:
        with monkeypatch.context() as full:
            full.setattr(desk, "taken", desk.threads + desk.waiting)
            socket.send_bytes(picture())
            answer = socket.receive_json()
            assert (answer["type"], answer["code"], answer["frame"]) == ("error", "busy", 0)
        socket.send_bytes(picture())
        assert socket.receive_json()["dropped"] == 1
        assert "ferkit_frames_dropped_total 1.0" in client.get("/metrics").text


@pytest.mark.parametrize("fault", [RuntimeError, RecursionError, KeyError])
def test_a_fault_of_ours_is_not_taken_for_a_client_that_has_gone(serve, monkeypatch, fault):
    from ferkit.web.reading import Reader

    def broken(self, content):
        raise fault("ours")

    monkeypatch.setattr(Reader, "frame", broken)

    def ask():
        with serve().websocket_connect("/v1/stream") as socket:
            socket.send_bytes(picture())
            socket.receive_json()

    with pytest.raises(fault, match="ours"):
        ask()


def test_more_streams_than_allowed_are_closed(serve):
    client = serve(streams=1)
    with client.websocket_connect("/v1/stream") as first:
        first.send_bytes(picture())
        first.receive_json()
        with client.websocket_connect("/v1/stream") as second, pytest.raises(WebSocketDisconnect) as closed:
            second.receive_json()
        assert closed.value.code == 1013
    with client.websocket_connect("/v1/stream") as third:
        third.send_bytes(picture())
        assert third.receive_json()["type"] == "reading"


def test_the_key_comes_in_the_header_or_in_the_first_text(serve, tmp_path):
    file = tmp_path / "keys"
    file.write_text(KEY)
    client = serve(api_key_file=file)
    with client.websocket_connect("/v1/stream", headers={"X-API-Key": KEY}) as socket:
        socket.send_bytes(picture())
        assert socket.receive_json()["type"] == "reading"
    with client.websocket_connect("/v1/stream") as socket:
        socket.send_json({"api_key": KEY})
        socket.send_bytes(picture())
        assert socket.receive_json()["type"] == "reading"
    for first in ({"api_key": "wrong"}, {"key": KEY}, [], 3):
        with client.websocket_connect("/v1/stream") as socket:
            socket.send_json(first)
            assert socket.receive_json()["code"] == "unauthorized"
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == 4401


def test_a_frame_behind_a_wrong_key_is_not_read(serve, tmp_path, monkeypatch):
    from ferkit.web.reading import Reader

    read = []
    monkeypatch.setattr(Reader, "frame", lambda _, content: read.append(content))
    file = tmp_path / "keys"
    file.write_text(KEY)
    with serve(api_key_file=file).websocket_connect("/v1/stream") as socket:
        socket.send_json({"api_key": "wrong"})
        socket.send_bytes(picture())
        assert socket.receive_json()["code"] == "unauthorized"
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    assert read == []


def test_who_sends_no_key_takes_no_place_and_is_not_waited_for(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.web.stream.KEY_SECONDS", 0.5)
    file = tmp_path / "keys"
    file.write_text(KEY)
    client = serve(api_key_file=file, streams=1)
    with client.websocket_connect("/v1/stream") as silent:
        with client.websocket_connect("/v1/stream", headers={"X-API-Key": KEY}) as known:
            known.send_bytes(picture())
            assert known.receive_json()["type"] == "reading"
        assert silent.receive_json()["code"] == "unauthorized"


def test_who_sends_no_key_keeps_nobody_out_who_does(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("ferkit.web.stream.UNKNOWN", 2)
    file = tmp_path / "keys"
    file.write_text(KEY)
    client = serve(api_key_file=file)
    with ExitStack() as opened:
        first, second, third = (opened.enter_context(client.websocket_connect("/v1/stream")) for _ in range(3))
        with pytest.raises(WebSocketDisconnect) as closed:
            first.receive_json()
        assert closed.value.code == 1013
        third.send_json({"api_key": KEY})
        third.send_bytes(picture())
        assert third.receive_json()["type"] == "reading"
        second.send_json({"api_key": KEY})
        second.send_bytes(picture())
        assert second.receive_json()["type"] == "reading"


@pytest.mark.parametrize("key", ["\ud800" + KEY, "\N{SNOWMAN}" * 20])
def test_a_key_of_strange_letters_is_wrong_and_no_fault(serve, tmp_path, key):
    file = tmp_path / "keys"
    file.write_text(KEY)
    with serve(api_key_file=file).websocket_connect("/v1/stream") as socket:
        socket.send_text(json.dumps({"api_key": key}))
        assert socket.receive_json()["code"] == "unauthorized"


def test_a_message_nested_without_end_is_a_wrong_key_and_no_fault(serve, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    with serve(api_key_file=keys).websocket_connect("/v1/stream") as socket:
        socket.send_text("[" * 200_000)
        assert socket.receive_json()["code"] == "unauthorized"


def test_who_opens_streams_too_often_gets_no_more(serve, monkeypatch):
    monkeypatch.setattr(
        "ferkit.web.guard.time", SimpleNamespace(monotonic=lambda: 605.0, perf_counter=time.perf_counter)
    )
    client = serve(per_minute=2)
    for _ in range(2):
        with client.websocket_connect("/v1/stream"):
            pass
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/stream"):
        pass


@pytest.mark.parametrize("origin", ["https://evil.example", "http://["])
def test_a_page_of_another_origin_gets_no_stream(serve, origin):
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        serve().websocket_connect("/v1/stream", headers={"origin": origin}),
    ):
        pass
    assert closed.value.status_code == 403


def test_there_is_no_stream_elsewhere(serve):
    with pytest.raises(WebSocketDisconnect) as closed, serve().websocket_connect("/v1/streams"):
        pass
    assert (closed.value.status_code, json.loads(closed.value.content)["code"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["smoothing=-1", "smoothing=nan", "min_confidence=2"])
def test_parameters_out_of_range_get_no_stream(serve, query):
    with serve().websocket_connect(f"/v1/stream?{query}") as socket:
        answer = socket.receive_json()
        assert (answer["type"], answer["code"]) == ("error", "invalid_request")
        assert query.partition("=")[0] in answer["error"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1008


def test_noise_of_every_size_never_ends_the_stream(serve):
    rng = np.random.default_rng(0)
    with serve().websocket_connect("/v1/stream") as socket:
        for size in (1, 3, 12, 200, 5000):
            socket.send_bytes(b"\xff\xd8\xff" + rng.bytes(size))
            assert socket.receive_json()["type"] == "error"
