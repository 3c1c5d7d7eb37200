"""PGM and PPM of every depth and spelling."""

import numpy as np
import pytest

from ferkit.inference.images import decode

LEVELS = np.linspace(0, 1, 48 * 40).reshape(40, 48)


def pnm(magic, white, end=b"\n"):
    """Return a picture whose red grows where its green does, and whose blue falls."""
    values = (LEVELS * white).round().astype(int)
    if magic in (b"P3", b"P6"):
        values = np.dstack([values, values, white - values])
    head = magic + b"\n# made by a test\n48 40 # wide, high\n%d\n" % white
    if magic in (b"P5", b"P6"):
        return head + values.astype(">u2" if white > 255 else "u1").tobytes()
    return head + b" ".join(b"%d" % value for value in values.ravel()) + end


@pytest.mark.parametrize("white", [1, 15, 100, 255, 256, 4095, 65535])
@pytest.mark.parametrize("magic", [b"P2", b"P3", b"P5", b"P6"])
def test_white_is_what_the_picture_says(magic, white):
    picture = decode(pnm(magic, white), "a picture")
    expected = (LEVELS * white).round() / white * 255
    assert picture.shape == (40, 48, 3)
    assert np.abs(picture[..., 0] - expected).max() <= 1
    blue = 255 - expected if magic in (b"P3", b"P6") else expected
    assert np.abs(picture[..., 2] - blue).max() <= 1


@pytest.mark.parametrize("magic", [b"P2", b"P3"])
def test_the_last_line_may_lack_its_end(magic):
    np.testing.assert_array_equal(decode(pnm(magic, 255, end=b""), "a"), decode(pnm(magic, 255), "b"))
