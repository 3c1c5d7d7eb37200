"""Faces in real photographs, which come with scikit-image in its wheel."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage

from ferkit import Recognizer
from ferkit.errors import ImageError, OptionError, UnknownNameError
from ferkit.inference.boxes import Box, apart, scaled
from ferkit.inference.detect import YuNet, build_detector
from ferkit.inference.images import read_image
from ferkit.inference.levels import grey_levels, stretched
from ferkit.inference.weights import DEFAULT

SAMPLES = Path(skimage.__file__).parent / "data"
FACE = Box(172, 64, 104)
"""The astronaut's, from brows to chin."""


def sample(name):
    return read_image(SAMPLES / name)


@pytest.fixture(scope="module")
def haar():
    return build_detector("haar")


@pytest.fixture(scope="module")
def yunet():
    file = os.environ.get("FERKIT_YUNET_MODEL")
    if not file:
        pytest.skip("FERKIT_YUNET_MODEL does not name the file of a YuNet detector")
    return build_detector("yunet", Path(file))


@pytest.fixture(params=["haar", "yunet"])
def detector(request):
    return request.getfixturevalue(request.param)


def test_the_astronaut_has_one_face(detector):
    boxes = detector(sample("astronaut.png"))
    assert len(boxes) == 1
    assert boxes[0].overlap(FACE) > 0.6


@pytest.mark.parametrize(("size", "smallest", "found"), [(120, None, 1), (60, None, 0), (60, 60, 1), (240, 900, 0)])
def test_how_small_a_face_is_looked_for_in_a_large_picture_can_be_said(size, smallest, found):
    import cv2

    factor = size / FACE.size
    head = np.asarray(cv2.resize(sample("astronaut.png")[:220, 90:330], None, fx=factor, fy=factor))
    picture = np.asarray(cv2.resize(sample("coffee.png"), (4000, 3000)))
    picture[700 : 700 + head.shape[0], 900 : 900 + head.shape[1]] = head
    assert len(build_detector("haar", smallest=smallest)(picture)) == found


@pytest.mark.parametrize(("smallest", "found"), [(None, 0), (15, 1), (3, 1)])
def test_smaller_faces_than_usual_are_looked_for_where_they_are_asked_for(smallest, found):
    import cv2

    head = sample("astronaut.png")[:220, 90:330]
    factor = 18 / FACE.size
    small = np.asarray(cv2.resize(head, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
    picture = np.full((240, 320, 3), 128, np.uint8)
    picture[100 : 100 + small.shape[0], 150 : 150 + small.shape[1]] = small
    assert len(build_detector("haar", smallest=smallest)(picture)) == found


@pytest.mark.parametrize(("smallest", "pixels", "least"), [(None, 1, 30), (60, 1, 30), (20, 12e6, 20), (3, 1, 15)])
def test_the_largest_pictures_are_not_enlarged_for_the_smallest_faces(smallest, pixels, least):
    haar = build_detector("haar", smallest=smallest)
    assert haar._least(int(pixels)) == least
    assert haar._least(100_000_000) == 30


def test_a_photo_on_a_large_sheet_of_paper_is_looked_at():
    picture = np.full((3000, 4000, 3), 250, np.uint8)
    picture[700:920, 900:1140] = sample("astronaut.png")[:220, 90:330]
    assert len(build_detector("haar")(picture)) == 1


def test_what_looks_for_no_faces_looks_for_no_small_ones():
    with pytest.raises(OptionError, match="the detector none looks for no faces"):
        build_detector("none", smallest=60)
    with pytest.raises(OptionError, match="smallest_face is for ferkit's detectors"):
        Recognizer(detector=lambda picture: [], smallest_face=60)
    for wrong in (0, -3, 1.5, "60"):
        with pytest.raises(OptionError, match="the smallest face must be a whole number of pixels, 1 or more, got"):
            build_detector("haar", smallest=wrong)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_face_is_found_at_its_place_in_a_picture_of_any_size(detector, factor):
    import cv2

    (box,) = detector(np.asarray(cv2.resize(sample("astronaut.png"), None, fx=factor, fy=factor)))
    there = Box(*(round(value * factor) for value in (FACE.x, FACE.y, FACE.size)))
    assert box.overlap(there) > 0.6


def test_a_dark_face_is_found(detector):
    assert len(detector((sample("astronaut.png") * 0.15).astype(np.uint8))) == 1


@pytest.mark.parametrize("side", [32, 48, 104, 900])
def test_a_face_that_fills_the_picture_is_found(haar, side):
    import cv2

    face = sample("astronaut.png")[FACE.y : FACE.y + FACE.size, FACE.x : FACE.x + FACE.size]
    (box,) = haar(np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)))
    assert box.overlap(Box(0, 0, side)) > 0.6
    assert box.angle == 0


