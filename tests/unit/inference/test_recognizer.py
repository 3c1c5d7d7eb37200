"""Faces to expressions: the same however they come in."""

import io
import json
import multiprocessing
import pickle
import resource
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from PIL import Image

from ferkit import Recognizer
from ferkit.errors import ImageError, ModelError, OptionError, UnknownNameError
from ferkit.inference.boxes import Box
from ferkit.inference.crops import cut
from ferkit.inference.detect import whole_picture
from ferkit.inference.levels import contrasted
from ferkit.inference.session import Session
from ferkit.inference.views import parse_views, views_of
from ferkit.inference.weights import CARD_KEY, card_from_json
from ferkit.labels import EXPRESSIONS
from networks import grey_of, make_card, write_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "model.onnx")


@pytest.fixture
def recognizer(network):
    return Recognizer(network, detector="none")


def photos(count, seed=0):
    """Return pictures of different sizes and brightness."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 120, (count, 2))
    return [
        rng.integers(level, level + 60, (h, w, 3), np.uint8)
        for (h, w), level in zip(sizes, rng.integers(0, 195, count), strict=True)
    ]


def photos_of(count, side):
    """Return pictures of one size that are no mirror images of themselves."""
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)
    return [cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC) for picture in small]


def shares(faces):
    return np.array([list(face.probabilities.values()) for face in faces])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_likeliest_class_is_the_answer_and_probabilities_sum_to_one(recognizer, name):
    (face,) = recognizer.recognize(np.full((60, 60), grey_of(name), np.uint8))
    assert face.expression == face.likeliest == name
    assert face.confidence == face.probabilities[name] == max(face.probabilities.values())
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_below_the_least_confidence_the_answer_is_uncertain(network):
    between = np.full((48, 48), (grey_of("fear") + grey_of("happy")) // 2, np.uint8)
    assert Recognizer(network, detector="none").recognize(between)[0].expression in {"fear", "happy"}
    (face,) = Recognizer(network, detector="none", min_confidence=0.6).recognize(between)
    assert face.expression == "uncertain"
    assert face.likeliest in {"fear", "happy"}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_least_confidence_outside_0_to_1_is_refused(network, value):
    with pytest.raises(OptionError, match="min_confidence must be from 0 to 1"):
        Recognizer(network, min_confidence=value)


def test_a_batch_gives_what_single_pictures_give(recognizer):
    pictures = photos(150)
    together = [face for faces in recognizer.recognize_batch(pictures) for face in faces]
    alone = [recognizer.recognize(picture)[0] for picture in pictures]
    np.testing.assert_allclose(shares(together), shares(alone), atol=1e-5, rtol=0)
    assert [face.box for face in together] == [face.box for face in alone]


def test_with_its_mirror_image_a_face_is_read_as_the_mean_of_both_and_either_way_round_alike():
    faces = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in photos_of(6, 48)])
    mirrored = np.ascontiguousarray(faces[:, :, ::-1])
    plain, both = Recognizer(detector="none"), Recognizer(detector="none", views=("mirror",))
    one, other = shares(plain.recognize_crops(faces)), shares(plain.recognize_crops(mirrored))
    assert np.abs(one - other).max() > 0.01
    found = both.recognize_crops(faces)
    np.testing.assert_allclose(shares(found), (one + other) / 2, atol=1e-5, rtol=0)
    np.testing.assert_allclose(shares(both.recognize_crops(mirrored)), shares(found), atol=1e-5, rtol=0)
    assert [face.confidence for face in found] == shares(found).max(axis=1).tolist()


def test_shifts_and_mirror_are_ten_views_of_each_face_of_a_batch():
    pictures = photos(70)
    recognizer = Recognizer(detector="none", views=("shifts", "mirror"))
    together = [face for faces in recognizer.recognize_batch(pictures) for face in faces]
    crops = [contrasted(cut(picture, whole_picture(picture)[0])) for picture in pictures]
    session = Session()
    expected = np.mean([session(seen) for seen in views_of(np.stack(crops), ("shifts", "mirror"))], axis=0)
    np.testing.assert_allclose(shares(together), expected, atol=1e-5, rtol=0)
    assert recognizer.recognize_batch([]) == []


def test_a_view_that_is_named_twice_is_read_once():
    assert parse_views(" mirror,mirror, shifts") == ("mirror", "shifts")


def test_an_unknown_view_and_a_string_for_a_list_are_refused(network):
    with pytest.raises(UnknownNameError, match="unknown view 'miror'; did you mean 'mirror'"):
        Recognizer(network, views=["miror"])
    with pytest.raises(OptionError, match="expected views as a list of names, got the string 'mirror'"):
        Recognizer(network, views="mirror")
    for wrong in (None, [1]):
        with pytest.raises(OptionError, match="expected views as a list of names, got "):
            Recognizer(network, views=wrong)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(np.zeros((20, 30, 3), np.uint8), id="colour array"),
        pytest.param(np.zeros((20, 30), np.uint8), id="grey array"),
        pytest.param("me.jpg", id="name"),
        pytest.param(Path("me.jpg"), id="path"),
        pytest.param(b"JPEG", id="bytes"),
        pytest.param(io.BytesIO(b"JPEG"), id="open file"),
        pytest.param(Image.new("L", (9, 9)), id="PIL image"),
    ],
)
def test_one_picture_is_no_batch(recognizer, one):
    with pytest.raises(ImageError, match=r"expected several pictures, .*got .*; put one into a list"):
        recognizer.recognize_batch(one)
    if not isinstance(one, np.ndarray):
        with pytest.raises(ImageError, match="expected crops"):
            recognizer.recognize_crops(one)


@pytest.mark.parametrize("kind", [object, str])
def test_an_array_of_names_is_a_batch(recognizer, tmp_path, kind):
    for name in ("a.png", "b.png"):
        Image.fromarray(photos_of(1, 40)[0]).save(tmp_path / name)
    names = np.array([str(tmp_path / name) for name in ("a.png", "b.png")], kind)
    assert recognizer.recognize_batch(names) == recognizer.recognize_batch(list(names))
    assert len(recognizer.recognize_batch(names)) == 2


def test_a_stack_of_grey_pictures_is_told_from_a_picture_by_a_list(recognizer):
    with pytest.raises(ImageError, match=r"expected several pictures, \(N, H, W, 3\) or a list of them, got an array"):
        recognizer.recognize_batch(np.zeros((5, 40, 40), np.uint8))


@pytest.mark.parametrize("crop", [5, b"crop", "gone.png", np.zeros((0, 0), np.uint8)])
def test_what_is_no_crop_is_refused(recognizer, crop):
    with pytest.raises(ImageError):
        recognizer.recognize_crops([crop])


def test_one_crop_with_a_plane_of_its_own_is_one(recognizer):
    crop = photos_of(1, 48)[0][..., :1]
    with pytest.raises(ImageError, match="put one face into a list"):
        recognizer.recognize_crops(crop)
    assert len(recognizer.recognize_crops(crop[None])) == 1


def test_an_array_of_pictures_is_a_batch(recognizer):
    assert len(recognizer.recognize_batch(np.zeros((4, 20, 30, 3), np.uint8))) == 4


@pytest.mark.parametrize("threads", [0, 100_000, 10**20, 1.5])
def test_numbers_of_threads_that_bring_a_machine_down_are_refused(network, threads):
    with pytest.raises(OptionError, match=f"threads must be a whole number from 1 to 1024, got {threads}"):
        Recognizer(network, threads=threads)


def test_a_network_that_is_not_what_its_card_says_is_refused(tmp_path):
    seven, five = make_card(), make_card(classes=EXPRESSIONS[:5])
    file = write_network(tmp_path / "five.onnx", five)
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {CARD_KEY: seven.to_json()})
    onnx.save(model, file)
    with pytest.raises(ModelError, match=r"five.onnx: expected a network from faces .* to probabilities \(N, 7\)"):
        Session(file)
    model = onnx.load(write_network(tmp_path / "floats.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, tmp_path / "floats.onnx")
    with pytest.raises(ModelError, match=r"floats.onnx: expected a network from faces uint8"):
        Session(tmp_path / "floats.onnx")


@pytest.mark.parametrize("factor", [np.nan, 10.0, -1.0])
def test_so_is_one_whose_answers_are_no_probabilities(tmp_path, factor):
    model = onnx.load(write_network(tmp_path / "odd.onnx"))
    (last,) = (node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    last.output[0] = "sound"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(factor, np.float32), "factor_of_it"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["sound", "factor_of_it"], [model.graph.output[0].name]))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match=r"odd.onnx: expected a network from faces .* that sum to 1, got another one"):
        Session(tmp_path / "odd.onnx")


def test_nor_are_those_below_0_that_sum_to_1(tmp_path):
    model = onnx.load(write_network(tmp_path / "odd.onnx"))
    (last,) = (node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    last.output[0] = "sound"
    shift = np.array([0.5, -0.5, 0, 0, 0, 0, 0], np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(shift, "shift"))
    model.graph.node.append(onnx.helper.make_node("Add", ["sound", "shift"], [model.graph.output[0].name]))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match=r"odd.onnx: expected a network from faces .* that sum to 1, got another one"):
        Session(tmp_path / "odd.onnx")


def test_a_card_too_deep_to_be_read_is_none():
    with pytest.raises(ModelError, match="x: expected the card"):
        card_from_json("[" * 100_000, "x")


def test_a_card_of_another_version_is_told_and_a_field_that_came_later_passed_over():
    content = json.loads(make_card(remarks=("learnt from others",)).to_json())
    assert json.loads(card_from_json(json.dumps({**content, "later": 1}), "x").to_json()) == content
    with pytest.raises(ModelError, match="x: its card is of another version of ferkit"):
        card_from_json(json.dumps({**content, "schema": 2}), "x")


@pytest.mark.parametrize("options", [{"min_confidence": "x"}, {"max_pixels": 0}, {"max_pixels": None}])
def test_settings_of_another_kind_are_refused_at_once(network, options):
    with pytest.raises(OptionError, match=f"{next(iter(options))} must be "):
        Recognizer(network, **options)


@pytest.mark.parametrize("given", [5, b"compact", ""])
def test_a_network_has_a_name_or_a_file(given):
    with pytest.raises(OptionError, match="expected the name of a network, or its file, got "):
        Recognizer(given)
    with pytest.raises(OptionError, match="expected detector_model as the name of a file, got 5"):
        Recognizer(detector="yunet", detector_model=5)


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": "warm"},
        {"temperature": float("nan")},
        {"classes": ["happy"] * 7},
        {"classes": "abcdefg"},
        {"classes": ["uncertain", *EXPRESSIONS[1:]]},
        {"classes": ["", *EXPRESSIONS[1:]]},
        {"classes": ["a\nb", *EXPRESSIONS[1:]]},
        {"parameters": float("inf")},
        {"recipe": []},
        {"classes": [1, 2, 3, 4, 5, 6, 7]},
        {"metrics": {"PublicTest": {"faces": 1, "accuracy": 0.5, "calibration_error": 0.1}}},
        {"metrics": {"PublicTest": {"faces": 1, "accuracy": "x", "calibration_error": 0.1, "interval": [0, 1]}}},
    ],
)
def test_a_card_that_cannot_be_printed_is_none(changed):
    with pytest.raises(ModelError, match="x: expected the card of a network exported by ferkit, got something else"):
        card_from_json(make_card(**changed).to_json(), "x")


def test_an_empty_batch_and_a_picture_without_faces_give_empty_lists(network):
    nobody = Recognizer(network, detector=lambda picture: [])
    assert nobody.recognize_batch([]) == []
    assert nobody.recognize_batch(photos(2)) == [[], []]


def test_crops_give_what_the_whole_picture_gives(recognizer):
    squares = [picture[:20, :20] for picture in photos(20) if min(picture.shape[:2]) >= 20]
    faces = recognizer.recognize_crops(squares)
    np.testing.assert_allclose(shares(faces), shares([recognizer.recognize(s)[0] for s in squares]), atol=1e-5)
    assert recognizer.recognize_crops(np.zeros((0, 48, 48), np.uint8)) == []
    for shape in ((48, 48), (48, 48, 3), (1, 2, 48, 48, 3)):
        with pytest.raises(ImageError, match="expected crops"):
            recognizer.recognize_crops(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_and_its_twin_turned_by_exif_read_the_same(network, orientation):
    ways = [None, None, 0, 3, 1, 5, 2, 6, 4]  # Image.Transpose, by the EXIF number
    rng = np.random.default_rng(0)
    upright = Image.fromarray(rng.integers(0, 256, (90, 60, 3), np.uint8))
    stored = upright if ways[orientation] is None else upright.transpose(Image.Transpose(ways[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    corner = Recognizer(network, detector=lambda picture: [Box(5, 3, 40), Box(30, 50, 30)])
    assert corner.recognize(buffer.getvalue()) == corner.recognize(upright)


def test_eight_threads_and_a_thousand_readings_each_agree(recognizer):
    pictures = photos(50)
    expected = [recognizer.recognize(picture) for picture in pictures]

    def read(thread):
        order = np.random.default_rng(thread).integers(0, len(pictures), 1000)
        return all(recognizer.recognize(pictures[n]) == expected[n] for n in order)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(8)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_another_process_can_be_given_one(network):
    recognizer = Recognizer(network, detector="none", min_confidence=0.9, max_pixels=90_000, views=["mirror"])
    pictures = photos(6)
    context = multiprocessing.get_context("spawn")  # where a process begins with nothing
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(recognizer.recognize, pictures)) == [recognizer.recognize(each) for each in pictures]
        with pytest.raises(ImageError, match="expected at most 90,000 pixels"):
            pool.submit(recognizer.recognize, np.zeros((301, 300), np.uint8)).result()


def test_a_network_named_from_here_is_found_from_elsewhere_too(network, monkeypatch, tmp_path):
    monkeypatch.chdir(network.parent)
    packed = pickle.dumps(Recognizer(Path(network.name), detector="none"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(packed).card == Session(network).card


def test_how_small_faces_may_be_is_packed_with_it(network):
    recognizer = Recognizer(network, detector="haar", smallest_face=77)
    assert pickle.loads(pickle.dumps(recognizer))._detect._smallest == 77


def test_memory_stays_flat_over_two_thousand_pictures(recognizer):
    def pages():
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1])

    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (400, 600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG")
    content = buffer.getvalue()
    recognizer.recognize_batch(content for _ in range(200))
    before = pages()
    for _ in range(2):
        recognizer.recognize_batch(content for _ in range(1000))
    assert (pages() - before) * resource.getpagesize() < 20e6  # one picture alone has 0.7 MB


def test_a_face_at_the_edge_is_cut_with_the_edge_going_on():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, :10] = 200
    face = cut(picture, Box(-10, -10, 20))
    assert face.shape == (48, 48)
    assert (face == 200).all()
    assert cut(picture, Box(10, 10, 30)).max() <= 1
    with pytest.raises(ImageError, match="expected a box that meets the picture"):
        cut(picture, Box(50, 50, 10))


@pytest.mark.parametrize("angle", [-25.0, 25.0, 90.0])
@pytest.mark.parametrize("size", [40, 60], ids=["enlarged", "reduced"])
def test_a_tilted_face_is_turned_back_before_it_is_read(angle, size):
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8), (201, 201))
    clockwise = cv2.warpAffine(picture, cv2.getRotationMatrix2D((100, 100), -angle, 1), (201, 201))
    corner = 100 - size // 2
    upright = cut(picture, Box(corner, corner, size)).astype(int)
    assert np.abs(cut(clockwise, Box(corner, corner, size, angle)) - upright).mean() < 2
    assert np.abs(cut(clockwise, Box(corner, corner, size)) - upright).mean() > 10


def test_the_corners_of_a_turned_square_are_the_pixels_that_are_there():
    level = np.full((200, 200, 3), 10, np.uint8)
    level[60:140, 60:140] = 200  # an upright square; the corners of a turned one reach beyond it
    face = cut(level, Box(60, 60, 80, 45.0))
    assert (face[:6, :6] == 10).all()
    assert (face[20:28, 20:28] == 200).all()


@pytest.mark.parametrize("detector", ["none", "crops"])
@pytest.mark.parametrize("shape", [(60, 48), (48, 60)])
def test_of_a_face_that_is_no_square_the_middle_is_read(network, detector, shape):
    crop = np.zeros((*shape, 3), np.uint8)
    height, width = shape
    top, left = (height - 48) // 2, (width - 48) // 2
    crop[top : top + 48, left : left + 48] = grey_of("happy")
    recognizer = Recognizer(network, detector="none")
    (face,) = recognizer.recognize(crop) if detector == "none" else recognizer.recognize_crops([crop])
    assert face.expression == "happy"
    assert face.box == Box(left, top, 48)
    (square,) = recognizer.recognize_crops([crop[top : top + 48, left : left + 48]])
    assert face.probabilities == square.probabilities


@pytest.mark.parametrize("angle", [-30.0, 30.0, 45.0])
@pytest.mark.parametrize("left", [-20, 0, 75, 150], ids=["over the edge", "at the edge", "in the middle", "cut by it"])
def test_what_lies_far_from_a_tilted_face_does_not_matter(angle, left):
    picture = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    wide = cv2.copyMakeBorder(picture, 0, 0, 0, 33_000, cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(cut(wide, Box(left, 60, 50, angle)), cut(picture, Box(left, 60, 50, angle)))


def test_a_hundred_megapixels_are_read_and_more_than_the_limit_refused(network):
    buffer = io.BytesIO()
    Image.new("L", (10_000, 10_000), grey_of("sad")).save(buffer, "JPEG")
    (face,) = Recognizer(network, detector="none").recognize(buffer.getvalue())
    assert face.expression == "sad"
    assert face.box == Box(0, 0, 10_000)
    assert Recognizer(network).recognize(buffer.getvalue()) == []
    with pytest.raises(ImageError, match="expected at most 99,999,999 pixels, got 10000 x 10000"):
        Recognizer(network, max_pixels=99_999_999).recognize(buffer.getvalue())


def test_a_face_becomes_plain_values(recognizer):
    content = recognizer.recognize(np.full((48, 60), 255, np.uint8))[0].to_dict()
    assert content["box"] == {"x": 6, "y": 0, "size": 48, "angle": 0.0}
    assert content["expression"] == "neutral"
    assert list(content["probabilities"]) == list(EXPRESSIONS)


def test_other_files_are_no_networks(tmp_path, network):
    with pytest.raises(ModelError, match=r"no.onnx: expected the ONNX file of a network, got nothing"):
        Recognizer(tmp_path / "no.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match="got another or a damaged file"):
        Recognizer(tmp_path / "text.onnx")
    with pytest.raises(ModelError, match="got another ONNX file"):
        Recognizer(write_network(tmp_path / "bare.onnx", with_card=False))
    (tmp_path / "cut.onnx").write_bytes(network.read_bytes()[:-200])
    with pytest.raises(ModelError):
        Recognizer(tmp_path / "cut.onnx")


def test_a_network_that_cannot_be_read_is_told_with_the_reason(network, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be read \(Permission denied\)"):
        Session(network)


def test_a_network_that_differs_from_the_card_beside_it_is_refused(tmp_path):
    file = write_network(tmp_path / "model.onnx", make_card(name="mine"))
    assert Recognizer(file).card.name == "mine"
    file.with_suffix(".json").write_text('{"sha256": "0000"}')
    with pytest.raises(ModelError, match=r"model.onnx: damaged; its SHA-256 is not the one in model.json"):
        Recognizer(file)


def test_a_detector_of_ones_own_may_count_as_its_library_does(network):
    kinds = (np.uint8, np.int64, np.float32, float, np.array)
    expected = Recognizer(network, detector=lambda _: [Box(3, 4, 20)]).recognize(photos_of(1, 40)[0])
    for kind in kinds:
        found = Recognizer(network, detector=lambda _, kind=kind: [Box(kind(3), kind(4), kind(20))])
        assert found.recognize(photos_of(1, 40)[0]) == expected


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 0),
        Box(0, 0, -5),
        Box(float("nan"), 0, 5),
        Box(0, 0, 10**9),
        Box(10**9, 0, 5),
        Box(0, 10**9, 5),
        Box(0, 0, 5, float("inf")),
        Box(None, 0, 5),
        Box("left", 0, 5),
    ],
)
def test_what_is_no_box_of_the_picture_is_refused(network, box):
    with pytest.raises(ImageError, match="expected of the detector boxes that meet the picture of 40 x 40, got"):
        Recognizer(network, detector=lambda _: [box]).recognize(photos_of(1, 40)[0])


def test_nor_is_what_is_no_box_at_all(network):
    with pytest.raises(
        OptionError, match=r"expected of the detector boxes, ferkit\.Box\(x, y, size\), got \(0, 0, 5, 5\)"
    ):
        Recognizer(network, detector=lambda _: [(0, 0, 5, 5)]).recognize(photos_of(1, 40)[0])


def test_the_largest_face_comes_first_whoever_found_it(network):
    boxes = [Box(0, 0, 10), Box(9, 9, 30), Box(5, 0, 10), Box(0, 0, 20)]
    (faces,) = Recognizer(network, detector=lambda _: boxes).recognize_batch([photos_of(1, 40)[0]])
    assert [face.box for face in faces] == [boxes[1], boxes[3], boxes[0], boxes[2]]


@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("place", [(-100, -100), (-60, 5), (5, -60), (-50, 0), (0, -50), (40, 0), (0, 40)])
def test_nor_is_one_beside_it(network, place, angle):
    with pytest.raises(ImageError, match="expected a box that meets the picture of 40 x 40, got"):
        Recognizer(network, detector=lambda _: [Box(*place, 50, angle)]).recognize(photos_of(1, 40)[0])


def test_a_detector_may_look_at_the_callers_picture_but_not_change_it(network):
    picture = photos_of(1, 40)[0]
    before = picture.copy()
    with pytest.raises(ValueError, match="read-only"):
        Recognizer(network, detector=lambda seen: seen.fill(0)).recognize(picture)
    np.testing.assert_array_equal(picture, before)
    with pytest.raises(OptionError, match="expected of the detector a list of boxes, got NoneType"):
        Recognizer(network, detector=lambda _: None).recognize(picture)


def test_a_detector_has_a_name_or_is_a_function(network):
    with pytest.raises(OptionError, match="expected the name of a detector or a function, got 3"):
        Recognizer(network, detector=3)


def test_beyond_each_edge_of_the_picture_that_edge_goes_on():
    picture = np.repeat(np.add.outer(4 * np.arange(40), np.arange(40)).astype(np.uint8)[..., None], 3, axis=2)
    for x, y in ((-20, -4), (-4, -20), (12, -9), (-9, 12), (4, 16), (16, 4)):
        face = cut(picture, Box(x, y, 48)).astype(int)  # of its own size: pixel for pixel
        rows, columns = (np.clip(np.arange(first, first + 48), 0, 39) for first in (y, x))
        np.testing.assert_array_equal(face, picture[rows][:, columns, 0])


@pytest.mark.parametrize("place", [(-9, 20), (20, -9), (61, 20), (20, 61)])
def test_so_does_one_edge_where_no_other_is_passed(place):
    picture = np.repeat(np.add.outer(np.arange(100), np.arange(100)).astype(np.uint8)[..., None], 3, axis=2)
    columns, rows = (np.clip(np.arange(first, first + 48), 0, 99) for first in place)
    np.testing.assert_array_equal(cut(picture, Box(*place, 48)), picture[rows][:, columns, 0])


@pytest.mark.parametrize("box", [Box(2, 2, 30), Box(10, 3, 30, 20.0), Box(-5, 0, 48)])
def test_colours_weigh_as_the_eye_sees_them(box):
    for colour, grey in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)):
        face = cut(np.full((60, 60, 3), colour, np.uint8), box).astype(int)
        assert np.abs(face - grey).max() <= 1, colour


def test_faces_that_are_made_smaller_are_averaged_and_those_enlarged_are_smooth():
    fine = np.repeat((255 * (np.indices((96, 96)).sum(0) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    assert np.abs(cut(fine, Box(0, 0, 96)).astype(int) - 128).max() <= 1  # a chequerboard of pixels
    ramp = np.repeat(np.tile(np.arange(0, 240, 10, np.uint8), (24, 1))[..., None], 3, axis=2)
    assert np.diff(cut(ramp, Box(0, 0, 24)).astype(int), axis=1)[:, 4:-4].max() <= 7


@pytest.mark.parametrize("corner", [(45, 40), (4, 50), (60, 3)])
def test_a_tilted_face_near_an_edge_of_a_picture_is_turned_about_its_middle(corner):
    picture = cv2.resize(np.random.default_rng(3).integers(0, 256, (9, 9, 3), np.uint8), (201, 161))
    left, top = corner
    middle = (left + 25, top + 25)
    clockwise = cv2.warpAffine(picture, cv2.getRotationMatrix2D(middle, -45, 1), (201, 161))
    upright = cut(picture, Box(left, top, 50)).astype(int)
    difference = np.abs(cut(clockwise, Box(left, top, 50, 45.0)) - upright)
    assert difference[12:36, 12:36].mean() < 3
    if corner == (45, 40):  # all of it lies in the picture, its corners too
        assert difference.max() < 8


def test_the_limit_of_pixels_holds_for_pictures_and_crops(network):
    small = Recognizer(network, detector="none", max_pixels=100)
    for read in (small.recognize, lambda picture: small.recognize_crops([picture])):
        assert read(np.zeros((10, 10, 3), np.uint8))
        with pytest.raises(ImageError, match="at most 100 pixels"):
            read(np.zeros((10, 11, 3), np.uint8))


def test_the_default_looks_for_faces(network):
    assert Recognizer(network).recognize(np.full((200, 200, 3), 128, np.uint8)) == []


def test_a_confidence_that_is_just_reached_is_enough(network):
    picture = np.full((60, 60), grey_of("happy"), np.uint8)
    (face,) = Recognizer(network, detector="none").recognize(picture)
    (again,) = Recognizer(network, detector="none", min_confidence=face.confidence).recognize(picture)
    assert again.expression == face.expression


def test_a_session_has_the_threads_it_is_given(network):
    for threads in (1, 3):
        assert Session(network, threads)._session.get_session_options().intra_op_num_threads == threads
    for shape in ((1, 48, 47), (1, 47, 48), (48, 48), (1, 1, 48, 48)):
        with pytest.raises(ValueError, match="expected uint8"):
            Session(network)(np.zeros(shape, np.uint8))


LONG = "a" * 300


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: Recognizer(LONG), UnknownNameError),
        (lambda: Recognizer(f"{LONG}.onnx"), ModelError),
        (lambda: Recognizer(Path(LONG)), ModelError),
        (lambda: Recognizer(detector="yunet", detector_model=LONG), ImageError),
    ],
    ids=["a name", "a file", "a path", "a detector's"],
)
def test_a_file_whose_name_is_too_long_is_not_there(build, error):
    with pytest.raises(error, match=LONG):
        build()
