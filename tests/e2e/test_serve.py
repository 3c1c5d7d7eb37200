"""``ferkit serve`` as a process: starting, stopping, slow clients, killed workers, silence."""

import http.client
import inspect
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ferkit.cli.serve import _hosts, serve
from ferkit.web.settings import Settings
from networks import write_network
from service import picture, serving

ASTRONAUT = (Path(skimage.__file__).parent / "data" / "astronaut.png").read_bytes()
QUIET = Path(__file__).with_name("quiet_ferkit.py")
FORM = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


def test_it_starts_in_a_moment_reads_and_stops_when_asked():
    began = time.monotonic()
    with serving() as service:
        started = time.monotonic() - began
        (image,) = service.recognize(ASTRONAUT)["images"]
        assert [face["expression"] for face in image["faces"]] == ["happy"]
        service.process.terminate()
        assert service.process.wait(10) in {0, -signal.SIGTERM}
        assert service.process.stderr.read() == ""
    assert started < 30  # under two seconds on a quiet machine


HANGS_UP = pytest.mark.skipif(
    not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="nothing hangs up here"
)


def workers_of(service):
    """Return the numbers of the two processes that serve."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    return workers


@HANGS_UP
def test_a_terminal_that_is_closed_ends_it_as_a_request_to_stop_does(network):
    with serving("--model", network, "--detector", "none") as service:
        service.process.send_signal(signal.SIGHUP)
        assert service.process.wait(10) in {0, -signal.SIGTERM}
        assert service.process.stderr.read() == ""


@HANGS_UP
def test_nor_do_several_processes_outlive_their_terminal(network):
    with serving("--model", network, "--detector", "none", "--workers", "2") as service:
        service.get("/ready")
        for pid in (service.process.pid, *workers_of(service)):
            os.kill(pid, signal.SIGHUP)
        assert service.process.wait(20) in {0, -signal.SIGTERM}
        assert service.process.stderr.read() == ""


@HANGS_UP
def test_several_processes_survive_a_hangup_where_they_are_to(network):
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from ferkit.__main__ import main; main()"
    with serving("--model", network, "--detector", "none", "--workers", "2", command=("-c", nohup)) as service:
        service.get("/ready")
        workers = workers_of(service)
        for pid in (service.process.pid, *workers):
            os.kill(pid, signal.SIGHUP)
        time.sleep(2)
        assert (service.process.poll(), workers_of(service)) == (None, workers)
        assert service.get("/ready")
        service.process.terminate()
        service.process.wait(15)


def test_several_processes_end_when_the_one_that_started_them_is_killed_and_leave_nothing(network, tmp_path):
    two = ("--model", network, "--detector", "none", "--workers", "2")
    with serving(*two, environment={"TMPDIR": str(tmp_path)}) as service:
        service.get("/ready")
        workers = workers_of(service)
        service.process.kill()
        until = time.monotonic() + 20
        try:
            while any(Path(f"/proc/{pid}/fd/1").exists() for pid in workers):  # not of one that has ended
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert service.process.stderr.read() == ""
        assert not list(tmp_path.glob("ferkit-*"))
        with pytest.raises(OSError, match="refused"):
            service.get("/ready")


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as a shell of Unix does")
@pytest.mark.parametrize("closed", ["<&- 2>&-", "<&- >&- 2>&-"])
def test_it_answers_where_input_and_output_are_closed(network, closed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "ferkit", "serve", "--port", port, "--model", network, "--detector", "none"]
    command = f"exec {shlex.join(map(str, words))} {closed}"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                time.sleep(0.1)
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    assert json.loads(answer.read()) == {"status": "ok"}
                    break
            else:
                pytest.fail("no answer")
        finally:
            process.kill()


def test_a_stream_that_may_not_begin_is_told_why(network):
    with serving("--model", network, "--detector", "none", "--per-minute", 1) as service:
        place = f"ws://127.0.0.1:{service.port}"
        for path, settings, status, code in (
            ("/v1/stream", {"origin": "https://evil.example"}, 403, "forbidden_origin"),
            ("/page/index.html", {}, 404, "not_found"),
            ("/v1/stream", {}, 429, "too_many_requests"),
        ):
            with pytest.raises(InvalidStatus) as refused:
                connect(place + path, **settings)
            answer = refused.value.response
            assert (answer.status_code, json.loads(answer.body)["code"]) == (status, code)
            assert ("Retry-After" in answer.headers) == (status == 429)
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


def test_a_running_request_is_finished_when_the_service_stops(network):
    with serving("--model", network, "--detector", "none") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            content = picture()
            head = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
            body = head + content + b"\r\n--x--\r\n"
            request = (
                b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
            )
            client.sendall(request + body[:-10])
            time.sleep(0.3)
            service.process.terminate()
            time.sleep(0.3)
            client.sendall(body[-10:])
            with client.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        service.process.wait(10)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_picture_that_is_read_without_end_does_not_keep_it_from_stopping(network, number):
    stuck = "import time; from ferkit.web.reading import Reader; Reader.answer = lambda *_: time.sleep(60); "
    stuck += "from ferkit.__main__ import main; main()"
    with serving("--model", network, "--seconds", "0.2", command=("-c", stuck)) as service:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            service.recognize()
        service.process.send_signal(number)
        assert service.process.wait(20) in {0, 130, -number}
        assert service.process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--model", "missing.onnx"], "missing.onnx: expected the ONNX file", id="no network"),
        pytest.param(["--detector", "harr"], "did you mean 'haar'?", id="a detector misspelt"),
        pytest.param(["--views", "miror"], "unknown view 'miror'; did you mean 'mirror'?", id="a view misspelt"),
        pytest.param(["--api-key-file", "missing"], "missing: cannot be read", id="no keys"),
        pytest.param(["--host", "203.0.113.1"], "this machine in --host", id="an address that is not ours"),
        pytest.param(["--host", "no.invalid"], "or an address of this machine in --host", id="a name of nobody"),
        pytest.param(["--host", "a..b"], "or an address of this machine in --host", id="what is no name"),
    ],
)
def test_what_cannot_work_is_one_line(ferkit, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FERKIT_SERVE", raising=False)
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000")  # restored after the test
    code, output, error = ferkit("serve", "--port", "0", *arguments)
    assert (code, output, error.count("\n")) == (1, "", 1)
    assert words in error


def test_pages_come_at_once(network):
    with serving("--model", network) as service:
        began = time.monotonic()
        assert all(service.get(path) for path in ("/", "/page/app.js", "/docs", "/health"))
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("body", "status"), [(FORM + bytes(8_000_000), 413), (bytes(8_000_000), 422)], ids=["too large", "no form"]
)
def test_who_sends_in_pieces_before_reading_reads_why_it_was_refused(network, body, status):
    limit = ("--max-body", 4_000_000 if status == 413 else 32_000_000)
    with serving("--model", network, *limit) as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", "/v1/recognize", parts, kind, encode_chunked=True)
        assert connection.getresponse().status == status
        connection.close()


def test_who_goes_on_sending_what_was_refused_unread_is_left_after_a_while(network):
    with serving("--model", network, "--upload-seconds", "0.5", "--max-body", "1000") as service:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", service.port), timeout=0.1) as client:
            client.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
            with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - one of many sends
                while time.monotonic() - began < 30:
                    with suppress(TimeoutError):
                        client.sendall(bytes(1000))
                    time.sleep(0.05)
        assert 4 < time.monotonic() - began < 25


def test_its_limits_are_those_of_the_settings():
    given = inspect.signature(serve).parameters
    limits = {
        **{name: name for name in ("detector", "min_confidence", "waiting", "upload_seconds", "seconds", "per_minute")},
        "max_body": "body_bytes",
        "max_frame": "frame_bytes",
        "max_pixels": "pixels",
        "max_images": "images",
        "max_streams": "streams",
    }
    settings = Settings()
    for option, name in limits.items():
        assert given[option].default == getattr(settings, name), option


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_who_opens_it_to_the_network_without_a_key_is_told(ferkit, tmp_path, monkeypatch, host, warned):
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000")  # restored after the test
    monkeypatch.setattr("ferkit.cli.serve._run", lambda _, listening, __: listening.close())
    warning = f"warning: whoever reaches this machine ({host}) may use the service; --api-key-file asks for a key\n"
    assert ferkit("serve", "--port", 0, "--host", host) == (0, "", warning if warned else "")
    (tmp_path / "keys").write_text("a key that is long enough\n")
    assert ferkit("serve", "--port", 0, "--host", host, "--api-key-file", tmp_path / "keys") == (0, "", "")


def test_a_port_that_is_taken_is_named(ferkit, monkeypatch):
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1000000")
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, _, error = ferkit("serve", "--port", other.getsockname()[1])
    assert code == 1
    assert "another --port" in error


@pytest.mark.alone
def test_a_client_that_sends_a_byte_a_second_holds_nobody_up(network):
    with serving(
        "--model", network, "--detector", "none", "--threads", "1", "--waiting", "0", "--upload-seconds", "2"
    ) as service:
        clients = [socket.create_connection(("127.0.0.1", service.port), timeout=20) for _ in range(20)]
        for client in clients:
            client.sendall(
                b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n-"
            )
        began = time.monotonic()
        for _ in range(5):
            service.recognize()
        assert time.monotonic() - began < 1.5
        answers = []
        for client in clients:
            with client, client.makefile("rb") as answer:  # header and body may come apart
                answers.append(answer.read())
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers), answers[0]
    assert b"within 2 seconds" in answers[0]


def test_a_head_has_an_end_in_bytes_and_in_time(network):
    line = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    with serving("--model", network, "--upload-seconds", "1") as service:
        address = ("127.0.0.1", service.port)
        silent, slow, long = [socket.create_connection(address, timeout=20) for _ in range(3)]
        with silent, slow, long:
            slow.sendall(line)
            with suppress(OSError):  # it stops reading
                long.sendall(line + b"x: y\r\n" * 1_000_000)
            with suppress(ConnectionResetError):
                assert long.recv(8) in {b"HTTP/1.1", b""}
            assert (slow.recv(1), silent.recv(1)) == (b"", b"")
        kept = http.client.HTTPConnection(*address, timeout=20)
        for _ in range(3):  # each head of a connection that is kept has a second of its own
            kept.request("GET", "/health")
            assert kept.getresponse().read() == b'{"status":"ok"}'
            time.sleep(0.6)
        kept.sock.sendall(b"\r\n")
        assert kept.sock.recv(1) == b""
        kept.close()
        assert service.get("/health")


@pytest.mark.parametrize("size", [100_000, 200_000])
def test_a_head_that_comes_in_one_piece_has_the_same_end(network, size):
    with serving("--model", network) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * size + b"\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 400"
        assert service.get("/health")


def noise(side):
    """Return the bytes of a picture that takes its time."""
    content = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(levels).save(content, "JPEG", quality=30)
    return content.getvalue()


def test_a_head_has_its_end_while_an_earlier_request_is_answered(network):
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + noise(1500) + b"\r\n"
    body = 10 * part + b"--x--\r\n"
    lines = b"".join(b"X-%d: " % number + b"y" * 1000 + b"\r\n" for number in range(1000))

    def send_without_end(client):
        for _ in range(40):
            client.sendall(lines)

    with serving("--model", network, "--detector", "none", "--max-images", "10") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            client.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body))
            client.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
            client.sendall(b"GET /health HTTP/1.1\r\n")
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                send_without_end(client)
        assert service.get("/health")


def test_a_head_that_begins_behind_a_body_has_its_time(network):
    with serving("--model", network, "--upload-seconds", "1") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            begun = b"GET /health HTTP/1.1\r\nX: y"
            client.sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" + begun)
            began, answer = time.monotonic(), client.recv(65536)
            while answer and (more := client.recv(65536)):
                answer += more
            assert time.monotonic() - began < 4  # before uvicorn's own patience with a connection that is kept, 5 s
        assert service.get("/health")


def test_an_upgrade_to_another_protocol_is_ignored_and_the_body_is_no_request(network):
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAA"}
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    smuggled = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    form = FORM + picture() + b"\r\n--x--\r\n"
    with serving("--model", network, "--detector", "none") as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        for body, chunked, status in ((form, False, 200), ([form], True, 200), (smuggled, False, 422)):
            connection.request("POST", "/v1/recognize", body, {**kind, **offer}, encode_chunked=chunked)
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Connection"]) == (status, None)
            answer.read()
            connection.request("GET", "/health", headers=offer)
            assert connection.getresponse().read() == b'{"status":"ok"}'
        kept = connection.sock
        kept.sendall(200 * b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        with kept.makefile("rb") as answers:
            found = (line for line in answers if line.endswith(b"HTTP/1.1 200 OK\r\n"))
            assert len(list(islice(found, 200))) == 200
        connection.close()


@pytest.mark.parametrize("head", [b"GET /health HTTP/1.0\r\n", b"GET /health HTTP/1.1\r\nConnection: close\r\n"])
def test_nor_does_it_keep_a_connection_that_is_to_be_closed(network, head):
    with serving("--model", network, "--detector", "none") as service, ExitStack() as opened:
        client = opened.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
        client.sendall(head + b"Host: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 200 OK\r\n")  # to the end of the connection


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        b"POST /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n",
    ],
    ids=["a POST with a body", "a POST", "a length", "chunks", "a tunnel"],
)
def test_a_stream_that_begins_otherwise_than_streams_do_is_refused_and_closed(network, request_):
    with serving("--model", network, "--detector", "none") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            client.sendall(request_ + b"Connection: Upgrade\r\n\r\nabcde")
            with client.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 400 ")  # to the end of the connection
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


@pytest.mark.parametrize("headers", [200 * b"A: b\r\n", b"Cookie: " + 9000 * b"a" + b"\r\n"], ids=["many", "long"])
def test_a_stream_whose_headers_cannot_be_read_is_refused_and_closed(network, headers):
    head = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    head += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with serving("--model", network, "--detector", "none") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
            client.sendall(head + headers + b"\r\n")
            with client.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 400 ")  # to the end of the connection
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


def test_a_text_that_is_none_closes_the_stream_and_leaves_the_log_empty(network):
    with serving("--model", network, "--detector", "none") as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/stream") as stream:
            stream.send(b"\xff", text=True)
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(20)
        assert closed.value.rcvd.code == 1007
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


def asks_and_does_not_fetch(service, side, opened):
    """Return a connection whose client has sent a picture of ``side``, and seen that an annotated copy comes."""
    body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body += noise(side) + b"\r\n--x--\r\n"
    head = f"POST /v1/recognize/annotated HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    client = opened.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", service.port))
    client.sendall(head.encode() + body)
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def test_answers_that_nobody_fetches_take_no_more_memory_than_they_may(network):
    quick = "import ferkit.web.protocol as p; p.UNSENT_BYTES = 20_000_000; from ferkit.__main__ import main; main()"
    with serving("--model", network, "--detector", "none", command=("-c", quick)) as service, ExitStack() as opened:
        clients = []
        for _ in range(2):  # each answer has about 18.8 million bytes
            clients.append(asks_and_does_not_fetch(service, 2500, opened))
            time.sleep(1)
        lengths = []
        for client in clients:
            with client.makefile("rb") as answer, suppress(ConnectionResetError):
                lengths.append(fetched(answer))
        assert lengths[0] < 15_000_000 < lengths[1], "the one that waited longest was let go"


def fetched(answer):
    """Return how many bytes come until what is promised is there, or the connection ends."""
    length = 0
    for line in answer:
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n":
            break
    got = 0
    with suppress(ConnectionResetError):
        while got < length and (part := answer.read1(65_536)):
            got += len(part)
    return got


def test_a_client_that_does_not_fetch_its_answer_is_left(network):
    quick = "import ferkit.web.protocol as p; p.FETCH_SECONDS = 0.5; from ferkit.__main__ import main; main()"
    with serving("--model", network, "--detector", "none", command=("-c", quick)) as service, ExitStack() as opened:
        client = asks_and_does_not_fetch(service, 1500, opened)
        time.sleep(2)
        with client.makefile("rb") as answer, suppress(ConnectionResetError):
            assert len(answer.read()) < 6_000_000  # of about 6.8 million: the rest was let go
        began = time.monotonic()
        service.process.terminate()
        service.process.wait(10)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("message", [b"\x81\x81\0\0\0\0x", b"\x89\xfd\0\0\0\0" + bytes(125)], ids=["texts", "pings"])
def test_a_stream_whose_client_sends_and_never_reads_is_left(network, message):
    quick = "import ferkit.web.protocol as p; p.FETCH_SECONDS = 0.5; from ferkit.__main__ import main; main()"
    head = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    head += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    def send_without_end(client):
        for _ in range(20_000):
            client.sendall(1000 * message)

    with serving("--model", network, "--detector", "none", command=("-c", quick)) as service, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", service.port))
        client.sendall(head)
        assert client.recv(12) == b"HTTP/1.1 101"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_without_end(client)
        until = time.monotonic() + 10
        while "ferkit_streams 0.0" not in service.get("/metrics").decode().splitlines():
            assert time.monotonic() < until
            time.sleep(0.1)
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


def test_a_frame_that_is_too_large_ends_its_stream_before_it_is_held(network):
    with serving("--model", network, "--detector", "none", "--max-frame", "5000") as service:
        with connect(f"ws://127.0.0.1:{service.port}/v1/stream") as stream:
            stream.send(picture())
            assert json.loads(stream.recv())["type"] == "reading"
            stream.send(bytes(5001))
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv()
            assert closed.value.rcvd.code == 1009  # message too big
        assert json.loads(service.get("/v1/model"))["limits"]["frame_bytes"] == 5000


def test_clients_that_go_away_in_the_middle_are_no_fault_and_leave_the_log_empty(network):
    with serving("--model", network, "--detector", "none") as service:
        for _ in range(300):  # each of them would be a traceback of some kilobytes, and nobody reads the log here
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
                client.sendall(
                    b"POST /v1/recognize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
                )
        service.recognize()
        assert 'status="499"' in service.get("/metrics").decode()
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""


def test_what_does_not_fit_in_is_told_to_come_back(network):
    with serving("--model", network, "--detector", "haar", "--threads", "1", "--waiting", "1") as service:
        statuses, lock = [], threading.Lock()

        def ask():
            try:
                service.recognize(ASTRONAUT)
                found = 200
            except urllib.error.HTTPError as error:
                found = (error.code, json.loads(error.read())["code"], error.headers["Retry-After"].isdecimal())
            with lock:
                statuses.append(found)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, (503, "busy", True)}


def test_a_killed_worker_is_replaced_and_the_others_go_on(network):
    with serving("--model", network, "--detector", "none", "--workers", "2") as service:
        service.recognize()
        with ExitStack() as opened:
            streams = [opened.enter_context(connect(f"ws://127.0.0.1:{service.port}/v1/stream")) for _ in range(8)]
            for stream in streams:
                stream.send(picture())
                stream.recv()
            assert "ferkit_streams 8.0" in service.get("/metrics").decode().splitlines()
            os.kill(workers_of(service)[0], signal.SIGKILL)
            time.sleep(0.2)
        for _ in range(20):
            service.recognize()
        until = time.monotonic() + 20  # until it is replaced, which a busy machine delays, its streams count
        while "ferkit_streams 0.0" not in (lines := service.get("/metrics").decode().splitlines()):
            assert time.monotonic() < until  # those of the killed one end, too, which could not say so
            time.sleep(0.1)
        service.process.terminate()
        service.process.wait(15)
    counted = [line for line in lines if line.startswith('ferkit_requests_total{route="/v1/recognize",status="200"}')]
    assert counted
    assert float(counted[0].split()[-1]) >= 20  # of both processes together


def test_a_killed_worker_takes_no_more_than_its_own_requests_with_it(network):
    clients, each = 4, 60
    with serving("--model", network, "--detector", "none", "--workers", "2") as service:
        service.recognize()
        lost, lock, killed = [], threading.Lock(), threading.Event()

        def ask():
            for number in range(each):
                if number == each // 3 and not killed.is_set():
                    killed.set()
                    os.kill(workers_of(service)[0], signal.SIGKILL)
                try:
                    service.recognize()
                except (urllib.error.URLError, ConnectionError, http.client.IncompleteRead) as error:
                    with lock:
                        lost.append(error)

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        service.process.terminate()
        service.process.wait(15)
    assert killed.is_set()
    assert len(lost) <= clients, lost  # what the killed process had in hand or was about to take: one a client


def test_nothing_is_attempted_nothing_written_and_nothing_logged(tmp_path):
    notes, home = tmp_path / "notes", tmp_path / "home"
    home.mkdir()
    environment = {
        "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home),
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://example.invalid:4318",
    }  # fmt: skip
    with serving(command=(QUIET, notes), environment=environment) as service:
        service.recognize(ASTRONAUT)
        with pytest.raises(urllib.error.HTTPError):
            service.recognize(b"no picture")
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(service.address + "/v1/recognize", b"abc", form), timeout=20)
        service.get("/docs")
        service.process.terminate()
        service.process.wait(10)
        assert service.process.stderr.read() == ""
    assert not notes.exists(), notes.read_text()
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seconds", "inf", "finite number"),
        ("--upload-seconds", "nan", "finite number"),
        ("--min-confidence", "nan", "finite number"),
        ("--allow-host", "faces.example.org:8443", "expected a name alone, as faces.example.org"),
        ("--allow-host", "https://faces.example.org", "expected a name alone, as faces.example.org"),
        ("--threads", "100000", "range"),
        ("--allow-origin", "*", "expected an origin such as https://example.org, got '*'"),
    ],
)
def test_what_no_service_can_start_with_is_wrong_usage(ferkit, option, value, words):
    code, out, err = ferkit("serve", option, value)
    assert (code, out) == (2, "")
    assert option in err
    assert words in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("host", "allowed", "names"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "[::1]"}),
        ("127.0.0.2", [], {"localhost", "127.0.0.1", "[::1]", "127.0.0.2"}),
        ("127.1", [], {"localhost", "127.0.0.1", "[::1]", "127.1"}),
        ("2130706434", [], {"localhost", "127.0.0.1", "[::1]", "2130706434", "127.0.0.2"}),
        ("::1", ["Camera.local"], {"localhost", "127.0.0.1", "[::1]", "camera.local"}),
        ("0.0.0.0", ["10.0.0.1"], {"localhost", "127.0.0.1", "[::1]", "10.0.0.1"}),
        ("0.0.0.0", [], set()),
    ],
)
def test_a_service_answers_to_the_names_of_where_it_listens(host, allowed, names):
    assert set(_hosts(host, allowed)) == names
