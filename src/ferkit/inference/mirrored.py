"""Whether an MP4 or QuickTime file has its pictures mirrored when they are shown, as some cameras that face one do.

Source: ISO/IEC 14496-12, boxes ``tkhd`` (8.3.2) and ``hdlr`` (8.4.3): a track has a matrix by which its pictures are
turned and mirrored. OpenCV takes from it an angle alone, so that a mirrored picture may be upside down.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_Part = tuple[int, int]
"""Where the content of a box begins and ends in its file."""


def is_mirrored(path: Path) -> bool:
    """Return whether the first video track of ``path`` is mirrored; False of what is no such file."""
    try:
        with path.open("rb") as file:
            for movie in _boxes(file, b"moov", (0, file.seek(0, os.SEEK_END))):
                for track in _boxes(file, b"trak", movie):
                    if _is_video(file, track):
                        return _mirrors(file, track)
    except OSError:
        pass
    return False


def _boxes(file: BinaryIO, kind: bytes, part: _Part) -> Iterator[_Part]:
    """Yield the boxes of this kind that lie in ``part``."""
    at, end = part
    while at + 8 <= end:
        head = _content(file, (at, min(at + 16, end)))
        size, begins = int.from_bytes(head[:4]), at + 8
        if size == 1:  # too large for 32 bits
            size, begins = int.from_bytes(head[8:]), at + 16
        after = at + size if size else end
        if after < begins:  # damaged
            return
        if head[4:8] == kind:
            yield begins, min(after, end)
        at = after


def _is_video(file: BinaryIO, track: _Part) -> bool:
    media = (handler for part in _boxes(file, b"mdia", track) for handler in _boxes(file, b"hdlr", part))
    return any(_content(file, handler)[8:12] == b"vide" for handler in media)


def _mirrors(file: BinaryIO, track: _Part) -> bool:
    """Return whether the matrix in the head of ``track`` mirrors: its determinant is below zero."""
    content = next((_content(file, part) for part in _boxes(file, b"tkhd", track)), b"")
    begins = 52 if content[:1] == b"\1" else 40  # behind times of 64 or 32 bits, and what else comes first
    if len(content) < begins + 20:
        return False
    right, down, _, across, along = struct.unpack_from(">5i", content, begins)
    return bool(right * along - down * across < 0)


def _content(file: BinaryIO, part: _Part) -> bytes:
    file.seek(part[0])
    return file.read(min(part[1] - part[0], 1024))
