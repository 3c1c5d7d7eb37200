"""Any picture to RGB: files, bytes, PIL images and arrays, as they are in the world.

Decoding is OpenCV's. A picture's size is read from its header first, so that a decompression bomb is refused before a
byte of it is unpacked. EXIF rotation is applied, transparent parts become grey, 16 bits become 8, of an animation the
first frame is taken.

Letters: H height, W width.
"""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError
from ferkit.inference.find import begins_as_video
from ferkit.inference.pnm import TEXT, unusual_white, with_white
from ferkit.inference.quiet import quiet_opencv

RGB = NDArray[np.uint8]
"""``(H, W, 3)``."""

MAX_PIXELS = 200_000_000
"""Pixels of the largest picture that is opened; as RGB it takes 600 MB."""

MAX_BYTES = 1_000_000_000
"""Of the largest file that is read."""

BACKDROP = 128
"""Grey level behind what is transparent."""

_ORIENTATION = 0x0112
"""Tag of EXIF."""

_EXTRA_SAMPLES = 338
"""Tag of TIFF: what the fourth channel is; 1: alpha that colours are multiplied with, 2: alpha, 0: anything else."""

_BAND = 256
"""Rows of a transparent picture that are laid over grey together, for the memory's sake."""

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def read_image(source: Any, max_pixels: int = MAX_PIXELS) -> RGB:
    """Return a picture as RGB.

    Args:
        source: A path; the bytes of a file; a file open for reading bytes; a PIL image (mode ``F``: as an array of
            float; mode ``I``: of 16 bits, or of 8 where no level is above 255); or an array: ``(H, W)`` grey,
            ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, of uint8, uint16, bool or float in [0, 1]. OpenCV's own arrays are
            BGR: turn them round first, ``array[..., ::-1]``.
        max_pixels: Larger pictures are refused.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ImageError: This is no picture, it is damaged or too large; the message names the file.
    """
    if isinstance(source, str | os.PathLike):
        return decode(read_file(Path(source)), str(Path(source)), max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), "picture", max_pixels)
    if "PIL.Image" in sys.modules and isinstance(source, sys.modules["PIL.Image"].Image):  # of a plugin, too
        return _from_pil(source, max_pixels)
    if isinstance(source, np.ndarray):
        if source.ndim >= 2 and source.shape[0] * source.shape[1] > max_pixels:
            raise ImageError(f"expected at most {max_pixels:,} pixels, got {source.shape[1]} x {source.shape[0]}")
        return from_array(source)
    if hasattr(source, "read"):
        return _from_file(source, max_pixels)
    raise ImageError(f"expected a path, bytes, an open file, a PIL image or an array, got {type(source).__name__}")


