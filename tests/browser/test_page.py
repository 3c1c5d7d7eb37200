"""The page of ``ferkit serve`` in a real browser, in front of the real service."""

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

import mounted
from ferkit.inference.weights import FOLDER
from ferkit.web.app import PAGE

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
data = pytest.importorskip("skimage.data", reason="needs scikit-image's portrait")

pytestmark = pytest.mark.browser

CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
USUAL = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REFUSED = ("Failed to load resource", "WebSocket connection to")  # the browser's console, of an answer that is not 200
HIDE = """(hidden) => { Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                        document.dispatchEvent(new Event("visibilitychange")); }"""
# Where the middle of the square is, in widths and heights of the picture; asked for at once, as the page still scrolls.
MIDDLE = """() => {
    const [box, picture] = [".box", ".frame img"].map((each) => document.querySelector(each).getBoundingClientRect());
    return [(box.x + box.width / 2 - picture.x) / picture.width, (box.y + box.height / 2 - picture.y) / picture.height];
}"""


@pytest.fixture(scope="module")
def portrait(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "astronaut.jpg"
    cv2.imwrite(str(path), data.astronaut()[:, :, ::-1])
    return path


@pytest.fixture(scope="module")
def film(portrait) -> Path:
    """Return what the fake camera shows: the portrait, 640 x 480, as YUV4MPEG2."""
    square = cv2.resize(cv2.imread(str(portrait)), (480, 480))
    frame = cv2.copyMakeBorder(square, 0, 0, 80, 80, cv2.BORDER_REPLICATE)
    planes = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes()
    path = portrait.with_name("camera.y4m")
    path.write_bytes(b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n" + 15 * (b"FRAME\n" + planes))
    return path


def serve(folder: Path, *options: str, command=("ferkit", "serve"), below=""):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}{below}"
    with (folder / "service.log").open("wb") as log:
        words = [sys.executable, "-m", *command, "--port", str(port), *options]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}/ready", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (folder / "service.log").read_text()
                time.sleep(0.1)
        else:
            pytest.fail((folder / "service.log").read_text())
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    yield from serve(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def engine():
    with playwright.sync_playwright() as started:
        yield started.chromium


@pytest.fixture(scope="module")
def launch(engine):
    path = os.environ.get("FERKIT_CHROMIUM") or next(filter(None, map(shutil.which, USUAL)), None)
    opened = []

    def start(*options: str):
        if path is None and not Path(engine.executable_path).exists():
            pytest.skip("no Chromium; FERKIT_CHROMIUM may name one")
        opened.append(engine.launch(executable_path=path, args=["--no-sandbox", *options]))
        return opened[-1]

    yield start
    for browser in opened:
        browser.close()


@pytest.fixture(scope="module")
def browser(launch, film):
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )


@pytest.fixture
def visit(browser, address):
    """Return a function that opens the page; afterwards nothing may have gone elsewhere or failed in the page."""
    contexts, hosts, complaints = [], set(), []

    def opened(where=address, browser=browser, width=1280, scheme="light", **settings):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda stream: hosts.add(urlsplit(stream.url).netloc))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
        page.goto(where)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {host for host in hosts if host} <= {urlsplit(address).netloc} | {
        urlsplit(page_address).netloc for page_address in getattr(opened, "also", [])
    }
    assert [each for each in complaints if not each.startswith(REFUSED)] == []


def in_page(page, kind: str, picture: Path, name: str) -> None:
    """Drop or paste a picture, as an event that carries a file."""
    page.evaluate(
        """([kind, bytes, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
            const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.getElementById("drop").dispatchEvent(event);
        }""",
        [kind, list(picture.read_bytes()), name],
    )


def live(page) -> None:
    page.click("#camera-start")
    page.wait_for_selector("#camera-faces .face", timeout=20_000)


def test_a_chosen_photo_shows_a_happy_face_in_its_place(visit, portrait):
    page = visit()
    page.set_input_files("#files", portrait)
    assert page.inner_text(".face strong") == "happy"
    assert page.locator(".face .bars li").count() == len(CLASSES)
    across, down = page.evaluate(MIDDLE)
    assert 0.38 < across < 0.5  # where her face is
    assert 0.1 < down < 0.35
    assert re.match(r"astronaut.jpg: 1 face: happy \d+ %", page.get_attribute(".frame img", "alt"))
    page.wait_for_selector("#status:has-text('Photo 1 of 1')", state="attached")


