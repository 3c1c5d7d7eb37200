import html.parser
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from ferkit.data import Faces, Fer2013
from ferkit.errors import RunError
from ferkit.files import write_text
from ferkit.report.page import SAMPLES, choose_samples, write_page
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe
from ferkit.training.run import train

ANGRY_TO_SAD = (0, 2, 3, 4)


def make_data(usage=(40, 20, 20), classes=range(7)):
    """Return random faces; the number of each split, and the classes they have in turn."""
    count = sum(usage)
    images = np.random.default_rng(3).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    labels = np.resize(np.array(classes, np.int64), count)
    return Fer2013(faces=Faces(images, labels), splits=np.repeat([0, 1, 2], usage).astype(np.uint8), source="made up")


def make_run(path, data, **settings):
    recipe = Recipe(model="layers", options={"depth": 4}, epochs=1, precision="float32", device="cpu", **settings)
    for _ in train(recipe, data, path, workers=0):
        pass
    return path


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    return make_run(tmp_path_factory.mktemp("finished") / "run", data)


@pytest.fixture(scope="module")
def page(finished, data, tmp_path_factory):
    """Return a page that the tests only read."""
    return write_page(shutil.copytree(finished, tmp_path_factory.mktemp("page") / "run"), data)


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def change(run, where, value):
    """Write ``value`` into ``result.json`` at the dotted path ``where``."""
    result = RunFolder(run).read_result()
    *parents, last = where.split(".")
    inner = result
    for key in parents:
        inner = inner[key]
    inner[last] = value
    write_text(run / "result.json", json.dumps(result))


