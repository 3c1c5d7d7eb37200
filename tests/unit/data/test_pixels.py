import numpy as np
import pytest

from ferkit.data.pixels import LONGEST, PIXELS, parse_pixels, parse_row

RNG = np.random.default_rng(0)
ROW = b" ".join(str(v).encode() for v in RNG.integers(0, 256, PIXELS).tolist())
ZEROS = b"0 " * (PIXELS - 3)


def test_quick_and_careful_reading_agree():
    rows = [b" ".join(str(v).encode() for v in RNG.integers(0, 256, PIXELS).tolist()) for _ in range(5)]
    grey = parse_pixels(rows)
    assert grey.dtype == np.uint8
    assert grey.tolist() == [parse_row(row) for row in rows]


def test_every_grey_level_is_read_beside_every_width():
    levels = [*range(256), *range(255, -1, -1)]
    row = [level for pair in zip(levels, levels[100:] + levels[:100], strict=True) for level in pair]
    row = (row * 3)[:PIXELS]
    assert parse_pixels([" ".join(map(str, row)).encode()])[0].tolist() == row


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(ZEROS + b"0 0 256", id="256"),
        pytest.param(ZEROS + b"0 0 999", id="999"),
        pytest.param(ZEROS + b"0 0 1000", id="four digits"),
        pytest.param(b"1000 0 0 " + ZEROS, id="four digits first"),
        pytest.param(ZEROS + b"0 0 -1", id="sign"),
        pytest.param(ZEROS + b"0 0\t1", id="tab"),
        pytest.param(ZEROS + b"0 0\n1", id="line end"),
        pytest.param(ZEROS + b"0 1", id="one number too few"),
        pytest.param(ZEROS + b"0 0 0 1", id="one number too many"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_row_that_needs_a_closer_look_is_not_read_quickly(row):
    assert parse_pixels([ROW, row, ROW]) is None


def test_a_row_too_short_and_one_too_long_do_not_make_up_for_each_other():
    assert parse_pixels([ZEROS + b"0 0", ZEROS + b"0 0 0 0"]) is None


def test_a_row_that_is_too_long_is_not_counted():
    with pytest.raises(ValueError, match=f"expected 2304 pixels, got {LONGEST} characters or more"):
        parse_row(b"1 " * LONGEST)


def test_a_level_may_have_zeros_before_it_however_many():
    row = b" ".join([b"0" * 4500 + b"7", b"000", *[b"1"] * (PIXELS - 2)])  # Python reads 4,300 digits at most
    assert parse_row(row)[:3] == [7, 0, 1]