def test_several_photos_are_read_and_one_that_is_none_stops_nobody(visit, portrait, tmp_path):
    text, both = tmp_path / "text.jpg", tmp_path / "both.png"
    text.write_text("this is no picture")
    picture = cv2.imread(str(portrait))
    cv2.imwrite(str(both), np.concatenate([picture, picture[:, ::-1]], axis=1))
    page = visit()
    page.set_input_files("#files", [portrait, text, both])
    page.wait_for_selector(".photo:nth-child(3) .face:nth-child(2)")
    assert page.inner_text(".photo:nth-child(2) .state.bad").startswith("text.jpg: expected JPEG")
    assert page.inner_text("#photos-progress") == "3 photos, 3 faces, 1 could not be read"
    page.click(".photo:nth-child(2) button:has-text('Remove')")
    assert page.inner_text("#photos-progress") == "2 photos, 3 faces"
    page.click("#photos-clear")
    assert page.locator("#photos").is_hidden()


@pytest.mark.parametrize(("kind", "shown"), [("drop", "dropped.jpg"), ("paste", "dropped.jpg")], ids=["drop", "paste"])
def test_a_photo_may_be_dropped_and_pasted(visit, portrait, kind, shown):
    page = visit()
    in_page(page, kind, portrait, "dropped.jpg")
    assert page.inner_text(".face strong") == "happy"
    assert page.inner_text(".photo h3") == shown


def test_a_rotated_photo_has_its_square_on_the_face(visit, portrait, tmp_path):
    image = pytest.importorskip("PIL.Image")
    with image.open(portrait) as upright:
        exif = upright.getexif()
        exif[0x0112] = 6  # to be turned right by a quarter
        upright.rotate(90, expand=True).crop((0, 0, 512, 400)).save(tmp_path / "turned.jpg", exif=exif)
    page = visit()
    page.set_input_files("#files", tmp_path / "turned.jpg")
    page.wait_for_function(
        """() => {
            const [box, picture] = [".box", ".frame img"].map(n => document.querySelector(n)?.getBoundingClientRect());
            return box && picture && picture.height > picture.width
                && (box.y + box.height / 2 - picture.y) / picture.height < 0.35;
        }""",
        timeout=10_000,
    )
    assert page.inner_text(".face strong") == "happy"


def test_confidence_below_what_is_asked_for_is_uncertain_at_once(visit, portrait):
    page = visit()
    page.set_input_files("#files", portrait)
    assert page.inner_text(".face strong") == "happy"
    page.focus("#confidence")
    page.keyboard.press("End")
    assert page.inner_text("#confidence-value") == "99 %"
    assert page.inner_text(".face strong") == "uncertain"
    page.keyboard.press("Home")
    assert page.inner_text(".face strong") == "happy"


def test_csv_and_annotated_png_hold_what_was_read(visit, portrait, tmp_path):
    tricky = tmp_path / '=1+2, "me".jpg'
    shutil.copy(portrait, tricky)
    page = visit()
    page.set_input_files("#files", tricky)
    page.wait_for_selector(".face")
    with page.expect_download() as csv_file:
        page.click("#photos-csv")
    content = Path(csv_file.value.path()).read_bytes().decode()
    assert content.endswith("\r\n")
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    assert list(row) == ["file", "x", "y", "size", "angle", "expression", "confidence", *CLASSES]
    assert row["file"] == "'" + tricky.name  # a spreadsheet shows it and does not compute it
    assert row["expression"] == "happy"
    assert float(row["happy"]) == float(row["confidence"])
    assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1, abs=1e-4)
    with page.expect_download() as png_file:
        page.click("button:has-text('Annotated PNG')")
    drawn = cv2.imread(str(png_file.value.path()))
    assert png_file.value.suggested_filename.endswith("-annotated.png")
    assert drawn.shape == (512, 512, 3)
    changed = np.abs(drawn.astype(int) - cv2.imread(str(portrait))).max(axis=2) > 60
    y, x = int(row["y"]), int(row["x"])
    assert changed[y : y + int(row["size"]), x - 1 : x + 2].mean() > 0.3  # the left edge of the square


