"""The embedded detector: what it makes of what its networks and its cascade say."""

import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from ferkit.errors import ImageError, ModelError
from ferkit.files import file_sha256
from ferkit.inference import places
from ferkit.inference.boxes import Box
from ferkit.inference.haar import CARD, NETWORKS, Haar
from ferkit.inference.images import read_image
from ferkit.inference.levels import stretched
from ferkit.inference.places import window
from ferkit.inference.weights import FOLDER


@pytest.fixture
def haar():
    return Haar()


class Network:
    """A network that answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def run(self, _, inputs):
        (given,) = inputs.values()
        self.asked.append(given)
        return [np.asarray(self.answer(given), np.float32)]


def says(score, right=0.0, down=0.0, larger=0.0, turn=0.0):
    return lambda windows: np.tile([score, right, down, larger, turn], (len(windows), 1))


def test_the_files_are_those_the_card_tells_of():
    card = json.loads((FOLDER / CARD).read_text(encoding="utf-8"))
    assert card["sha256"] == {name: file_sha256(FOLDER / name) for name in NETWORKS}


@pytest.mark.parametrize("name", [*NETWORKS, CARD])
@pytest.mark.parametrize("harm", ["missing", "cut off"])
def test_damaged_networks_are_told(tmp_path, name, harm):
    folder = tmp_path / "weights"
    shutil.copytree(FOLDER, folder)
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if harm == "cut off":
        (folder / name).write_bytes(content[:-9])
    with pytest.raises(ModelError, match=r"weights.*install ferkit again"):
        Haar(folder)


def test_an_opencv_without_its_cascade_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ImageError, match=r"haarcascade_frontalface_alt\.xml: OpenCV lacks its cascade"):
        Haar()


def test_an_opencv_of_which_only_the_folder_is_left_is_told(monkeypatch):
    monkeypatch.setattr(cv2, "__file__", None)
    with pytest.raises(ImageError, match=r"OpenCV is damaged: .* pip install --force-reinstall"):
        Haar()


def test_opencv_opens_no_file_of_the_cascade_itself(haar, monkeypatch):
    """On Windows it opens none below a folder with umlauts."""
    monkeypatch.setattr(cv2, "__file__", None)
    assert not haar._cascade().empty()


def test_what_the_first_network_sees_lies_where_it_is_in_the_picture(haar):
    """A bright disk is the only thing it likes."""

    def likes_light(grey):
        windows = np.lib.stride_tricks.sliding_window_view(grey[0].astype(float), (19, 19))[::4, ::4]
        ring = windows.sum((2, 3)) - 2 * windows[:, :, 5:14, 5:14].sum((2, 3))
        return -(ring[None] / 255)

    haar._propose = Network(likes_light)
    grey = np.zeros((300, 400), np.uint8)
    cv2.circle(grey, (270, 120), 30, 255, -1)
    (x, y, side, angle, _), *_ = haar.propose(grey, 30)
    assert (x, y) == pytest.approx((270, 120), abs=14)
    assert 60 < side < 200
    assert angle == 0


def test_faces_are_looked_for_from_the_smallest_size_to_the_whole_picture(haar):
    haar._propose = Network(lambda grey: np.full((1, (grey.shape[1] - 15) // 4, (grey.shape[2] - 15) // 4), -9.0))
    assert haar.propose(np.zeros((100, 220), np.uint8), 40).shape == (0, 5)
    sides = [22 * 220 / asked.shape[2] for asked in haar._propose.asked]
    assert sides[0] == pytest.approx(40, rel=0.02)
    assert 100 <= sides[-1] < 130
    assert np.allclose(np.divide(sides[1:], sides[:-1]), haar.STEP, rtol=0.03)
    assert all(asked.shape[1] >= 19 for asked in haar._propose.asked)


def test_only_the_likeliest_are_looked_at_closely(haar, monkeypatch):
    monkeypatch.setattr(Haar, "MOST", 3)

    def likes_every_eighth(grey):
        scores = np.full((1, (grey.shape[1] - 15) // 4, (grey.shape[2] - 15) // 4), -9.0)
        scores[:, :, ::8] = np.arange(scores[:, :, ::8].size).reshape(scores[:, :, ::8].shape)
        return scores

    haar._propose = Network(likes_every_eighth)
    grey = np.zeros((30, 2000), np.uint8)
    found = haar.propose(grey, 30)
    assert len(found) == 3
    assert (np.diff(found[:, 4]) <= 0).all()
    monkeypatch.setattr(Haar, "MOST", 300)
    assert haar.propose(grey, 30)[:3].tolist() == found.tolist()
    assert len(haar.propose(grey, 30)) > 20


@pytest.mark.parametrize("turned", [0.0, 90.0])
def test_a_place_is_moved_sized_and_turned_as_the_second_network_says(haar, turned):
    haar._refine = Network(says(3.0, right=0.1, down=0.2, larger=math.log(1.5), turn=0.25))
    before = np.array([[100.0, 80.0, 40.0, math.radians(turned), 0.0]])
    (after,) = haar.refine([np.zeros((200, 200), np.uint8)], before)
    x, y = (104, 88) if turned == 0 else (92, 84)  # right of a face turned by a quarter is below
    assert after.tolist() == pytest.approx([x, y, 60, math.radians(turned) + 0.25, 3.0])


def test_a_mirror_image_is_turned_the_other_way(haar):
    grey = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    haar._refine = Network(says(3.0, right=0.1, down=0.2, larger=0.3, turn=0.25))
    (after,) = haar.refine([grey], np.array([[32.0, 32.0, 32.0, 0.0, 0.0]]), mirror=True)
    assert after.tolist() == pytest.approx([32, 32 + 0.2 * 32, 32 * math.exp(0.3), 0, 3.0])
    straight, mirrored = haar._refine.asked
    assert (mirrored == straight[:, :, ::-1]).all()


def test_no_place_is_no_question(haar):
    haar._refine = Network(None)
    assert haar.refine([np.zeros((64, 64), np.uint8)], np.empty((0, 5))).shape == (0, 5)


@pytest.mark.parametrize(
    ("score", "agree", "found"),
    [
        pytest.param(Haar.SURE, 0, True, id="sure"),
        pytest.param(Haar.SURE - 0.1, Haar.AGREE, True, id="in doubt, the cascade agrees"),
        pytest.param(Haar.SURE - 0.1, Haar.AGREE - 1, False, id="in doubt, the cascade does not"),
        pytest.param(Haar.LIKELY, Haar.AGREE, True, id="hardly, the cascade agrees"),
        pytest.param(Haar.LIKELY - 0.1, 99, False, id="no"),
    ],
)
def test_where_the_networks_doubt_the_cascade_decides(haar, monkeypatch, score, agree, found):
    place = np.array([[100.0, 90.0, 50.0, 0.0, 1.0]])
    monkeypatch.setattr(haar, "propose", lambda *_: place)
    monkeypatch.setattr(haar, "agree", lambda *_: agree)
    haar._refine = Network(says(score))
    boxes = haar(np.full((200, 220, 3), 90, np.uint8))
    assert boxes == ([Box(75, 65, 50)] if found else [])


def test_a_face_proposed_twice_is_looked_at_once_more_and_its_mirror_image_too(haar, monkeypatch):
    places = np.array([[100.0, 90, 50, 0, 3], [103.0, 90, 50, 0, 2], [40.0, 40, 30, 0, 1]])
    monkeypatch.setattr(haar, "propose", lambda *_: places)
    scores = iter([[9.0, 8.0, Haar.HINT - 0.1], [9.0], [9.0]])
    haar._refine = Network(lambda _: [[score, 0, 0, 0, 0] for score in next(scores)])
    assert haar.find(np.zeros((200, 220), np.uint8), 30).tolist() == [[100, 90, 50, 0, 9]]
    assert [len(windows) for windows in haar._refine.asked] == [3, 1, 1]


def test_what_shrinks_far_below_the_smallest_size_is_no_face(haar, monkeypatch):
    monkeypatch.setattr(haar, "propose", lambda *_: np.array([[100.0, 90, 40, 0, 1]]))
    for larger, found in (-0.15, 1), (-0.26, 0):
        haar._refine = Network(says(9.0, larger=larger))
        assert len(haar.find(np.zeros((200, 220), np.uint8), 30)) == found


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        pytest.param((9.0, 2.0), 0, id="the small one is likelier"),
        pytest.param((2.0, 9.0), 1, id="the large one is likelier"),
    ],
)
def test_of_a_face_and_a_large_square_around_it_the_likelier_one_stays(haar, monkeypatch, scores, kept):
    places = np.array([[100.0, 90, 50, 0, scores[0]], [110.0, 95, 190, 0, scores[1]]])
    monkeypatch.setattr(haar, "find", lambda *_: places[np.argsort(-places[:, 4])])
    (box,) = haar(np.full((200, 220, 3), 90, np.uint8))
    assert box.size == places[kept, 2]


def test_the_largest_face_comes_first_however_likely_another_is(haar, monkeypatch):
    monkeypatch.setattr(haar, "find", lambda *_: np.array([[50.0, 50, 30, 0, 9], [150, 100, 80, 0, 6]]))
    assert [box.size for box in haar(np.full((200, 220, 3), 90, np.uint8))] == [80, 30]


@pytest.mark.parametrize(("side", "looks"), [(15, 0), (16, 1), (23, 1), (29, 1)])
def test_a_face_that_fills_a_small_picture_is_looked_for(haar, side, looks):
    haar._propose = Network(lambda grey: np.full((1, (grey.shape[1] - 15) // 4, (grey.shape[2] - 15) // 4), 0.0))
    haar._refine = Network(says(9.0))
    lit = np.random.default_rng(0).integers(90, 200, (side, side, 3)).astype(np.uint8)
    assert len(haar(lit)) == looks
    assert len(haar._propose.asked) == looks


def test_what_is_moved_out_of_the_picture_is_no_face(haar, monkeypatch):
    places = np.array([[x, y, 50.0, 0.0, 9.0] for x, y in ((100, 90), (-1, 90), (220, 90), (100, -1), (100, 200))])
    monkeypatch.setattr(haar, "find", lambda *_: places)
    assert haar(np.full((200, 220, 3), 90, np.uint8)) == [Box(75, 65, 50)]


def test_small_turns_are_left_to_the_network_that_reads(haar, monkeypatch):
    places = np.array([[100 * k, 90.0, 50.0, math.radians(a), 9.0] for k, a in enumerate((7, -7, 9, -30), start=1)])
    monkeypatch.setattr(haar, "find", lambda *_: places)
    boxes = haar(np.full((200, 500, 3), 90, np.uint8))
    assert [box.angle for box in sorted(boxes, key=lambda box: box.x)] == [0, 0, 9, -30]


def test_boxes_of_large_pictures_are_in_their_own_pixels(haar, monkeypatch):
    monkeypatch.setattr(haar, "find", lambda *_: np.array([[100.0, 90.0, 50.0, 0.0, 9.0]]))
    assert haar(np.full((1024, 4096, 3), 90, np.uint8)) == [Box(150, 130, 100)]


def test_of_boxes_that_mostly_cover_each_other_the_likeliest_stays(haar, monkeypatch):
    def place(box):
        return [box.x + box.size / 2, box.y + box.size / 2, box.size, 0.0, 9.0]

    large, within, beside, apart = Box(0, 0, 100), Box(60, 60, 30), Box(60, 0, 90), Box(300, 0, 120)
    shifted = Box(20, 0, 110)
    monkeypatch.setattr(haar, "find", lambda *_: np.array([*map(place, (large, within, shifted, beside, apart))]))
    assert haar(np.full((250, 450, 3), 90, np.uint8)) == [apart, large, beside]


def test_the_cascade_is_shown_the_face_at_its_size_turned_back(haar, monkeypatch):
    shown = []

    class Cascade:
        def detectMultiScale2(self, picture, **limits):  # noqa: N802 - as OpenCV calls it
            shown.append(picture)
            assert limits["minSize"][0] < haar.CASCADE_SIDE < limits["maxSize"][0]
            return [], []

    monkeypatch.setattr(haar, "_cascade", Cascade)
    grey = np.zeros((200, 200), np.uint8)
    cv2.circle(grey, (100, 60), 4, 255, -1)  # in the middle of the upper edge of the face
    assert haar.agree([grey], np.array([100.0, 100, 80, 0, 0])) == 0
    assert haar.agree([grey], np.array([100.0, 100, 80, math.radians(90), 0])) == 0
    side = 2 * haar.CASCADE_SIDE
    edge = (1 - 1 / haar.CASCADE_FACE / 2) / 2 * side  # of FER2013's picture, a little larger than the cascade's face
    assert [picture.shape for picture in shown] == [(side, side)] * 2
    assert np.argwhere(shown[0] > 128).mean(axis=0) == pytest.approx((edge, side / 2), abs=1)
    assert np.argwhere(shown[1] > 128).mean(axis=0) == pytest.approx((side / 2, edge), abs=1)


def test_only_what_the_cascade_sees_in_the_middle_counts(haar, monkeypatch):
    class Cascade:
        def detectMultiScale2(self, *_, **__):  # noqa: N802 - as OpenCV calls it
            return [(24, 24, 48, 48), (9, 24, 48, 48), (24, 0, 48, 48), (20, 28, 48, 48)], [[7], [99], [99], [9]]

    monkeypatch.setattr(haar, "_cascade", Cascade)
    assert haar.agree([np.zeros((200, 200), np.uint8)], np.array([100.0, 100, 50, 0, 0])) == 9


def test_every_thread_has_a_cascade_of_its_own(haar):
    with ThreadPoolExecutor(1) as other:
        assert other.submit(haar._cascade).result() is not haar._cascade()
        assert haar._cascade() is haar._cascade()


@pytest.fixture
def portrait():
    """A face of 100 pixels, and a little around it."""
    return read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")[30:200, 130:320]


def test_pictures_longer_than_opencv_turns_are_searched_to_their_end(haar, portrait):
    wide = np.full((200, 40_000, 3), 120, np.uint8)
    for left in (300, 39_000):
        wide[15:185, left : left + 190] = portrait
    assert sorted(round(box.x / 1000) for box in Haar(smallest=30)(wide)) == [0, 39]
    assert haar(np.random.default_rng(0).integers(0, 256, (30, 40_000, 3)).astype(np.uint8)) == []


@pytest.mark.parametrize("place", [(80, 60, 40, 0.5), (5, 5, 60, 0.0), (118, 75, 40, 1.0), (300, 200, 30, 0.0)])
def test_a_place_looks_the_same_where_only_its_neighbourhood_is_turned(monkeypatch, place):
    grey = np.random.default_rng(0).integers(0, 256, (80, 120)).astype(np.uint8)
    whole = window([grey], np.array([*place, 0.0]), 32)
    monkeypatch.setattr(places, "_LONGEST", 100)
    assert np.abs(window([grey], np.array([*place, 0.0]), 32).astype(int) - whole).max() <= 1


def test_what_the_first_network_says_does_not_depend_on_the_strips_it_sees(haar, monkeypatch):
    grey = np.random.default_rng(0).integers(0, 256, (301, 233)).astype(np.uint8)
    whole = haar._scores(grey)
    assert whole.shape == ((301 - 19) // 4 + 1, (233 - 19) // 4 + 1)
    for strip in (1, 5_000, 20_000):
        monkeypatch.setattr(Haar, "STRIP", strip)
        assert (haar._scores(grey) == whole).all()


def test_a_crowd_is_found_to_the_last_face(portrait):
    face = cv2.resize(portrait, (64, 57), interpolation=cv2.INTER_AREA)
    crowd = np.full((1280, 1600, 3), 90, np.uint8)
    for top in range(5, 1260, 64):
        for left in range(5, 1560, 80):
            crowd[top : top + 57, left : left + 64] = face
    assert len(Haar(smallest=30)(crowd)) == 20 * 20


def test_places_are_looked_at_until_a_part_ends_without_a_face(haar, monkeypatch):
    monkeypatch.setattr(Haar, "PART", 4)
    monkeypatch.setattr(Haar, "LAST", 2)
    grey = np.zeros((200, 200), np.uint8)
    proposals = np.array([[100.0, 80.0, 40.0, 0.0, 20 - n] for n in range(20)])
    faces = iter([[5, 5, 5, 5], [5, 5, 0, 5], [5, 5, 0, 0], [9, 9, 9, 9]])
    haar._refine = Network(lambda windows: [[score, 0, 0, 0, 0] for score in next(faces)])
    assert haar.look([grey], proposals)[:, 4].tolist() == [5] * 4 + [5, 5, 0, 5] + [5, 5, 0, 0]
    assert haar.look([grey], proposals[:0]).shape == (0, 5)


@pytest.mark.parametrize("light", [0.2, 0.12, 0.08])
def test_a_face_before_a_window_is_found(haar, portrait, light):
    scene = np.full((400, 512, 3), 245, np.uint8)
    scene[100:270, 150:340] = (light * portrait).astype(np.uint8)
    (box,) = haar(scene)
    (lit,) = haar(portrait)
    assert box.overlap(Box(lit.x + 150, lit.y + 100, lit.size)) > 0.6


def test_only_what_is_dark_is_taken_for_a_face_in_the_shadow(haar, monkeypatch):
    place = np.array([[50.0, 50.0, 40.0, 0.0, 9.0]])
    asked = []
    monkeypatch.setattr(Haar, "find", lambda self, grey, smallest: asked.append(grey) or place)
    grey = np.full((200, 200), 255, np.uint8)
    grey[20:80, 20:80] = np.linspace(5, 30, 60)
    assert haar.find_in_shadow(grey, stretched(grey), 30).tolist() == place.tolist()
    assert np.ptp(asked[-1][20:80, 20:80]) > 50  # where 25 levels were
    grey[30:70, 30:70] = 160
    assert haar.find_in_shadow(grey, stretched(grey), 30).shape == (0, 5)
    count = len(asked)
    grey[:] = 200
    grey[:3, :100] = 0  # an edge is no place for a face
    assert haar.find_in_shadow(grey, stretched(grey), 30).shape == (0, 5)  # without looking
    assert len(asked) == count


@pytest.mark.parametrize("lit", [False, True])
def test_beside_a_dark_face_others_are_looked_for_and_beside_a_lit_one_not(haar, monkeypatch, lit):
    looks = iter([[[50.0, 50.0, 40.0, 0.0, 9.0]], [[52.0, 50.0, 40.0, 0.0, 5.0], [150.0, 50.0, 40.0, 0.0, 5.0]]])
    monkeypatch.setattr(Haar, "find", lambda self, grey, smallest: np.array(next(looks)))
    picture = np.full((200, 200, 3), 255, np.uint8)
    picture[20:80, 20:80] = 200 if lit else 10
    picture[20:80, 120:180] = 10
    found = [(box.x, box.y, box.size) for box in haar(picture)]
    assert found == [(30, 30, 40)] if lit else [(30, 30, 40), (130, 30, 40)]
