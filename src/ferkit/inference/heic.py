"""HEIC, as phones keep photos: read with pillow-heif where it is installed, as the extra ``heic`` does.

OpenCV cannot read it. Rotation and mirroring are part of the format, and applied; 10 and 12 bits become 8.

Letters: H height, W width.
"""

import io
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError

_DAMAGED = (ValueError, OSError, EOFError, SyntaxError, RuntimeError, LookupError)
"""What pillow-heif raises for a file that is damaged, or of a kind it does not know."""


class Heic:
    """A picture whose head was read, and nothing more."""

    def __init__(self, content: bytes, name: str) -> None:
        """Read the head.

        Args:
            content: The whole file.
            name: What to call it in an error.

        Raises:
            ImageError: It is damaged, or pillow-heif is not installed.
        """
        if find_spec("pillow_heif") is None:
            raise ImageError(f'{name}: HEIC needs pillow-heif; run: pip install "ferkit[heic]", or convert it to JPEG')
        import pillow_heif

        self._name = name
        try:
            self._image: Any = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
            self.width, self.height = map(int, self._image.size)
        except _DAMAGED as error:
            raise ImageError(f"{name}: the picture is damaged ({error})") from None

    def decode(self) -> NDArray[np.uint8]:
        """Return it, ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA.

        Raises:
            ImageError: It is damaged.
        """
        try:
            levels = np.asarray(self._image)
        except _DAMAGED as error:
            raise ImageError(f"{self._name}: the picture is damaged ({error})") from None
        return (levels if levels.dtype == np.uint8 else levels >> 8).astype(np.uint8)  # grey ones keep their 16