def text_of(page):
    """Return what a reader sees: no markup, single spaces."""
    inside = re.sub(r"<style>.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    plain = html.unescape(re.sub(r"<[^>]*>", " ", inside))
    return " ".join(plain.split())


class Outline(html.parser.HTMLParser):
    """Collects attributes, ids and headings, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, page):
        super().__init__()
        self.open, self.attributes, self.headings = [], [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_in_the_run_folder_beside_the_confusion_matrix(page):
    assert page.name == "report.html"
    assert cv2.imread(str(page.parent / "confusion.png")).shape[:2] == (800, 800)
    assert not list(page.parent.glob(".*.part"))


def test_the_page_asks_for_nothing_from_outside(page):
    source = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|ftp:|\"//|@import|<script|\bon\w+=", source)
    links = [value for _, name, value in Outline(page).attributes if name in {"src", "href", "xlink:href", "action"}]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", source))


def test_the_page_is_well_formed_and_can_be_read_aloud(page):
    outline = Outline(page)
    assert outline.open == []
    assert ("html", "lang", "en") in outline.attributes
    assert outline.headings[0] == "h1"
    assert set(outline.headings[1:]) == {"h2"}
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    referred = {value for _, name, value in outline.attributes if name == "aria-labelledby"}
    assert referred <= set(ids)
    images = sum(name == "src" for _, name, _ in outline.attributes)
    assert sum(tag == "img" and name == "alt" and bool(value) for tag, name, value in outline.attributes) == images > 0


def test_the_page_fits_a_phone_and_follows_the_dark_mode(page):
    source = page.read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    assert "prefers-color-scheme: dark" in source
    for table in source.split("<table")[:-1]:
        assert re.search(r'<div class="scroll"[^>]*>\s*$', table)


def test_the_page_says_what_result_json_says(page):
    result = RunFolder(page.parent).read_result()
    shown = text_of(page)
    for evaluation in result["evaluation"].values():
        low, high = evaluation["interval"]
        assert f"{100 * evaluation['accuracy']:.2f} %" in shown
        assert f"{100 * low:.2f} to {100 * high:.2f} %" in shown
        assert f"{evaluation['loss']:.4f}" in shown
    assert "accuracy on PrivateTest" in shown
    assert "PublicTest validated, after each epoch; PrivateTest tested, when training was over" in shown
    assert "without copies of Training images" in shown
    for value in (result["weights_sha256"], result["device"], result["versions"]["torch"], "depth 4", "seed 0"):
        assert value in shown


def test_the_page_says_whether_validation_chose_the_weights(page, run, data):
    assert "so the validation split chose nothing" in text_of(page)
    result = RunFolder(run).read_result()
    result["recipe"]["epochs"], result["epochs"] = 2 * len(result["epochs"]), 2 * result["epochs"]
    write_text(run / "result.json", json.dumps(result))
    flattered = "the best of 2 on the validation split, which flatters the validation numbers, not the test numbers"
    assert flattered in text_of(write_page(run, data))
    change(run, "recipe.keep", "last")
    assert "so the validation split chose nothing" in text_of(write_page(run, data))


def test_markup_in_a_value_is_shown_and_not_obeyed(run, data):
    places = ["recipe.augmentation", "recipe.options.depth", "device", "versions.torch", "commit"]
    for place in places:
        change(run, place, f"<script>alert('{place} & more')</script>")
    page = write_page(run, data)
    source = page.read_text(encoding="utf-8")
    assert "<script" not in source
    assert all(f"<script>alert('{place} & more')</script>" in html.unescape(source) for place in places)
    assert Outline(page).open == []


def test_writing_again_gives_the_same_bytes(page, run, data):
    assert write_page(run, data).read_bytes() == page.read_bytes()
    assert (run / "confusion.png").read_bytes() == (page.parent / "confusion.png").read_bytes()


def test_without_faces_to_test_on_the_page_shows_validation_and_says_so(tmp_path):
    data = make_data((40, 20, 0))
    run = make_run(tmp_path / "run", data)
    shown = text_of(write_page(run, data))
    assert "This run has no test number: the data set holds no PrivateTest faces." in shown
    assert "accuracy on PublicTest" in shown
    assert f"{100 * RunFolder(run).read_result()['evaluation']['validation']['accuracy']:.2f} %" in shown
    assert "without copies PublicTest" in shown


def test_classes_without_faces_or_predictions_leave_gaps_and_not_errors(tmp_path):
    data = make_data(classes=ANGRY_TO_SAD)
    run = make_run(tmp_path / "run", data, protocol="report", keep="last")
    shown = text_of(write_page(run, data))
    assert "none right disgust" in shown
    assert "none wrong disgust" in shown
    assert "accuracy on PublicTest" in shown


def test_splits_of_copies_alone_have_no_number_without_them(run, data):
    result = RunFolder(run).read_result()
    for name in ("validation", "test"):
        del result["evaluation"][f"{name}_without_copies"]
    write_text(run / "result.json", json.dumps(result))
    assert "without copies" not in text_of(write_page(run, data))


def test_a_run_that_is_not_finished_is_named_in_one_line(run, data):
    (run / "result.json").unlink()
    with pytest.raises(RunError, match=r"^\S+run: the run is not finished; go on with: ferkit train --resume [^\n]*$"):
        write_page(run, data)
    assert not (run / "report.html").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path, data):
    with pytest.raises(RunError, match=r"got one without recipe\.toml"):
        write_page(tmp_path, data)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}"], ids=["empty", "cut", "list", "null", "no schema"])
def test_a_damaged_result_is_named_in_one_line(run, data, content):
    write_text(run / "result.json", content)
    with pytest.raises(RunError, match=r"^[^\n]*result\.json[^\n]*$"):
        write_page(run, data)


def test_a_result_of_another_schema_is_refused(run, data):
    change(run, "schema", 99)
    with pytest.raises(RunError, match=r"not the result of a run \(schema: input should be 1, got 99\)"):
        write_page(run, data)


def test_a_folder_that_cannot_be_written_to_is_named(run, data):
    (run / "report.html").mkdir()
    with pytest.raises(RunError, match=r"run: cannot be written to \("):
        write_page(run, data)


def test_other_faces_than_those_of_the_evaluation_are_refused(run):
    with pytest.raises(RunError, match="evaluated on other PrivateTest faces than those of made up"):
        write_page(run, make_data((40, 20, 19)))


def log_probs_of(predicted, probability):
    """Return log-probabilities whose largest is ``probability`` at ``predicted``."""
    probability = np.array(probability)
    probs = np.repeat((1 - probability)[:, None] / 6, 7, axis=1)
    probs[np.arange(len(predicted)), predicted] = probability
    return np.log(probs).astype(np.float32)


def test_samples_are_the_most_sure_right_the_median_right_and_the_most_sure_wrong():
    faces = make_data((6, 0, 0), classes=[3]).faces
    log_probs = log_probs_of([3, 3, 3, 0, 5, 3], [0.5, 0.9, 0.7, 0.6, 0.8, 0.7])
    rows = choose_samples(faces, log_probs)
    assert [len(row) for row in rows] == [len(SAMPLES)] * 7
    assert [sample.predicted for sample in rows[3]] == ["happy", "happy", "surprise"]
    assert [sample.probability for sample in rows[3]] == pytest.approx([0.9, 0.7, 0.8], abs=1e-4)
    assert all(sample.true == "happy" for sample in rows[3])
    assert all(sample is None for n, row in enumerate(rows) if n != 3 for sample in row)


def test_a_single_face_read_right_is_shown_once():
    first, middle, wrong = choose_samples(make_data((1, 0, 0), classes=[2]).faces, log_probs_of([2], [0.4]))[2]
    assert first is not None
    assert middle is None
    assert wrong is None


def test_no_faces_give_no_samples():
    rows = choose_samples(make_data((0, 0, 0)).faces, np.zeros((0, 7), np.float32))
    assert rows == [[None] * len(SAMPLES)] * 7