def test_the_camera_is_read_live_and_let_go(visit):
    page = visit()
    live(page)
    assert page.inner_text("#camera-faces .face strong") == "happy"
    page.wait_for_selector("#timeline-text:has-text('happy 100 % of the time')")
    painted = page.evaluate(
        """() => { const c = document.getElementById("timeline");
                   const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0;
                   for (let i = 0; i < d.length; i += 4) n += d[i] === 240 && d[i+1] === 228 && d[i+2] === 66;
                   return n; }"""
    )
    assert painted > 100  # the yellow of happy
    assert "happy" in page.get_attribute("#timeline", "aria-label")
    page.evaluate("window.held = document.getElementById('video').srcObject.getTracks()")
    page.click("#camera-stop")
    assert page.evaluate("window.held.map((track) => track.readyState)") == ["ended"]
    assert page.evaluate("document.getElementById('video').srcObject") is None
    assert "switched off" in page.inner_text("#camera-state")
    with page.expect_download() as file:
        page.click("#camera-csv")
    rows = list(csv.DictReader(io.StringIO(Path(file.value.path()).read_bytes().decode(), newline="")))
    assert list(rows[0]) == ["seconds", "track", "x", "y", "size", "angle", "expression", "confidence", *CLASSES]
    seconds = [float(row["seconds"]) for row in rows]
    assert len(rows) >= 3
    assert seconds == sorted(seconds)
    page.click("#camera-start")  # and once more
    page.wait_for_selector("#camera-faces .face", timeout=20_000)


def test_nothing_is_sent_while_the_tab_is_hidden(visit):
    page = visit()
    page.evaluate(
        """() => { const send = WebSocket.prototype.send; window.sent = 0;
                   WebSocket.prototype.send = function (data) { window.sent += 1; send.call(this, data); }; }"""
    )
    live(page)
    page.evaluate(HIDE, True)
    page.wait_for_timeout(500)  # what was under way
    before = page.evaluate("sent")
    assert before > 0
    page.wait_for_timeout(800)
    assert page.evaluate("sent") == before
    assert "Paused" in page.inner_text("#camera-state")
    page.evaluate(HIDE, False)
    page.wait_for_timeout(1500)
    assert page.evaluate("sent") > before


def test_on_a_dead_line_no_old_square_stays_and_the_stream_begins_anew(visit):
    page = visit()
    live(page)
    page.wait_for_selector("#camera-boxes *", state="attached")
    page.evaluate(
        """() => { const { send, close } = WebSocket.prototype; // of which nothing reaches the other side
                   Object.assign(WebSocket.prototype, { send: () => {}, close: () => {} });
                   window.mended = () => Object.assign(WebSocket.prototype, { send, close }); }"""
    )
    page.wait_for_selector("#camera-state:has-text('The connection is lost. Trying again')", timeout=20_000)
    assert page.locator("#camera-boxes *").count() == 0
    page.evaluate("window.mended()")
    page.wait_for_selector("#camera-boxes *", state="attached", timeout=20_000)


def test_a_denied_camera_is_a_sentence_that_says_what_to_do(visit, launch):
    page = visit(browser=launch("--use-fake-device-for-media-stream", "--deny-permission-prompts"))
    page.click("#camera-start")
    page.wait_for_selector("#problem:not([hidden])")
    assert re.search("camera.*(Allow it|Connect one).*choose photos", page.inner_text("#problem"))
    assert page.locator("#camera-start").is_enabled()


def test_a_key_is_asked_for_only_when_the_server_wants_one(visit, portrait, tmp_path):
    (tmp_path / "keys").write_text("a-key-of-twenty-four-letters-or-more\n")
    (tmp_path / "keys").chmod(0o600)
    page = visit()
    assert page.locator("#key-form").is_hidden()
    for locked in serve(tmp_path, "--api-key-file", str(tmp_path / "keys")):
        visit.also = [locked]
        page = visit(locked)
        page.wait_for_selector("#key-form:not([hidden])")
        page.set_input_files("#files", portrait)
        page.fill("#key", "wrong-key-of-twenty-four-letters-or-more")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-form:not([hidden])")
        page.fill("#key", "a-key-of-twenty-four-letters-or-more")
        page.keyboard.press("Enter")
        assert page.inner_text(".face strong") == "happy"
        page.wait_for_selector("#model dl")
        live(page)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            {
                "headers": {"Retry-After": "1"},
                "content_type": "application/json",
                "body": '{"code": "busy", "error": "Too much is waiting already."}',
            },
            id="the service",
        ),
        pytest.param({"content_type": "text/html", "body": "<h1>503</h1>"}, id="a proxy that says no more"),
    ],
)
def test_a_busy_server_is_asked_again_when_it_said(visit, portrait, answer):
    page = visit()
    answers = []

    def busy(route):
        answers.append(time.monotonic())
        if len(answers) > 1:
            route.fallback()
        else:
            route.fulfill(status=503, **answer)

    page.route("**/v1/recognize?*", busy)
    page.set_input_files("#files", portrait)
    assert page.inner_text(".face strong") == "happy"
    assert answers[1] - answers[0] > 0.9