@pytest.mark.parametrize("angle", [-30, -20, 20, 30])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_tilted_face_is_found_at_its_place(detector, angle, factor):
    import cv2

    there = cv2.getRotationMatrix2D((FACE.x + FACE.size / 2, FACE.y + FACE.size / 2), angle, 1)
    picture = cv2.warpAffine(sample("astronaut.png"), there, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    box, *_ = detector(np.asarray(cv2.resize(picture, None, fx=factor, fy=factor)))
    assert box.overlap(Box(*(round(value * factor) for value in (FACE.x, FACE.y, FACE.size)))) > 0.5


def test_which_way_a_face_is_tilted_is_told(haar):
    import cv2

    there = cv2.getRotationMatrix2D((FACE.x + FACE.size / 2, FACE.y + FACE.size / 2), 30, 1)  # to the left
    picture = cv2.warpAffine(sample("astronaut.png"), there, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    assert [box.angle for box in haar(np.asarray(picture))] == pytest.approx([-30], abs=12)
    assert [box.angle for box in haar(np.ascontiguousarray(picture[:, ::-1]))] == pytest.approx([30], abs=12)
    assert [box.angle for box in haar(sample("astronaut.png"))] == [0]


@pytest.mark.parametrize("angle", [-30, -20, 20, 30])
def test_yunet_tells_it_by_the_eyes_of_a_large_face(yunet, angle):
    import cv2

    there = cv2.getRotationMatrix2D((FACE.x + FACE.size / 2, FACE.y + FACE.size / 2), -angle, 1)
    picture = cv2.warpAffine(sample("astronaut.png"), there, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (box,) = yunet(np.asarray(cv2.resize(picture, None, fx=2, fy=2)))
    assert abs(box.angle - angle) < 12
    assert [box.angle for box in yunet(sample("astronaut.png"))] == [0]


@pytest.mark.parametrize(
    ("eyes", "angle"), [((0, 0, 20, 4), 0), ((0, 0, 20, -4), 0), ((0, 0, 20, 20), 45), ((0, 20, 20, 0), -45)]
)
def test_eyes_that_are_nearly_level_turn_no_face(eyes, angle):
    assert YuNet._angle(unloaded(), *eyes) == angle


def test_the_largest_face_comes_first(detector):
    astronaut = sample("astronaut.png")
    picture = np.full((700, 900, 3), 128, np.uint8)
    picture[50:306, 20:276] = astronaut[::2, ::2]
    picture[150:662, 350:862] = astronaut
    sizes = [box.size for box in detector(picture)]
    assert len(sizes) == 2
    assert sizes[0] > 1.5 * sizes[1]


@pytest.mark.parametrize("name", ["brick.png", "coffee.png", "grass.png", "gravel.png", "moon.png", "rocket.jpg"])
def test_no_face_is_seen_where_there_is_none(detector, name):
    assert detector(sample(name)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (29, 29), (48, 48)])
@pytest.mark.parametrize("level", [0, 255])
def test_empty_pictures_of_any_shape_have_no_face(detector, shape, level):
    assert detector(np.full((*shape, 3), level, np.uint8)) == []


def test_without_a_detector_the_middle_of_the_picture_is_the_face():
    none = build_detector("none")
    assert none(np.zeros((10, 30, 3), np.uint8)) == [Box(10, 0, 10)]
    assert none(np.zeros((1, 1, 3), np.uint8)) == [Box(0, 0, 1)]


def test_overlap_is_the_common_area_over_the_area_of_both():
    assert Box(0, 0, 10).overlap(Box(0, 0, 10)) == 1
    assert Box(0, 0, 10).overlap(Box(5, 0, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10).overlap(Box(20, 20, 10)) == 0


@pytest.mark.parametrize("place", [(10, 80), (80, 10), (10, -20), (-20, 10)])
def test_two_faces_may_touch_each_others_box_but_not_share_a_middle(place):
    large, beside, within = Box(0, 0, 100), Box(*place, 40), Box(60, 60, 30)
    assert apart([large, beside]) == [large, beside]
    assert apart([large, within]) == [large]
    assert apart([within, large]) == [within]


def test_wrong_detectors_are_told(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown detector 'har'; did you mean 'haar'"):
        build_detector("har")
    with pytest.raises(OptionError, match="yunet needs its file"):
        build_detector("yunet")
    with pytest.raises(ImageError, match="expected the file of a YuNet detector, got nothing"):
        build_detector("yunet", tmp_path / "no.onnx")
    with pytest.raises(OptionError, match="haar takes no file"):
        build_detector("haar", tmp_path / "no.onnx")


def test_another_file_is_no_yunet(tmp_path, capfd):
    (tmp_path / "text.onnx").write_text("hello")
    for file in (tmp_path / "text.onnx", DEFAULT):
        with pytest.raises(ImageError, match="expected the ONNX file of a YuNet detector, got another file"):
            build_detector("yunet", file)
    assert capfd.readouterr().err == ""
    with pytest.raises(ImageError, match="expected the file of a YuNet detector, got a folder"):
        build_detector("yunet", tmp_path)


EYES = (0, 0, 9, 0)


def test_yunet_takes_no_dots_for_faces():
    class Network:
        def setInputSize(self, size):  # noqa: N802
            pass

        def detect(self, picture):
            return 1, np.array([[50, 50, 10, 10, *EYES], [100, 100, 40, 40, *EYES]], np.float32)

    detector = unloaded()
    detector._load = Network
    assert [box.size for box in detector(np.zeros((200, 200, 3), np.uint8))] == [39]
    assert len(detector(np.zeros((4000, 4000, 3), np.uint8))) == 2  # where dots stand for faces


# ---------------------------------------------------------------- what is made of what the cascades and the network say


def blank(height, width, level=100):
    return np.full((height, width, 3), level, np.uint8)


def test_a_file_named_from_here_is_found_from_elsewhere_too(yunet, monkeypatch, tmp_path):
    file = Path(os.environ["FERKIT_YUNET_MODEL"]).absolute()
    monkeypatch.chdir(file.parent)
    recognizer = Recognizer(detector="yunet", detector_model=file.name)
    monkeypatch.chdir(tmp_path)
    copy = pickle.loads(pickle.dumps(recognizer))
    with ThreadPoolExecutor(1) as thread:
        for each in (recognizer, copy):
            assert len(thread.submit(each.recognize, sample("astronaut.png")).result()) == 1


def test_every_thread_has_a_network_of_its_own(yunet):
    with ThreadPoolExecutor(1) as other:
        assert other.submit(yunet._load).result() is not yunet._load()
        assert yunet._load() is yunet._load()


def unloaded():
    """Return a YuNet without its network."""
    yunet = YuNet.__new__(YuNet)
    yunet._smallest = None
    return yunet


class Saying:
    """A network that says the same of every picture."""

    def __init__(self, *faces):
        self.faces = faces

    def setInputSize(self, size):  # noqa: N802 - as OpenCV calls it
        self.size = size

    def detect(self, _):
        level = (0, 0, 10, 0)
        return 1, np.array([(*face, *level) for face in self.faces], np.float32)


def test_yunets_boxes_become_squares_of_their_longer_side_a_little_higher(monkeypatch):
    yunet = unloaded()
    monkeypatch.setattr(yunet, "_load", lambda: Saying((100, 200, 80, 100)), raising=False)
    assert yunet(blank(400, 600)) == [Box(round(140 - 48.5), round(250 - 1.94 - 48.5), 97)]
    assert yunet(blank(1024, 4096)) == [Box(280 - 97, round(500 - 3.88 - 97), 194)]


@pytest.mark.parametrize(
    "face",
    [
        pytest.param((-200, 50, 80, 100), id="left of the picture"),
        pytest.param((700, 50, 80, 100), id="right of it"),
        pytest.param((100, -300, 80, 100), id="above it"),
        pytest.param((100, 450, 80, 100), id="below it"),
        pytest.param((300, 200, 0, 0), id="without a size"),
        pytest.param((-700, -700, 2000, 1800), id="much larger than it"),
        pytest.param((300, 200, float("inf"), 100), id="infinite"),
        pytest.param((float("nan"), 200, 80, 100), id="no number"),
        pytest.param((300, 200, 10, 10), id="a dot"),
    ],
)
def test_what_yunet_makes_up_is_no_face(face, monkeypatch):
    yunet = unloaded()
    monkeypatch.setattr(yunet, "_load", lambda: Saying(face, (100, 200, 80, 100)), raising=False)
    assert len(yunet(blank(400, 600))) == 1


@pytest.mark.parametrize(("height", "width"), [(52, 28), (20, 300), (64, 63)])
def test_yunet_is_given_no_picture_so_small_that_it_reads_what_nobody_wrote(height, width, monkeypatch):
    class Given(Saying):
        def detect(self, picture):
            assert picture.shape[1::-1] == self.size == (max(64, width), max(64, height))
            assert (picture[:height, :width] == 100).all()
            assert picture[height:].max(initial=0) == picture[:, width:].max(initial=0) == 0
            return super().detect(picture)

    yunet = unloaded()
    monkeypatch.setattr(yunet, "_load", lambda: Given((2, 0, 20, 20)), raising=False)
    assert len(yunet(blank(height, width))) == 1


def test_pictures_are_made_smaller_by_averaging():
    board = np.indices((2048, 2048)).sum(0) % 2 * 255
    small, factor = scaled(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
    assert (small.shape, factor) == ((1024, 1024, 3), 2.0)
    assert set(np.unique(small)) <= {127, 128}


def test_a_panorama_keeps_as_many_pixels_as_a_square():
    small, factor = scaled(blank(419, 10010))
    assert (small.shape, factor) == ((210, 5005, 3), pytest.approx(2.0, abs=1e-3))
    assert scaled(blank(100, 10000))[1] == 1


@pytest.mark.parametrize(("smallest", "shape"), [(60, (1500, 2000, 3)), (300, (300, 400, 3)), (20, (3000, 4000, 3))])
def test_a_picture_is_as_large_as_its_smallest_face_needs_it(smallest, shape):
    assert scaled(blank(3000, 4000), smallest)[0].shape == shape


def test_red_is_brighter_than_blue_and_faint_contrast_is_not_made_strong():
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[:, :10, 0] = picture[:, 10:, 2] = 255
    grey = stretched(grey_levels(picture))
    assert grey[:, :10].min() == 255
    assert grey[:, 10:].max() == 0
    faint = blank(10, 20)
    faint[:, :10] += 4
    assert np.ptp(stretched(grey_levels(faint))) == pytest.approx(4 * 255 / 16, abs=1)
