"""PGM and PPM pictures, which say themselves what white is; OpenCV takes it for 255 or 65535 in most of them.

Shape letters: H height, W width.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SPACE = rb"(?:\s|#[^\n]*\n)+"
_HEAD = re.compile(rb"P([2356])" + (_SPACE + rb"(\d+)") * 3 + rb"\s")

TEXT = (b"P1", b"P2", b"P3")
"""How those begin that spell their levels out: OpenCV wants an end of line behind the last one."""


def unusual_white(content: bytes) -> int:
    """Return the level of white in a PGM or PPM where OpenCV does not heed it; 0 of all other pictures."""
    if not content.startswith(b"P") or not (head := _HEAD.match(content[:4096])):
        return 0
    white = int(head[4])
    heeded = white in {255, 65535} or (head[1] in b"23" and white < 256)
    return 0 if heeded or white > 65535 else white


def with_white(raw: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Return levels 0 to ``white``, grey ``(H, W)`` or BGR ``(H, W, 3)``, as RGB ``(H, W, 3)`` from 0 to 255."""
    table = ((np.arange(white + 1) * 255 + white // 2) // white).astype(np.uint8)
    levels = table[np.minimum(raw, white)]
    return np.ascontiguousarray(levels[..., ::-1] if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2))
