"""Reads a picture file of the folder form to grey levels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import DataError

_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}  # of a JPEG, where it cannot stand in the data, and of a PNG


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
    # Of a file that is cut off, OpenCV would print a warning, and some versions paint the rest of a JPEG grey.
    cut = any(content.startswith(start) and end not in content for start, end in _ENDS.items())
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content and not cut else None
    except cv2.error:  # larger than OpenCV wants to read
        image = None
    if image is None:
        raise DataError(f"{path}: expected a picture, got a file that cannot be read as one")
    return image.astype(np.uint8, copy=False)
