"""The REST interface: what it answers, and each way it says no."""

import io
import json
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image
from pydantic import ValidationError
from starlette.testclient import TestClient

from ferkit import Recognizer
from ferkit.errors import ServiceError
from ferkit.labels import EXPRESSIONS
from ferkit.web import Settings, create_app
from ferkit.web.guard import POLICY
from ferkit.web.keys import Keys
from mounted import around
from networks import write_network
from service import KEY, picture

ASTRONAUT = (Path(skimage.__file__).parent / "data" / "astronaut.png").read_bytes()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


@contextmanager
def serving(network=None, **settings):
    """Yield a client of a service in which every picture is one face, unless a detector is named."""
    chosen = Settings(**{"model": network, "detector": "none", "hosts": (), **settings})
    with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def client(network):
    with serving(network) as client:
        yield client


def upload(*contents, field="images"):
    return [(field, (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]


# --------------------------------------------------------------------------------------------------------- readings


def test_a_picture_is_answered_with_its_faces(client):
    began = time.perf_counter()
    answer = client.post("/v1/recognize", files=upload(picture("sad")))
    assert answer.status_code == 200
    (image,) = answer.json()["images"]
    assert (image["name"], image["width"], image["height"]) == ("0.png", 60, 50)
    (face,) = image["faces"]
    assert face["expression"] == "sad"
    assert set(face["probabilities"]) == set(EXPRESSIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 < answer.json()["milliseconds"] < 1000 * (time.perf_counter() - began)


def test_several_pictures_are_answered_in_their_order(client):
    names = ["happy", "angry", "surprise"]
    answer = client.post("/v1/recognize", files=upload(*map(picture, names)))
    assert [image["faces"][0]["expression"] for image in answer.json()["images"]] == names


def test_the_answer_is_what_the_recognizer_says():
    with serving(None, detector="haar") as client:
        (image,) = client.post("/v1/recognize", files=upload(ASTRONAUT)).json()["images"]
    assert image["faces"] == json.loads(json.dumps([face.to_dict() for face in Recognizer().recognize(ASTRONAUT)]))


def test_views_are_read_besides_each_face_and_the_card_names_them():
    with serving(None, detector="haar", views=("mirror",)) as client:
        (image,) = client.post("/v1/recognize", files=upload(ASTRONAUT)).json()["images"]
        assert client.get("/v1/model").json()["views"] == ["mirror"]
    (face,), (plain,) = (Recognizer(views=views).recognize(ASTRONAUT) for views in (["mirror"], []))
    assert image["faces"] == json.loads(json.dumps([face.to_dict()]))
    assert face.probabilities != plain.probabilities


def test_no_face_is_an_empty_list():
    with serving(None, detector="haar") as client:
        answer = client.post("/v1/recognize", files=upload(picture()))
    assert (answer.status_code, answer.json()["images"][0]["faces"]) == (200, [])


def test_below_the_asked_confidence_the_answer_is_uncertain(client):
    answer = client.post("/v1/recognize?min_confidence=1", files=upload(picture("sad")))
    assert answer.json()["images"][0]["faces"][0]["expression"] == "uncertain"


def test_the_services_own_least_confidence_holds_where_a_request_names_none(network):
    with serving(network, min_confidence=1.0) as client:
        assert client.post("/v1/recognize", files=upload(picture())).json()["images"][0]["faces"][0]["expression"] == (
            "uncertain"
        )
        answer = client.post("/v1/recognize?min_confidence=0", files=upload(picture()))
    assert answer.json()["images"][0]["faces"][0]["expression"] == "happy"


def test_an_annotated_picture_is_a_png_with_the_face_marked(client):
    answer = client.post("/v1/recognize/annotated", files=upload(picture("sad", (300, 300))))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert drawn.shape == (300, 300, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10


def test_a_picture_that_no_png_can_hold_is_refused_and_no_fault(client, monkeypatch):
    monkeypatch.setattr("ferkit.web.reading.cv2.imencode", lambda *_: (False, None))
    assert refusal(client.post("/v1/recognize/annotated", files=upload(picture())))[:2] == (422, "bad_picture")


def test_exif_rotation_is_applied(client):
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), (9, 9, 9)).save(content, "JPEG", exif=exif)
    (image,) = client.post("/v1/recognize", files=upload(content.getvalue())).json()["images"]
    assert (image["width"], image["height"]) == (40, 80)


def test_a_file_larger_than_a_megabyte_is_read_without_touching_the_disk(client, monkeypatch):
    def refuse(self):
        raise AssertionError("an uploaded picture went to the disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "BMP")
    assert len(content.getvalue()) > 1_500_000
    assert client.post("/v1/recognize", files=upload(content.getvalue())).status_code == 200


# ----------------------------------------------------------------------------------------------------- other addresses


def test_the_card_names_the_network_and_the_limits(client):
    card = client.get("/v1/model").json()
    assert card["classes"] == list(EXPRESSIONS)
    assert len(card["sha256"]) == 64
    assert (card["min_confidence"], card["views"]) == (0, [])
    assert card["limits"] == {
        "body_bytes": 32_000_000,
        "frame_bytes": 2_000_000,
        "pixels": 50_000_000,
        "images": 16,
    }


def test_the_settings_reach_what_they_are_for(network):
    with serving(network, threads=3, waiting=4, seconds=5.0, streams=2, pixels=10_000) as client:
        service = client.app.state.service
        assert (service.desk.threads, service.desk.waiting, service.desk.seconds) == (3, 4, 5.0)
        assert client.post("/v1/recognize", files=upload(picture("happy", size=(101, 100)))).status_code == 422
        assert client.post("/v1/recognize", files=upload(picture("happy", size=(100, 100)))).status_code == 200


def test_opencv_has_its_threads_back_in_the_end(network):
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with serving(network):
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


def test_a_service_that_nobody_started_says_so(network):
    client = TestClient(create_app(Settings(model=network, detector="none", hosts=())))  # its lifespan is not entered
    for answer in (client.post("/v1/recognize", files=upload(picture())), client.get("/ready")):
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "an application that mounts it has to run its lifespan" in answer.json()["error"]


def test_health_and_readiness(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_prometheus_counts_requests_pictures_and_faces(network):
    with serving(network) as client:
        client.post("/v1/recognize", files=upload(picture(), picture()))
        client.post("/v1/recognize", files=upload(b"no picture"))
        lines = client.get("/metrics").text.splitlines()
    assert 'ferkit_requests_total{route="/v1/recognize",status="200"} 1.0' in lines
    assert 'ferkit_requests_total{route="/v1/recognize",status="415"} 1.0' in lines
    assert "ferkit_pictures_total 2.0" in lines
    assert "ferkit_faces_total 2.0" in lines


def test_annotated_pictures_and_frames_are_counted_as_well_as_the_streams_that_are_open(network):
    with serving(network) as client:
        client.post("/v1/recognize/annotated", files=upload(picture()))
        with client.websocket_connect("/v1/stream") as socket:
            socket.send_bytes(picture())
            socket.receive_json()
            opened = client.get("/metrics").text.splitlines()
        closed = client.get("/metrics").text.splitlines()
    assert {"ferkit_pictures_total 2.0", "ferkit_faces_total 2.0", "ferkit_streams 1.0"} <= set(opened)
    assert "ferkit_streams 0.0" in closed


def test_the_documentation_comes_from_the_service_itself(client):
    page = client.get("/docs").text
    assert "http" not in page.replace("openapi", "")
    for address in ("docs/assets/swagger-ui.css", "docs/assets/swagger-ui-bundle.js", "page/docs.js"):
        assert f'"{address}"' in page
        assert client.get(address).status_code == 200


def test_the_openapi_document_has_examples_and_every_refusal(client):
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/recognize"]["post"]
    assert {"401", "403", "408", "413", "415", "421", "422", "429", "503"} <= set(operation["responses"])
    assert {"403", "421"} <= set.intersection(
        *(set(operation["responses"]) for path in document["paths"].values() for operation in path.values())
    )
    assert "multipart/form-data" in operation["requestBody"]["content"]
    assert document["components"]["schemas"]["FaceAnswer"]["properties"]["expression"]["examples"] == ["happy"]


def test_every_answer_forbids_what_a_page_should_not_do(client):
    for answer in (client.get("/"), client.get("/v1/model"), client.get("/nowhere"), client.post("/v1/recognize")):
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY
    assert client.get("/v1/model").headers["cache-control"] == "no-store"


def test_a_browser_asks_before_it_uses_what_it_kept_of_the_page(client):
    for path in ("/", "/page/app.js", "/docs"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, headers={"If-None-Match": '"another"'}).content == first.content


# ----------------------------------------------------------------------------------------------------------- refusals


def refusal(answer):
    """Return status, code and sentence of an answer that has the form of all refusals."""
    content = answer.json()
    assert set(content) == {"code", "error"}
    assert content["error"].endswith(".")
    return answer.status_code, content["code"], content["error"]


@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        pytest.param(b"plain text", 415, "unsupported_media_type", "expected JPEG, PNG", id="a text"),
        pytest.param(b"", 415, "unsupported_media_type", "empty file", id="an empty file"),
        pytest.param(picture()[:40], 422, "bad_picture", "cut off", id="cut off"),
        pytest.param(b"\xff\xd8\xff" + bytes(50), 422, "bad_picture", "0.png", id="damaged"),
        pytest.param(
            b"\0\0\0\x18ftypheic",
            415,
            "unsupported_media_type",
            "HEIC cannot be read; convert it to JPEG.",
            id="an iPhone's",
        ),
        pytest.param(
            b"\0\0\0\x18ftypavif\0\0\0\x09irot\1",
            415,
            "unsupported_media_type",
            "AVIF that is turned or mirrored when shown cannot be read; convert it to JPEG.",
            id="a turned AVIF",
        ),
        pytest.param(b"#?RADIANCE\n", 415, "unsupported_media_type", "expected JPEG", id="a kind few need"),
    ],
)
def test_what_is_no_picture_is_named(client, content, status, code, words):
    *kind, error = refusal(client.post("/v1/recognize", files=upload(content)))
    assert kind == [status, code]
    assert words in error


def test_one_bad_picture_refuses_the_request_and_is_named(client):
    *kind, error = refusal(client.post("/v1/recognize", files=upload(picture(), b"x")))
    assert kind == [415, "unsupported_media_type"]
    assert "1.png" in error


def test_a_decompression_bomb_is_refused_by_its_head(network):
    with serving(network, pixels=10_000) as client:
        *kind, error = refusal(client.post("/v1/recognize", files=upload(picture(size=(101, 100)))))
        assert kind == [422, "bad_picture"]
    assert "10,000 pixels, got 101 x 100" in error


def test_too_many_pictures_are_refused(network):
    with serving(network, images=2) as client:
        *kind, error = refusal(client.post("/v1/recognize", files=upload(*[picture()] * 3)))
        assert kind == [422, "too_many_pictures"]
        assert "at most 2 pictures a request, got 3" in error
        *kind, error = refusal(client.post("/v1/recognize", files=upload(*[picture()] * 300)))
        assert (kind, error) == ([422, "too_many_pictures"], "Expected at most 2 pictures a request, got many more.")


def test_two_pictures_cannot_be_annotated_at_once(client):
    assert refusal(client.post("/v1/recognize/annotated", files=upload(picture(), picture())))[:2] == (
        422,
        "too_many_pictures",
    )


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        pytest.param(
            {"content": b"{}", "headers": {"content-type": "application/json"}}, 415, "unsupported_media_type"
        ),
        pytest.param({}, 415, "unsupported_media_type"),
        pytest.param({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 422, "invalid_request"),
        pytest.param(
            {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            422,
            "invalid_request",
        ),
        pytest.param({"files": upload(picture(), field="image")}, 422, "invalid_request"),
        pytest.param({"data": {"images": "a text"}, "files": upload(b"", field="other")}, 422, "invalid_request"),
    ],
    ids=["json", "nothing", "no boundary", "a broken form", "another field", "a text in the field"],
)
def test_what_is_no_form_with_pictures_is_refused(client, request_, status, code):
    assert refusal(client.post("/v1/recognize", **request_))[:2] == (status, code)


def form(*contents, end=b"--x--\r\n"):
    """Return the body of a form with a picture in each part."""
    head = b'--x\r\ncontent-disposition: form-data; name="images"; filename="%d.png"\r\n\r\n'
    return b"".join(head % number + content + b"\r\n" for number, content in enumerate(contents)) + end


@pytest.mark.parametrize("cut", [b"", b"--x", b"--x\r\ncontent-disposition: form-da", None])
def test_a_form_that_is_cut_off_loses_no_picture_in_silence(client, cut):
    whole = form(picture("sad"), picture("happy"))
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert len(client.post("/v1/recognize", content=whole, headers=headers).json()["images"]) == 2
    body = whole[:-200] if cut is None else form(picture("sad"), picture("happy"), end=cut)
    answer = client.post("/v1/recognize", content=body, headers=headers)
    *kind, error = refusal(answer)
    assert kind == [422, "invalid_request"]
    assert error == "Expected a whole multipart form: it ends before its last boundary."


def test_what_follows_the_last_boundary_of_a_form_is_passed_over(client):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    for end in (b"--x--", b"--x--\r\n", b"--x--\r\nan epilogue"):
        answer = client.post("/v1/recognize", content=form(picture("sad"), end=end), headers=headers)
        assert (answer.status_code, len(answer.json().get("images", ()))) == (200, 1)


def test_a_form_is_one_however_its_kind_is_written_and_a_file_without_a_name_a_picture(client):
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename=""\r\n\r\n'
    headers = {"content-type": "Multipart/Form-Data ; boundary=x"}
    answer = client.post("/v1/recognize", content=part + picture() + b"\r\n--x--\r\n", headers=headers)
    assert [image["name"] for image in answer.json()["images"]] == ["picture"]


@pytest.mark.parametrize("text", ["hello", "x" * 20_000])
def test_a_picture_that_is_no_file_is_told_how(client, text):
    answer = client.post("/v1/recognize", files=upload(picture()), data={"images": text})
    *kind, error = refusal(answer)
    assert kind == [422, "invalid_request"]
    assert error == "Expected files in the field 'images', got a text, or a part without a file's name (filename=)."


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "much"])
def test_a_confidence_out_of_range_is_refused(client, value):
    *kind, error = refusal(client.post(f"/v1/recognize?min_confidence={value}", files=upload(picture())))
    assert kind == [422, "invalid_request"]
    assert "min_confidence" in error


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(network):
    with serving(network, body_bytes=1000) as client:
        *kind, error = refusal(client.post("/v1/recognize", files=upload(bytes(2000))))
        assert kind == [413, "body_too_large"]
    assert "at most 1,000 bytes" in error


