"""What the first bytes of a picture's file say of it, before anything of it is unpacked."""

import io
import math
import re
import struct
from typing import Literal

from ferkit.errors import ImageError

_EXTRA_SAMPLES = 338
"""Tag of TIFF: what the fourth channel is; 1: alpha that colours are multiplied with, 2: alpha, 0: anything else."""

_NO_PICTURE = (
    *(ValueError, ArithmeticError, LookupError, TypeError, AttributeError, OSError, EOFError, RuntimeError),
    *(SyntaxError, struct.error),  # the former of damaged XML
)
"""What imagesize raises where it is given anything but a picture."""

_TILE = (322, 323)
"""Tags of TIFF: width and height of a tile."""

_BYTES = {1: 1, 3: 2, 4: 4, 16: 8}
"""Of a whole number in TIFF, by its type."""

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def is_heic(content: bytes) -> bool:
    """Return whether a file is a photo as phones keep them, which OpenCV cannot read."""
    if content[4:8] != b"ftyp":
        return False
    return content[8:12] in _HEIC or (content[8:12] in {b"mif1", b"msf1"} and b"avif" not in content[8:64])


def check_avif(content: bytes, name: str) -> None:
    """Refuse an AVIF that OpenCV would read lying on its side."""
    if content[4:8] != b"ftyp":
        return
    head = content.partition(b"mdat")[0]
    for kind in (b"irot", b"imir"):
        at = head.find(b"\0\0\0\x09" + kind)
        if at >= 0 and (kind == b"imir" or int.from_bytes(head[at + 8 : at + 9]) & 3):
            raise ImageError(f"{name}: AVIF that is turned or mirrored when shown cannot be read; convert it to JPEG")


def size_of(content: bytes) -> tuple[int, int]:
    """Return width and height of the picture a file holds, as its head says; less than 1 where it holds none."""
    import imagesize

    if content.startswith(b"BM") and content[14:18] == b"\x0c\0\0\0":  # of OS/2, with a size of 16 bits
        return int.from_bytes(content[18:20], "little"), int.from_bytes(content[20:22], "little")
    try:
        width, height = imagesize.get(io.BytesIO(content))
    except _NO_PICTURE:
        return 0, 0
    return int(width), int(height)


_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""In a JPEG: the end, or a marker with a length behind it; no stuffed byte, no restart, nothing that JPEG reserves."""

SCANS = 100
"""Of a JPEG, as many as libtiff allows; progressive ones have about ten. Each may go through all pixels once more."""


def check_whole(content: bytes, name: str) -> None:
    """Refuse a JPEG or PNG that lacks its end, and a small JPEG that would take minutes by the number of its scans.

    What comes behind the end, such as a phone's film, does not matter.
    """
    if content.startswith(b"\x89PNG"):
        if b"IEND" not in content:
            raise ImageError(f"{name}: the file is cut off")
        return
    if not content.startswith(b"\xff\xd8"):
        return
    position, scans = 2, 0
    while marker := _MARKER.search(content, position):
        kind, position = content[marker.start() + 1], marker.end()
        if kind == 0xD9:
            return
        scans += kind == 0xDA
        if scans > SCANS:
            raise ImageError(f"{name}: expected a JPEG of at most {SCANS} scans, got more")
        position += int.from_bytes(content[position : position + 2])
    raise ImageError(f"{name}: the file is cut off")


def may_be_transparent(content: bytes) -> bool:
    """Return whether a picture may have a part that is; of kinds whose head is not read here, it may."""
    if content.startswith(b"\x89PNG"):
        return bool(content[25] & 4) or b"tRNS" in content  # colour type, or a transparent colour
    if content.startswith(b"BM"):  # with a mask of its own for alpha, which shorter heads have no place for
        bit_fields = int.from_bytes(content[30:34], "little") in {3, 6}
        return bit_fields and int.from_bytes(content[14:18], "little") >= 56 and any(content[66:70])
    return not content.startswith(b"\xff\xd8") and _extra_samples(content) != 0


def is_multiplied(content: bytes, itemsize: int) -> bool:
    """Return whether OpenCV hands out colours that are multiplied with alpha: those of some TIFF."""
    return _extra_samples(content) in ({1, 2} if itemsize == 1 else {1})


def tile_of(content: bytes) -> tuple[int, int]:
    """Return width and height of the tiles of a TIFF, each of which is unpacked as a whole; 0 where it has none."""
    return _tag(content, _TILE[0]) or 0, _tag(content, _TILE[1]) or 0


def pixels_of(content: bytes) -> int:
    """Return how many pixels are unpacked at once: those of the picture, or of a larger tile; 0 where unknown."""
    return max(0, math.prod(size_of(content)), math.prod(tile_of(content)))


def _extra_samples(content: bytes) -> int | None:
    """Return what a TIFF says of its fourth channel, see :data:`_EXTRA_SAMPLES`; None if nothing, or for no TIFF."""
    return _tag(content, _EXTRA_SAMPLES)


def _tag(content: bytes, tag: int) -> int | None:
    """Return the first value of a tag of the first picture of a TIFF; None if it has none, or for no TIFF."""
    big = content[:4] in {b"II+\0", b"MM\0+"}  # BigTIFF
    if not big and content[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    first, counted, entry = (number(8, 8), 8, 20) if big else (number(4, 4), 2, 12)
    begin = first + counted
    for at in range(begin, min(len(content), begin + entry * number(first, counted)), entry):
        if number(at, 2) == tag:
            return number(at + entry - (8 if big else 4), _BYTES.get(number(at + 2, 2), 2))
    return None
