"""Reads a picture file of the folder form to grey levels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
