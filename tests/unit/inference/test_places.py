"""Squares that may be turned."""

import math

import cv2
import numpy as np
import pytest

from ferkit.inference.places import build_pyramid, non_maximum_suppression, window


def place(x, y, side, angle=0.0, score=0.0):
    return [x, y, side, angle, score]


def spotted(x, y):
    """Return a grey picture with a bright spot."""
    grey = np.zeros((200, 300), np.uint8)
    grey[y - 1 : y + 2, x - 1 : x + 2] = 250
    return grey


def test_a_window_shows_its_square():
    grey = np.random.default_rng(0).integers(0, 256, (80, 90)).astype(np.uint8)
    assert (window([grey], np.array(place(40, 30, 20)), 20) == grey[20:40, 30:50]).all()


@pytest.mark.parametrize(
    ("angle", "row", "column"),
    [(0, 5, 15), (90, 4, 5), (180, 14, 4), (-90, 15, 14)],
)
def test_a_window_of_a_turned_place_is_turned_back(angle, row, column):
    seen = window([spotted(155, 95)], np.array(place(150, 100, 20, math.radians(angle))), 20)  # right of it, above
    assert np.argwhere(seen > 200).mean(axis=0) == pytest.approx((row, column), abs=0.1)


def test_what_lies_beyond_the_picture_is_its_edge_drawn_out():
    grey = np.full((40, 40), 90, np.uint8)
    grey[:, 0] = 7
    assert (window([grey], np.array(place(0, 20, 20)), 20)[:, :9] == 7).all()


def test_a_large_place_is_seen_without_the_pattern_of_its_pixels():
    board = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    seen = window(build_pyramid(board, 32), np.array(place(200, 200, 320)), 32)
    assert abs(seen.astype(int) - 127).max() <= 2
    turned = window(build_pyramid(board, 32), np.array(place(200, 200, 200, 0.4)), 32)
    assert abs(turned.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("side", [40, 90, 200])
def test_a_place_is_the_same_in_every_halving(side):
    grey = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (321, 403)).astype(np.uint8), (0, 0), 12)
    where = np.array(place(201.3, 160.7, side, 0.3))
    alone = window([grey], where, 32).astype(int)
    assert abs(window(build_pyramid(grey, 32), where, 32).astype(int) - alone).max() <= 3


def test_pictures_are_halved_down_to_the_side_that_is_looked_at():
    for shape, shapes in (((130, 201), [(130, 201), (65, 100), (32, 50)]), ((1, 63), [(1, 63)])):
        assert [level.shape for level in build_pyramid(np.zeros(shape, np.uint8), 32)] == shapes


def test_of_places_that_share_much_the_likeliest_stays():
    places = np.array(
        [place(50, 50, 40, 0, 1), place(55, 50, 40, 0, 3), place(52, 50, 90, 0, 2), place(150, 50, 40, 0, 0)]
    )
    assert non_maximum_suppression(places, 0.5)[:, 4].tolist() == [3, 2, 0]
    assert non_maximum_suppression(places, 0.1)[:, 4].tolist() == [3, 0]
    assert non_maximum_suppression(places[:0], 0.5).shape == (0, 5)


def test_a_place_within_another_shares_its_own_area_with_it():
    places = np.array([place(50, 50, 100, 0, 2), place(40, 60, 60, 0, 1)])  # 36 % of the larger one
    assert len(non_maximum_suppression(places, 0.35)) == 1
    assert len(non_maximum_suppression(places, 0.37)) == 2