def test_a_lost_server_is_a_sentence_and_can_be_tried_again(visit, portrait):
    page = visit()
    page.wait_for_selector("#model dl")
    page.route("**/v1/recognize?*", lambda route: route.abort())
    page.set_input_files("#files", portrait)
    assert "cannot be reached" in page.inner_text(".state.bad")
    page.unroute("**/v1/recognize?*")
    page.click("button:has-text('Try again')")
    assert page.inner_text(".face strong") == "happy"


def pressed_until_chosen(page, key, file):
    """Press ``key`` until the file chooser opens: Chromium drops one now and then while it believes another is open."""
    for attempt in range(4):
        try:
            with page.expect_file_chooser(timeout=4000) as chooser:
                page.keyboard.press(key)
        except playwright.TimeoutError:
            assert attempt < 3, f"{key} never opened the file chooser"
        else:
            chooser.value.set_files(file)
            return


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_keyboard_is_enough(visit, portrait, key):
    page = visit()
    page.wait_for_selector("#model dl")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if seen[-1] == "choose":
            break
    assert seen[0] == "skip"
    assert seen[-1] == "choose"
    pressed_until_chosen(page, key, portrait)
    page.wait_for_selector(".face")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "camera-start"
    page.keyboard.press("Enter")
    page.wait_for_selector("#camera-faces .face", timeout=20_000)
    assert page.evaluate("document.activeElement.id") == "camera-stop"
    page.keyboard.press("Enter")
    assert page.locator("#camera-stop").is_hidden()


