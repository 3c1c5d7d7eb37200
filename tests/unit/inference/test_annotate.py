"""Squares and labels, drawn inside the picture."""

import cv2
import numpy as np
import pytest

from ferkit.errors import ImageError
from ferkit.inference.annotate import (
    LARGEST,
    SMALLEST,
    Mark,
    annotate,
    draw,
    is_replaceable,
    mark,
    write_annotated,
)
from ferkit.inference.boxes import Box
from ferkit.inference.colours import COLOURS, colour_of
from ferkit.inference.recognizer import Face

YELLOW = COLOURS["happy"]


def face(box, expression="happy", confidence=0.92):
    return Face(box, expression, confidence, {"angry": 1 - confidence, "happy": confidence})


def coloured(picture, colour=YELLOW):
    """Return which pixels have the colour of a label."""
    return (np.abs(picture.astype(int) - colour) < 3).all(axis=2)


def test_the_picture_itself_stays_as_it_is():
    picture = np.full((300, 300, 3), 90, np.uint8)
    drawn = annotate(picture, [face(Box(50, 60, 100))])
    assert (picture == 90).all()
    assert drawn.shape == picture.shape
    assert (drawn != 90).any()


def test_a_label_tells_expression_and_confidence_in_its_colour():
    assert mark(face(Box(1, 2, 3))) == Mark(Box(1, 2, 3), "happy 92 %", YELLOW)
    assert mark(face(Box(1, 2, 3), "uncertain", 0.31)).text == "angry? 31 %"


BOXES = [
    Box(100, 100, 100),
    Box(-40, -40, 120),
    Box(250, -20, 100),
    Box(-30, 220, 120),
    Box(250, 250, 100),
    Box(0, 0, 300),
    Box(-20, -20, 340),
]


@pytest.mark.parametrize("box", BOXES)
def test_the_whole_label_is_inside_the_picture_wherever_the_face_is(box):
    plain = np.full((300, 300, 3), 90, np.uint8)
    free = draw(plain, [Mark(Box(-900, 150, 9), "happy 92 %", YELLOW)])  # the label alone, pushed into the picture
    near = draw(plain, [Mark(box, "happy 92 %", YELLOW)])
    expected = cut_out(free)
    found = cv2.matchTemplate(near, expected, cv2.TM_SQDIFF_NORMED)
    assert found.min() < 1e-3


def cut_out(picture):
    rows, columns = (np.flatnonzero(coloured(picture).any(axis=axis)) for axis in (1, 0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("side", [300, 1200, 3000])
def test_letters_grow_with_the_picture(side):
    drawn = draw(
        np.full((side, side, 3), 90, np.uint8), [Mark(Box(-9 * side, side // 2, side // 2), "happy 92 %", YELLOW)]
    )
    height, width = cut_out(drawn).shape[:2]
    assert 0.04 < height / side < 0.12
    assert 0.2 < width / side < 0.6


@pytest.mark.parametrize("size", [(1, 900), (2, 500), (900, 1)])
def test_narrow_pictures_are_enlarged_within_limits(size):
    assert max(draw(np.zeros((*size, 3), np.uint8), []).shape) <= LARGEST


def test_pictures_too_small_for_letters_are_enlarged():
    drawn = draw(np.full((48, 64, 3), 90, np.uint8), [Mark(Box(0, 0, 48), "surprise 92 %", YELLOW)])
    assert drawn.shape == (240, 320, 3)
    assert min(drawn.shape[:2]) >= SMALLEST


@pytest.mark.parametrize(("size", "enlarged"), [((50, 64), (250, 320)), ((20, 900), (20, 900)), ((9, 400), (18, 800))])
def test_they_are_enlarged_by_a_whole_number(size, enlarged):
    assert draw(np.zeros((*size, 3), np.uint8), []).shape == (*enlarged, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (20, 900)])
def test_pictures_of_any_shape_can_be_drawn_on(shape):
    assert draw(np.zeros((*shape, 3), np.uint8), [Mark(Box(0, 0, 1), "happy 92 %", YELLOW)]).ndim == 3


def test_labels_of_neighbours_do_not_cover_each_other():
    marks = [Mark(Box(100 + 15 * n, 100, 80), "x" * 8, colour) for n, colour in enumerate(list(COLOURS.values())[:3])]
    drawn = draw(np.full((400, 400, 3), 90, np.uint8), marks)
    areas = [coloured(drawn, each.colour).sum() for each in marks]
    alone = [coloured(draw(np.full((400, 400, 3), 90, np.uint8), [each]), each.colour).sum() for each in marks]
    assert all(area > 0.7 * whole for area, whole in zip(areas, alone, strict=True))


@pytest.mark.parametrize(
    ("height", "width", "face", "apart"), [(3000, 4000, 160, 2), (480, 640, 90, 2), (480, 640, 30, 4)]
)
def test_labels_cover_no_faces_where_there_is_room_beside_them(height, width, face, apart):
    marks = [
        Mark(Box(x, y, face), "surprise 92 %", YELLOW)
        for y in range(0, height - face, 3 * face)
        for x in range(0, width - face, apart * face)
    ]
    plain = np.full((height, width, 3), 90, np.uint8)
    drawn = draw(plain, marks)
    inner = face // 8 + 3  # inside the square's line
    for each in marks:
        rows = slice(each.box.y + inner, each.box.y + face - inner)
        assert (drawn[rows, each.box.x + inner : each.box.x + face - inner] == 90).all()
    alone = coloured(draw(plain, marks[:1])).sum()
    assert coloured(drawn).sum() > 0.9 * alone * len(marks)  # and hardly each other


def test_the_square_of_a_turned_face_is_turned_as_the_face_is_and_the_label_lies_outside():
    def near(drawn, x, y):
        return (drawn[y - 2 : y + 3, x - 2 : x + 3] != 90).any()

    plain = np.full((300, 300, 3), 90, np.uint8)
    upright, turned = (draw(plain, [Mark(Box(100, 100, 100, angle), "x", YELLOW)]) for angle in (0, 30))
    assert near(upright, 199, 199)
    assert not near(turned, 199, 199)
    assert near(turned, 168, 217)  # clockwise: the lower right corner has gone down and to the left
    assert not near(upright, 168, 217)
    label = np.argwhere(coloured(turned))
    assert label[:, 0].max() <= 85  # the topmost corner


def test_classes_of_another_data_set_have_colours_of_their_own():
    classes = ("contempt", "boredom")
    found = [Face(Box(0, 0, 9), name, 1.0, dict.fromkeys(classes, 0.0) | {name: 1.0}) for name in classes]
    assert [mark(each).colour for each in found] == [colour_of(name, classes) for name in classes]


def test_no_memory_for_a_copy_is_one_line(tmp_path, monkeypatch):
    def none(*_):
        raise MemoryError

    monkeypatch.setattr("ferkit.inference.annotate.annotate", none)
    with pytest.raises(ImageError, match=r"a\.png: there is not enough memory for 300 x 200 pixels"):
        write_annotated(tmp_path / "a.png", np.zeros((200, 300, 3), np.uint8), [])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_not_replaced(tmp_path, monkeypatch):
    mine = tmp_path / "a.png"
    assert is_replaceable(mine)
    mine.write_bytes(b"my only copy")
    assert not is_replaceable(mine)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(mine), "open", refuse)
    assert not is_replaceable(mine)
