"""A face in a picture to the small grey picture that the network reads.

Letters: H height, W width.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError
from ferkit.inference.boxes import Box
from ferkit.inference.images import RGB, read_image
from ferkit.inference.levels import grey_levels
from ferkit.inference.session import SIDE


def cut(picture: RGB, box: Box) -> NDArray[np.uint8]:
    """Return the face in ``box`` as the network takes it, ``(48, 48)`` grey, upright.

    Beyond the picture its edge goes on.

    Raises:
        ImageError: The box lies outside the picture.
    """
    import cv2

    height, width = picture.shape[:2]
    if not (box.x + box.size > 0 and box.y + box.size > 0 and box.x < width and box.y < height):
        raise ImageError(f"expected a box that meets the picture of {width} x {height}, got {box}")
    left, top = max(0, -box.x), max(0, -box.y)
    right, bottom = max(0, box.x + box.size - width), max(0, box.y + box.size - height)
    part = picture[box.y + top : box.y + box.size - bottom, box.x + left : box.x + box.size - right]
    if box.angle:
        return resized(grey_levels(_turned_back(picture, box)))
    grey = grey_levels(part)
    if left or top or right or bottom:
        grey = np.asarray(cv2.copyMakeBorder(grey, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)
    return resized(grey)


def grey_of(crop: Any, max_pixels: int) -> NDArray[np.uint8]:
    """Return a crop as grey levels; one that is grey already is not turned into colours and back."""
    if isinstance(crop, np.ndarray) and crop.ndim == 2 and crop.dtype == np.uint8 and 0 < crop.size <= max_pixels:
        return crop
    return grey_levels(read_image(crop, max_pixels))


def resized(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey square, ``(H, H)``, at the side of FER2013's pictures, ``(48, 48)``."""
    import cv2

    if grey.shape == (SIDE, SIDE):
        return grey
    way = cv2.INTER_AREA if min(grey.shape) > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=way), np.uint8)


def _turned_back(picture: RGB, box: Box) -> RGB:
    """Return the square of ``box`` turned about its middle until the face in it is upright."""
    import cv2

    reach = box.size // 4 + 2  # of a turned square beyond an upright one; OpenCV turns nothing of 32768 pixels a side
    left, top = max(0, box.x - reach), max(0, box.y - reach)
    near = picture[top : box.y + box.size + reach, left : box.x + box.size + reach]
    middle = (box.x - left + box.size / 2, box.y - top + box.size / 2)
    there = cv2.getRotationMatrix2D(middle, box.angle, 1)
    there[:, 2] -= box.x - left, box.y - top
    square = cv2.warpAffine(near, there, (box.size, box.size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(square, np.uint8)