def test_a_body_that_does_not_say_its_size_is_refused_when_it_becomes_too_large(network):
    def parts():
        yield b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
        for _ in range(20):
            yield bytes(100)

    with serving(network, body_bytes=1000) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert refusal(client.post("/v1/recognize", content=parts(), headers=headers))[:2] == (413, "body_too_large")


def test_bodies_that_are_too_large_together_are_refused(network):
    with serving(network, held_bytes=1000) as client:
        answer = client.post("/v1/recognize", files=upload(bytes(2000)))
        assert refusal(answer)[:2] == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/recognize", files=upload(picture())).status_code == 200  # what was held is let go


def test_a_service_without_room_says_that_it_is_not_ready(network, monkeypatch):
    with serving(network) as client:
        assert client.get("/ready").json() == {"status": "ready"}
        desk = client.app.state.service.desk
        monkeypatch.setattr(desk, "taken", desk.threads + desk.waiting)
        answer = client.get("/ready")
        assert refusal(answer)[:2] == (503, "not_ready")
        assert int(answer.headers["retry-after"]) >= 1


def test_unknown_addresses_and_methods_are_answered_alike(client):
    assert refusal(client.get("/nowhere"))[:2] == (404, "not_found")
    answer = client.get("/v1/recognize")
    assert refusal(answer)[:2] == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.fixture