def read_file(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        ImageError: It cannot be read, or is larger than :data:`MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            return read_stream(file, str(path))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ImageError:
        raise
    except ValueError as error:  # of a name with a null character
        raise ImageError(f"{str(path)!r}: cannot be read ({error})") from None


def read_stream(stream: Any, name: str) -> bytes:
    """Return what a binary stream holds up to its end; see :func:`read_file`."""
    content = io.BytesIO()
    while part := stream.read(1 << 20):
        if content.tell() + len(part) > MAX_BYTES:
            raise ImageError(f"{name}: expected a picture of at most {MAX_BYTES // 10**6:,} MB, got more")
        content.write(part)
    return content.getvalue()


def decode(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> RGB:
    """Return the picture that the bytes of a file hold; see :func:`read_image`.

    Args:
        content: The whole file.
        name: What to call it in an error.
        max_pixels: Larger pictures are refused.
    """
    if not content:
        raise ImageError(f"{name}: expected a picture, got an empty file")
    _check_heif(content, name)
    width, height = size_of(content)
    if width < 1 or height < 1:
        got = "a video; give the name of its file" if begins_as_video(content[:1024]) else "something else"
        raise ImageError(f"{name}: expected a picture (JPEG, PNG, WebP, TIFF, GIF, BMP), got {got}")
    if width * height > max_pixels:
        raise ImageError(f"{name}: expected at most {max_pixels:,} pixels, got {width} x {height}")
    if _is_cut_off(content):
        raise ImageError(f"{name}: the file is cut off")
    with enough_memory(name, width, height):
        picture = _decode(content)
    if picture is None:
        raise ImageError(f"{name}: the picture is damaged or of a kind OpenCV cannot read")
    return picture


def from_array(array: NDArray[Any]) -> RGB:
    """Return an array as RGB; see :func:`read_image` for what it may be."""
    array = np.asarray(array)  # no matrix, which keeps two dimensions
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ImageError(f"expected an array (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either order of bytes
        levels = (array >> 8).astype(np.uint8)
    elif array.dtype == np.bool_:
        levels = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("expected floats in [0, 1]; turn levels 0 to 255 into uint8")
        levels = (array * 255 + 0.5).astype(np.uint8)
    elif array.dtype == np.uint8:
        levels = array
    else:
        raise ImageError(f"expected uint8, uint16, bool or float in [0, 1], got {array.dtype}")
    if levels.ndim == 2 or levels.shape[2] == 1:
        return np.repeat(levels.reshape(*levels.shape[:2], 1), 3, axis=2)
    return _over_grey(levels) if levels.shape[2] == 4 else np.ascontiguousarray(levels)


def _from_file(file: Any, max_pixels: int) -> RGB:
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else "picture"
    try:
        return decode(read_stream(file, name), name, max_pixels)
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name}: expected a file open for reading bytes ({error})") from None


def _from_pil(image: Any, max_pixels: int) -> RGB:
    if image.width * image.height > max_pixels:
        raise ImageError(f"picture: expected at most {max_pixels:,} pixels, got {image.width} x {image.height}")
    try:
        upright = _upright(image)
        if upright.mode == "F":
            return from_array(np.asarray(upright))
        if upright.mode.startswith("I"):
            levels = np.asarray(upright.convert("I"))
            if levels.min() < 0 or levels.max() > 65535:
                raise ImageError(f"expected levels of 16 bits, got {levels.min()} to {levels.max()}")
            return from_array(levels.astype(np.uint8 if upright.mode == "I" and levels.max() < 256 else np.uint16))
        transparent = "transparency" in upright.info or (upright.mode != "LAB" and {"A", "a"} & set(upright.getbands()))
        return from_array(np.asarray(upright.convert("RGBA" if transparent else "RGB")))
    except (OSError, SyntaxError, ValueError) as error:  # PIL has no class of its own for a picture it cannot read
        raise ImageError(f"picture: cannot be decoded ({error})") from None


def _upright(image: Any) -> Any:
    """Return a PIL image turned as its EXIF says; PIL's own function fails where other parts of it are odd."""
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    way = ways.get(image.getexif().get(_ORIENTATION))
    return image if way is None else image.transpose(way)


def for_opencv(path: Path) -> str:
    """Return ``path`` as OpenCV takes it.

    Raises:
        ImageError: The name is not UTF-8; OpenCV would end the program without a word.
    """
    name = os.path.realpath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ImageError(f"{path}: expected a name in UTF-8, which is all OpenCV can open; rename it") from None
    return name


def _check_heif(content: bytes, name: str) -> None:
    """Refuse what OpenCV cannot read, or would read lying on its side, of the family of HEIC and AVIF."""
    if content[4:8] != b"ftyp":
        return
    if content[8:12] in _HEIC or (content[8:12] in {b"mif1", b"msf1"} and b"avif" not in content[8:64]):
        raise ImageError(f"{name}: HEIC cannot be read; convert it to JPEG")
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
    except (ValueError, OverflowError, ArithmeticError, LookupError, OSError):
        return 0, 0
    except Exception as error:
        if type(error).__module__ in {"struct", "builtins", "xml.etree.ElementTree"}:
            return 0, 0
        raise
    return int(width), int(height)


_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In the compressed data of a JPEG: a marker, neither a stuffed byte nor a restart."""


def _is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end; what comes behind it, such as a phone's film, does not matter."""
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content
    if not content.startswith(b"\xff\xd8"):
        return False
    position = 2
    while marker := _MARKER.search(content, position):
        kind, position = content[marker.start() + 1], marker.end()
        if kind == 0xD9:
            return False
        position += int.from_bytes(content[position : position + 2])
    return True


def _decode(content: bytes) -> RGB | None:
    import cv2

    buffer = np.frombuffer(content + b"\n" if content.startswith(TEXT) else content, np.uint8)
    try:
        with quiet_opencv():
            if white := unusual_white(content):
                raw = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
                return None if raw is None else with_white(raw, white)
            picture = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
            if picture is None or not _may_be_transparent(content):
                return None if picture is None else np.asarray(picture, np.uint8)
            raw = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        return None
    rgb = np.asarray(picture, np.uint8)
    if raw is not None and raw.ndim == 3 and raw.shape[2] == 4 and (upright := _turned_like(rgb, raw)) is not None:
        _lay_over_grey(rgb, upright, multiplied=_is_multiplied(content, raw.dtype.itemsize))
    return rgb


def _may_be_transparent(content: bytes) -> bool:
    if content.startswith(b"\x89PNG"):
        return bool(content[25] & 4) or b"tRNS" in content  # colour type, or a transparent colour
    if content.startswith(b"BM"):  # with a mask of its own for alpha, which shorter heads have no place for
        bit_fields = int.from_bytes(content[30:34], "little") in {3, 6}
        return bit_fields and int.from_bytes(content[14:18], "little") >= 56 and any(content[66:70])
    return not content.startswith(b"\xff\xd8") and _extra_samples(content) != 0


def _is_multiplied(content: bytes, itemsize: int) -> bool:
    """Return whether OpenCV hands out colours that are multiplied with alpha: those of some TIFF."""
    return _extra_samples(content) in ({1, 2} if itemsize == 1 else {1})


def _extra_samples(content: bytes) -> int | None:
    """Return what a TIFF says of its fourth channel, see :data:`_EXTRA_SAMPLES`; None if nothing, or for no TIFF."""
    if content[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    first = number(4, 4)
    entries = range(first + 2, first + 2 + 12 * number(first, 2), 12)
    return next((number(at + 8, 2) for at in entries if number(at, 2) == _EXTRA_SAMPLES), None)


def _turned_like(picture: RGB, raw: NDArray[Any]) -> NDArray[Any] | None:
    """Return ``raw``, BGRA, turned and mirrored as ``picture`` is: OpenCV heeds EXIF only without transparency.

    None where no way has the size of ``picture``.
    """
    ways = [np.rot90(way, turns) for way in (raw, raw[:, ::-1]) for turns in range(4)]
    step = max(1, max(picture.shape) // 512)
    seen = picture[::step, ::step].astype(np.int16)

    def difference(way: NDArray[Any]) -> int:
        return int(np.abs(_levels(way[::step, ::step])[..., 2::-1] - seen).sum())

    return min((way for way in ways if way.shape[:2] == picture.shape[:2]), key=difference, default=None)


def _levels(raw: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(raw >> 8 if raw.dtype.itemsize == 2 else raw, np.uint8)


def _lay_over_grey(picture: RGB, raw: NDArray[Any], *, multiplied: bool) -> None:
    """Write the colours of ``raw``, BGRA of the same size, over grey into ``picture``."""
    for start in range(0, len(picture), _BAND):
        band = _levels(raw[start : start + _BAND])[..., [2, 1, 0, 3]]
        if multiplied:
            backdrop = (BACKDROP * (255 - band[..., 3:].astype(np.uint16)) + 127) // 255
            picture[start : start + _BAND] = np.minimum(band[..., :3] + backdrop, 255)
        else:
            picture[start : start + _BAND] = _over_grey(band)


@contextmanager
def enough_memory(name: str, width: int, height: int) -> Iterator[None]:
    """Make one error of what OpenCV and NumPy raise where there is no memory for a picture.

    Args:
        name: Of the picture or the file.
        width: In pixels.
        height: In pixels.

    Raises:
        ImageError: There is none.
    """
    import cv2

    try:
        yield
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
            raise
        raise ImageError(f"{name}: there is not enough memory for {width} x {height} pixels") from None


def _over_grey(rgba: NDArray[np.uint8]) -> RGB:
    if (rgba[..., 3] == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + BACKDROP * (255 - alpha) + 127) // 255).astype(np.uint8)
