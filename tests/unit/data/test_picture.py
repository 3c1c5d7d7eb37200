import struct

import cv2
import numpy as np
import pytest

from ferkit.data.picture import read_picture
from ferkit.errors import DataError


def gradient(height, width):
    """Return a picture that is dark at the left and light at the right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


def write(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def write_sideways(path, image):
    """Write a JPEG whose EXIF data say: turn it a quarter to the right."""
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert done
    tag = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + tag + b"\0" * 4
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(jpeg.tobytes()[:2] + segment + jpeg.tobytes()[2:])
    return path


def test_colour_and_clear_pictures_are_read_as_grey(tmp_path):
    colour = np.zeros((48, 48, 4), np.uint8)
    colour[..., 1], colour[..., 3] = 200, 255
    grey = read_picture(write(tmp_path / "green.png", colour))
    assert grey.shape == (48, 48)
    assert np.unique(grey).tolist() == [117]  # 0.587 of 200


def test_a_picture_held_sideways_is_turned_upright(tmp_path):
    crop = read_picture(write_sideways(tmp_path / "phone.jpg", gradient(60, 60)))
    down, across = crop.mean(axis=1), crop.mean(axis=0)
    assert down[-1] - down[0] > 200
    assert np.ptp(across) < 10


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0 cut"], ids=["empty", "text", "cut"])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jpg: expected a picture, got a file that cannot be read as one$"):
        read_picture(tmp_path / "x.jpg")


def test_a_missing_picture_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: no such file$"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(DataError, match=r": cannot be read \(Is a directory\)$"):
        read_picture(tmp_path)