def one_minute(monkeypatch):
    """Let the minute by which requests are counted not end."""
    monkeypatch.setattr(
        "ferkit.web.guard.time", SimpleNamespace(monotonic=lambda: 605.0, perf_counter=time.perf_counter)
    )


@pytest.mark.usefixtures("one_minute")
def test_a_client_that_asks_too_often_is_told_when_to_come_back(network):
    with serving(network, per_minute=3) as client:
        answers = [client.get("/v1/model") for _ in range(8)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert refusal(answers[-1])[:2] == (429, "too_many_requests")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.usefixtures("one_minute")
def test_wrong_keys_are_counted_like_other_requests(network, tmp_path):
    file = tmp_path / "keys"
    file.write_text(KEY)
    with serving(network, per_minute=3, api_key_file=file) as client:
        answers = [client.get("/v1/model", headers={"X-API-Key": f"guess {n}"}).status_code for n in range(8)]
    assert (answers[0], answers[-1]) == (401, 429)


def test_pictures_nobody_waits_for_any_more_are_not_read(network, monkeypatch):
    read = []

    def slow(_, name, __):
        read.append(name)
        time.sleep(0.15)
        return np.zeros((48, 48, 3), np.uint8)

    monkeypatch.setattr("ferkit.web.reading.decode", slow)
    with serving(network, seconds=0.2) as client:
        answer = client.post("/v1/recognize", files=upload(*[picture()] * 8))
    assert refusal(answer)[:2] == (503, "too_slow")
    assert len(read) < 4


# ------------------------------------------------------------------------------------------------------ who may ask


@pytest.fixture
def keyed(network, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# of the tests\n\nanother key, long enough\n{KEY}\n")
    with serving(network, api_key_file=file) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": f"Basic {KEY}"}, {"X-API-Key": "é"}])
@pytest.mark.parametrize("address", ["/v1/model", "/metrics"])
def test_without_the_key_nothing_is_answered(keyed, headers, address):
    answer = keyed.get(address, headers={name: value.encode() for name, value in headers.items()})
    assert refusal(answer)[:2] == (401, "unauthorized")


@pytest.mark.usefixtures("one_minute")
def test_nor_is_it_below_another_path_where_limits_hold_too(network, tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\n")
    app = create_app(Settings(model=network, hosts=(), api_key_file=tmp_path / "keys", per_minute=4))
    with TestClient(app, root_path="/ferkit") as client:
        for address in ("/v1/model", "/metrics", "/ferkit/v1/model", "/ferkit/metrics"):
            assert refusal(client.get(address))[:2] == (401, "unauthorized"), address
        answer = client.get("/ferkit/v1/model", headers={"X-API-Key": KEY})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert client.get("/ferkit/metrics").status_code == 429, "four without a key in this minute"
        assert client.get("/ferkit/health").status_code == 200


def test_nor_where_another_application_mounts_it_as_the_guide_says(network, tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\n")
    with TestClient(around(create_app(Settings(model=network, hosts=(), api_key_file=tmp_path / "keys")))) as client:
        assert refusal(client.get("/faces/v1/model"))[:2] == (401, "unauthorized")
        sent = {"headers": {"X-API-Key": KEY}, "files": upload(picture())}
        assert client.post("/faces/v1/recognize", **sent).status_code == 200


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
def test_with_the_key_all_is_answered(keyed, headers):
    assert keyed.get("/v1/model", headers=headers).status_code == 200
    assert keyed.post("/v1/recognize", headers=headers, files=upload(picture())).status_code == 200


@pytest.mark.parametrize("address", ["/", "/health", "/ready", "/docs", "/openapi.json"])
def test_page_health_and_documentation_need_no_key(keyed, address):
    assert keyed.get(address).status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param("# nothing\n", "got none", id="empty"),
        pytest.param("long enough for a key\nshort\n", ":2: expected a key of at least 16", id="short"),
        pytest.param(
            "schl\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel, long enough\n",
            ":1: expected a key of ASCII",
            id="not ASCII",
        ),
    ],
)
def test_a_file_without_good_keys_ends_the_service_before_it_starts(tmp_path, content, words):
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ServiceError, match=words):
        create_app(Settings(api_key_file=file))


def test_a_key_may_have_as_few_as_16_characters(tmp_path):
    (tmp_path / "keys").write_text("k" * 16)
    assert Keys(tmp_path / "keys").knows("k" * 16)


def test_keys_are_in_a_file_that_can_be_read_again(tmp_path):
    for place in (tmp_path, Path("/dev/null")):
        with pytest.raises(ServiceError, match="expected a file with a key a line, got a folder, a pipe or a device"):
            create_app(Settings(api_key_file=place))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", ""])
def test_other_names_of_this_machine_are_refused(network, host):
    with serving(network, hosts=Settings().hosts) as client:
        assert refusal(client.get("/v1/model", headers={"host": host}))[:2] == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000", "LOCALHOST"])
def test_this_machines_own_names_are_answered(network, host):
    with serving(network, hosts=Settings().hosts) as client:
        assert client.get("/v1/model", headers={"host": host}).status_code == 200


def test_pages_of_other_origins_are_refused(client):
    answer = client.post("/v1/recognize", files=upload(picture()), headers={"origin": "https://evil.example"})
    assert refusal(answer)[:2] == (403, "forbidden_origin")
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/v1/model", headers={"origin": "http://testserver"}).status_code == 200


def test_named_origins_are_answered_as_browsers_want_it(network):
    page = "https://page.example"
    with serving(network, origins=(page,)) as client:
        before = client.options("/v1/recognize", headers={"origin": page, "access-control-request-method": "POST"})
        answer = client.post("/v1/recognize", files=upload(picture()), headers={"origin": page})
        assert refusal(client.get("/v1/model", headers={"origin": "https://other.example"}))[:2] == (
            403,
            "forbidden_origin",
        )
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, page)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page)


