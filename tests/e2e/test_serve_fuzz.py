"""What anybody may send to a service: it answers, keeps its memory and goes on."""

import http.client
import io
import random
from pathlib import Path

import numpy as np
import pytest
import schemathesis
import skimage
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ferkit.web import Settings, create_app
from networks import write_network
from service import picture, serving

REQUESTS = 5000
ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"


LARGEST = [(1000, 1000), (8300, 120), (120, 8300)]
"""Sizes at the limit of pixels: what they need once, later pictures may use again."""


def seeds(size=(64, 64)):
    """Return pictures of every kind the service opens, with a face in each."""
    face = Image.open(ASTRONAUT).convert("RGB").crop((140, 30, 330, 220)).resize(size)
    found = []
    for form, options in (
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("BMP", {}),
        ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
    ):  # fmt: skip
        content = io.BytesIO()
        face.save(content, form, **options)
        found.append(content.getvalue())
    return found


def mutated(content, rng):
    """Return ``content`` with some of its bytes changed, cut out or doubled."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 20])):
        place = rng.randrange(min(len(changed), rng.choice([64, 1000, 10**6])))
        match rng.randrange(5):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
            case 2:
                del changed[place : place + rng.randrange(1, 50)]
            case 3:
                changed[place:place] = rng.randbytes(rng.randrange(1, 50))
            case 4:
                del changed[place:]
        if not changed:
            changed = bytearray(b"\xff\xd8\xff")
    return bytes(changed)


def resident(pid):
    """Return the bytes a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
def test_thousands_of_mutated_pictures_and_bodies_end_nothing():
    rng = random.Random(0)
    pictures = seeds()
    with serving("--max-pixels", "1000000", "--seconds", "20") as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

        def send(body, boundary=b"x"):
            nonlocal connection
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode('latin-1')}"}
            try:
                connection.request("POST", "/v1/recognize", body, headers)
                answer = connection.getresponse()
                answer.read()
            except (http.client.HTTPException, ConnectionError):  # the server may close after a broken request
                connection.close()
                connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
                return None
            return answer.status

        def form(content):
            return (
                b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
                + content
                + b"\r\n--x--\r\n"
            )

        for content in [*pictures * 10, *(large for size in LARGEST * 3 for large in seeds(size))]:
            assert send(form(content)) == 200
        statuses, before = [], resident(service.process.pid)
        for _ in range(REQUESTS):
            content = mutated(rng.choice(pictures), rng)
            statuses.append(send(form(content) if rng.random() < 0.8 else mutated(form(content), rng)))
        after = resident(service.process.pid)
        assert send(form(pictures[0])) == 200
        assert service.process.poll() is None
        connection.close()
    assert {200, 415, 422} <= set(statuses) <= {200, 400, 408, 413, 415, 422, None}
    assert statuses.count(None) < 50
    assert after <= 1.1 * before, (before, after)


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """Return every operation of the service's OpenAPI document, by its address."""
    network = write_network(tmp_path_factory.mktemp("network") / "model.onnx")
    limits = Settings(model=network, detector="none", hosts=(), pixels=1_000_000)
    found = schemathesis.openapi.from_asgi("/openapi.json", create_app(limits)).get_all_operations()
    return {operation.path: operation for operation in (result.ok() for result in found)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of schemathesis about its own data
@pytest.mark.parametrize(
    "path", ["/v1/recognize", "/v1/recognize/annotated", "/v1/model", "/health", "/ready", "/metrics"]
)
def test_the_service_keeps_what_its_openapi_document_promises(operations, path):
    statuses = []
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

    @given(case=operations[path].as_strategy())
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case):
        answer = case.call()
        statuses.append(answer.status_code)
        case.validate_response(answer, checks=checks)  # raises where the answer is not what the document says

    check()
    assert statuses
    assert max(statuses) < 500


def test_these_are_all_operations(operations):
    assert len(operations) == 6


def test_the_mutations_do_change_pictures():
    rng = random.Random(1)
    assert len({mutated(picture(), rng) for _ in range(50)}) > 40
    assert np.mean([mutated(picture(), rng) == picture() for _ in range(50)]) < 0.2
