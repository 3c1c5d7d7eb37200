"""Reads pictures: one file to grey levels, and to the crop a network looks at."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferkit.data.faces import SIDE
from ferkit.errors import DataError

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"  # the second cannot stand in the data between them


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return the grey levels of a picture, ``(H, W)``, turned upright where its EXIF data say how.

    Raises:
        DataError: There is no such file, or it is not a picture.
    """
    import cv2

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    except cv2.error:  # larger than OpenCV wants to read
        image = None
    if content.startswith(_JPEG_START) and _JPEG_END not in content:
        image = None  # cut off: some versions of OpenCV paint the rest grey
    if image is None:
        raise DataError(f"{path}: expected a picture, got a file that cannot be read as one")
    return image.astype(np.uint8, copy=False)


def read_crop(path: Path) -> NDArray[np.uint8]:
    """Return the square in the middle of a picture as a crop of FER2013's size, ``(48, 48)``; it should be a face.

    Raises:
        DataError: There is no such file, or it is not a picture.
    """
    import cv2

    grey = read_picture(path)
    height, width = grey.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = grey[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side >= SIDE else cv2.INTER_LINEAR  # INTER_AREA repeats pixels where it enlarges
    return cv2.resize(square, (SIDE, SIDE), interpolation=how).astype(np.uint8, copy=False)