@pytest.mark.usefixtures("one_minute")
def test_a_page_of_a_named_origin_sees_why_it_is_refused(network, tmp_path):
    page, file = "https://app.example", tmp_path / "keys"
    file.write_text(f"\N{BYTE ORDER MARK}{KEY}\n", encoding="utf-8")
    with serving(network, origins=(page,), api_key_file=file, per_minute=1) as client:
        answers = [client.get("/v1/model", headers={"origin": page, "x-api-key": key}) for key in ("", KEY, KEY)]
    assert [answer.status_code for answer in answers] == [401, 200, 429]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {page}
    assert answers[-1].headers["access-control-expose-headers"] == "Retry-After"


@pytest.mark.parametrize("origin", ["*", "example.org", "https://example.org/page", "ftp://example.org", "http://["])
def test_what_is_no_origin_is_refused_before_the_service_starts(origin):
    with pytest.raises(ValidationError, match=r"expected an origin such as https://example\.org"):
        Settings(origins=(origin,))


def test_an_origin_that_is_no_address_is_refused(client):
    answer = client.get("/v1/model", headers={"origin": "http://["})
    assert refusal(answer)[:2] == (403, "forbidden_origin")


@pytest.mark.parametrize("address", ["/", "/docs", "/health", "/ready", "/v1/model"])
def test_watchers_may_ask_for_the_head_alone(client, address):
    answer = client.head(address)
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_documentation_can_send_the_key_where_one_is_needed(client, keyed):
    paths = keyed.get("/openapi.json").json()["paths"]
    needed = {
        path: operation.get("security") for path, operations in paths.items() for operation in operations.values()
    }
    assert needed["/v1/recognize"] == needed["/metrics"] == [{"key": []}]
    assert needed["/health"] is None
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


def test_a_fault_of_ours_is_an_answer_too_and_tells_nothing_of_the_inside(client, monkeypatch, caplog):
    from ferkit.web.reading import Reader

    def fail(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(Reader, "answer", fail)
    answer = client.post("/v1/recognize", files=upload(picture()))
    *kind, error = refusal(answer)
    assert kind == [500, "internal_error"]
    assert "secret" not in error
    assert answer.headers["content-security-policy"] == POLICY
    assert "a secret" in caplog.text