def test_dark_and_light_follow_the_system(visit):
    shades = {}
    for scheme in ("light", "dark"):
        page = visit(scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert shades["dark"] < 150 < 600 < shades["light"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_state_fits_and_is_accessible(visit, portrait, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    # axe is put in by the test, against the page's own policy
    page = visit(width=width, scheme=scheme, bypass_csp=True, reduced_motion="reduce")

    def check(state: str) -> None:
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{state}: {wide} px"
        small = page.evaluate(
            """[...document.querySelectorAll("button, select, input, summary, nav a")]
               .filter((e) => e.offsetParent && (e.offsetHeight < 24 || e.offsetWidth < 24)).map((e) => e.outerHTML)"""
        )
        assert small == [], state
        found = [v for v in axe.run(page).response["violations"] if v["impact"] in {"serious", "critical"}]
        assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in found] == [], state

    page.wait_for_selector("#model dl")
    page.click("summary")
    check("empty")
    page.set_input_files("#files", portrait)
    page.wait_for_selector(".face")
    check("result")
    live(page)
    check("camera")


def cameras(page, *delays: int) -> None:
    """Give the page three cameras; the first one asked for starts after ``delays[0]`` milliseconds, and so on."""
    page.evaluate(
        """(delays) => {
            window.streams = [];
            const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async () => {
                await new Promise((resolve) => setTimeout(resolve, delays.shift() ?? 0));
                streams.push(await given({ video: true }));
                return streams.at(-1);
            };
            navigator.mediaDevices.enumerateDevices = async () =>
                ["one", "two", "three"].map((deviceId) => ({ kind: "videoinput", deviceId, label: deviceId }));
        }""",
        list(delays),
    )


def running(page) -> list[bool]:
    return page.evaluate("streams.map((stream) => stream.active)")


def test_a_camera_that_is_stopped_while_another_starts_stays_off(visit):
    page = visit()
    cameras(page, 0, 600)
    live(page)
    page.select_option("#device", "two")
    page.click("#camera-stop")
    page.wait_for_function("() => streams.length === 2")
    page.wait_for_timeout(300)
    assert running(page) == [False, False]
    assert page.locator("#camera-stop").is_hidden()


def test_of_two_cameras_chosen_in_a_row_the_last_one_runs_alone(visit):
    page = visit()
    cameras(page, 0, 900, 300)
    live(page)
    page.select_option("#device", "two")
    page.select_option("#device", "three")
    page.wait_for_function("() => streams.length === 3")
    page.wait_for_timeout(300)
    assert running(page) == [False, True, False]  # the second one that started is the third that was asked for
    page.click("#camera-stop")
    assert running(page) == [False, False, False]


def test_a_tab_that_is_hidden_while_the_camera_starts_goes_on_afterwards(visit):
    page = visit()
    page.evaluate(
        """() => { const play = HTMLMediaElement.prototype.play;
                   HTMLMediaElement.prototype.play = async function () {
                       await new Promise((resolve) => setTimeout(resolve, 500)); return play.call(this); }; }"""
    )
    page.click("#camera-start")
    page.wait_for_function("() => document.getElementById('video').srcObject")
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    assert page.wait_for_selector("#camera-faces .face", timeout=20_000)


def test_the_camera_opens_one_stream_once_it_has_the_key_wherever_that_was_looked_up(visit, tmp_path):
    (tmp_path / "keys").write_text("a-key-of-twenty-four-letters-or-more\n")
    (tmp_path / "keys").chmod(0o600)
    sockets = []
    for locked in serve(tmp_path, "--api-key-file", str(tmp_path / "keys"), "--max-streams", "1"):
        visit.also = [locked]
        page = visit(locked)
        page.on("websocket", lambda stream: sockets.append(stream.url))
        page.click("#camera-start")
        page.wait_for_selector("#camera-state:has-text('Waiting for the key.')", timeout=10_000)
        page.evaluate(HIDE, True)
        page.evaluate(HIDE, False)
        page.wait_for_timeout(500)
        page.fill("#key", "a-key-of-twenty-four-letters-or-more")
        page.keyboard.press("Enter")
        page.wait_for_selector("#camera-faces .face", timeout=20_000)
        page.click("#camera-stop")
        assert len(sockets) == 2  # without the key, and with it


def test_what_goes_wrong_is_said_where_it_is_seen(visit, portrait):
    page = visit()
    page.set_input_files("#files", [portrait] * 3)
    last = page.locator(".photo:nth-child(3)")
    last.locator(".face").wait_for()
    page.route("**/annotated?*", lambda route: route.abort())
    last.locator("button:has-text('Annotated PNG')").click()
    last.locator(".state.bad:has-text('cannot be reached')").wait_for()
    page.evaluate("scrollTo({ top: document.body.scrollHeight, behavior: 'instant' })")
    page.evaluate("document.body.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, cancelable: true }))")
    assert page.wait_for_function(
        """() => { const at = document.getElementById("problem").getBoundingClientRect();
                   return at.height && at.top >= 0 && at.bottom <= innerHeight; }""",
        timeout=5000,
    )


def test_a_keyboard_keeps_its_place(visit, launch, portrait):
    page = visit()
    page.set_input_files("#files", portrait)
    page.wait_for_selector(".face")
    page.focus("button:has-text('Annotated PNG')")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert page.inner_text(":focus") == "Annotated PNG"
    cameras(page)
    live(page)
    page.focus("#device")
    page.select_option("#device", "two")
    page.wait_for_function("() => streams.length === 2")
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.id") == "device"
    page.evaluate(
        """() => {
            navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotReadableError"); };
        }"""
    )
    page.select_option("#device", "one")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "camera-start"  # the list of cameras is hidden now
    page = visit(browser=launch("--use-fake-device-for-media-stream", "--deny-permission-prompts"))
    page.focus("#camera-start")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "camera-start"


def test_a_file_that_has_changed_is_said_to_have(visit, portrait, tmp_path):
    gone = tmp_path / "gone.jpg"
    shutil.copy(portrait, gone)
    page = visit()
    page.wait_for_selector("#model dl")
    page.route("**/v1/recognize?*", lambda route: (gone.write_bytes(b"another file"), route.fallback()))
    page.set_input_files("#files", [portrait, gone])
    assert "cannot open the file" in page.inner_text(".photo:nth-child(2) .state.bad")


def test_a_photo_of_too_many_pixels_is_to_be_made_smaller(visit, tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((7100, 7100), np.uint8))
    page = visit()
    page.set_input_files("#files", tmp_path / "large.png")
    assert "smaller" in page.inner_text(".photo .state.bad")


def test_only_what_the_service_opens_is_offered_for_choosing(visit):
    """So a phone turns its HEIC into JPEG, which it does not where HEIC may be chosen."""
    kinds = ("jpeg", "png", "webp", "gif", "bmp", "tiff")
    assert visit().get_attribute("#files", "accept") == ",".join(f"image/{kind}" for kind in kinds)


def test_the_timeline_is_sharp(visit):
    page = visit(device_scale_factor=2)
    live(page)
    size = page.evaluate(
        """() => { const c = document.getElementById("timeline");
                   return [c.width, c.height, c.clientWidth, c.clientHeight]; }"""
    )
    assert size[:2] == [2 * size[2], 2 * size[3]]


def test_the_last_faces_of_the_camera_follow_the_slider_too(visit):
    page = visit()
    live(page)
    page.click("#camera-stop")
    page.focus("#confidence")
    page.keyboard.press("End")
    assert page.inner_text("#camera-faces .face strong") == "uncertain"


def test_a_photo_added_later_comes_into_sight(visit, portrait):
    page = visit()
    page.set_input_files("#files", [portrait] * 3)
    page.wait_for_selector(".photo:nth-child(3) .face")
    page.set_input_files("#files", portrait)
    page.wait_for_selector(".photo:nth-child(4) .face")
    assert page.wait_for_function(
        """() => { const at = document.querySelector(".photo:nth-child(4)").getBoundingClientRect();
                   return at.top > -5 && at.top < innerHeight / 2; }""",
        timeout=5000,
    )


def test_a_picture_the_browser_shows_lying_has_no_square_in_the_wrong_place(visit, portrait, tmp_path):
    image = pytest.importorskip("PIL.Image")
    with image.open(portrait) as upright:
        exif = upright.getexif()
        exif[0x0112] = 6  # which Chromium does not look at in WebP
        upright.crop((0, 0, 512, 400)).rotate(90, expand=True).save(tmp_path / "turned.webp", exif=exif)
    page = visit()
    page.set_input_files("#files", tmp_path / "turned.webp")
    assert page.inner_text(".face strong") == "happy"
    lying = page.evaluate(
        "(() => { const i = document.querySelector('.frame img'); return i.naturalHeight > i.naturalWidth })()"
    )
    page.wait_for_timeout(200)
    assert page.locator(".photo .boxes").is_hidden() == lying


def test_pointing_at_a_square_or_its_card_marks_both(visit, portrait, tmp_path):
    both = tmp_path / "both.png"
    picture = cv2.imread(str(portrait))
    cv2.imwrite(str(both), np.concatenate([picture, picture[:, ::-1]], axis=1))
    page = visit()
    page.set_input_files("#files", both)
    page.wait_for_selector(".face:nth-child(2)")
    for part in (".face", ".box"):
        page.hover(f"{part}:nth-child(2)")
        assert page.locator(".face.strong, .box.strong").count() == 2, part


def test_a_busy_server_is_said_to_be_so_where_its_card_would_stand(visit):
    page = visit()
    refusal = '{"code": "too_many_requests", "error": "Expected at most 1 requests a minute."}'
    page.route("**/v1/model", lambda route: route.fulfill(status=429, headers={"Retry-After": "7"}, body=refusal))
    page.reload()
    assert page.wait_for_selector("#model:has-text('Trying again in 7 seconds')", timeout=5000)


def test_a_wide_camera_on_a_narrow_screen_is_as_high_as_its_picture(visit):
    page = visit(width=260)  # as much too narrow for 4 : 3 as a small phone is for 16 : 9
    live(page)
    wide, high = page.evaluate(
        "(() => { const v = document.getElementById('video'); return [v.clientWidth, v.clientHeight]; })()"
    )
    assert high == pytest.approx(wide * 480 / 640, abs=1)


def test_an_application_may_have_it_all_below_a_path_of_its_own(visit, portrait, tmp_path):
    command = ("uvicorn", "--app-dir", str(Path(mounted.__file__).parent), "--factory", "mounted:application")
    for address in serve(tmp_path, command=command, below="/faces"):
        visit.also = [address]
        page = visit(f"{address}/")
        page.wait_for_selector("#model dl")
        page.set_input_files("#files", portrait)
        assert page.inner_text(".face strong") == "happy"
        live(page)
        page.click("text=REST interface")
        page.get_by_text("/v1/recognize/annotated").wait_for()
        assert page.url == f"{address}/docs"
        page.close()


# ------------------------------------------------------------------------------------------------------ documentation


def test_the_documentation_is_drawn_without_an_outside_address(browser, address):
    page = browser.new_page()
    problems, asked = [], []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/docs")
    page.get_by_text("/v1/recognize/annotated").wait_for()
    assert problems == []
    assert all(url.startswith((address, "data:")) for url in asked)
    page.close()


@pytest.mark.parametrize(("least", "shown"), [("0.4", "40 %"), ("0.996", "99 %"), ("0.123", "12 %")])
def test_the_slider_begins_at_the_services_own_confidence_which_holds_exactly(visit, portrait, tmp_path, least, shown):
    for address in serve(tmp_path, "--min-confidence", least):
        visit.also = [address]
        page = visit(address)
        page.wait_for_selector("#model dl")
        assert page.inner_text("#confidence-value") == shown
        with page.expect_request(f"**/v1/recognize?min_confidence={least}"):
            page.set_input_files("#files", portrait)
        page.wait_for_selector(".face strong")
        page.close()


def test_a_camera_of_too_large_pictures_is_told_to_be_one(visit, tmp_path):
    for address in serve(tmp_path, "--max-frame", "3000"):
        visit.also = [address]
        page = visit(address)
        page.click("#camera-start")
        assert page.wait_for_selector("text=larger than the server takes", timeout=20_000).is_visible()
        page.close()


def use_up(address):
    """Make requests until the service takes no more for a while."""
    left = 0
    while left < 10:
        time.sleep(left / 2)
        try:
            urllib.request.urlopen(f"{address}/v1/model", timeout=5).close()
        except urllib.error.HTTPError as refused:
            left = int(refused.headers["Retry-After"])


def test_a_camera_that_is_started_too_often_is_told_so_and_when_it_goes_on(visit, tmp_path):
    for address in serve(tmp_path, "--per-minute", "1"):
        visit.also = [address]
        page = visit(address)
        use_up(address)
        page.click("#camera-start")
        words = r"text=/^Expected at most 1 requests a minute\. Trying again in \d+ seconds\.$/"
        assert page.wait_for_selector(words, timeout=20_000).is_visible()
        page.close()


@pytest.mark.parametrize("status", [403, 421])
def test_a_camera_that_may_not_be_read_is_told_why(visit, tmp_path, status):
    refusal = {"error": "This service does not answer to the name."}
    for address in serve(tmp_path, "--per-minute", "1"):
        visit.also = [address]
        page = visit(address)
        use_up(address)
        page.route("**/v1/model", lambda route: route.fulfill(status=status, json=refusal))
        page.click("#camera-start")
        assert page.wait_for_selector(f"#problem:text-is('{refusal['error']}')", timeout=20_000).is_visible()
        page.close()


def test_a_csv_that_has_not_all_rows_of_the_camera_says_so(visit):
    page = visit()
    source = (PAGE / "camera.js").read_text()
    few = source.replace("MOST_ROWS = 100_000", "MOST_ROWS = 3")
    page.route("**/page/camera.js", lambda route: route.fulfill(body=few, content_type="text/javascript"))
    page.reload()
    live(page)
    page.wait_for_timeout(2000)
    with page.expect_download():
        page.click("#camera-csv")
    assert re.fullmatch(r"The CSV has the last 3 rows\. \d+ rows? before them had to go\.", page.inner_text("#problem"))


@pytest.mark.parametrize(
    ("model", "right"), [("compact", "their label has it"), ("compact-votes", "people named them most often")]
)
def test_the_page_says_by_what_its_network_was_measured(browser, tmp_path, model, right):
    card = json.loads((FOLDER / f"{model}.json").read_text(encoding="utf-8"))["metrics"]["PrivateTest"]
    alone = card.get("by_votes", card)["without_copies"]
    for address in serve(tmp_path, "--model", model):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#model dl")
        facts = re.sub(r"\s+", " ", page.inner_text("#model .facts"))
        assert facts.startswith(f"{100 * alone['accuracy']:.0f} of 100 faces are named as {right}")
        page.click("#model summary")
        rows = page.locator("#model tbody th").all_inner_texts()
        assert ("PrivateTest, by FER+ votes, without copies" in rows) == (model == "compact-votes")
        page.close()
