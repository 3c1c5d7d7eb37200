"""Any picture to RGB: files, bytes, PIL images and arrays, as they are in the world.

Decoding is OpenCV's, of HEIC pillow-heif's. A picture's size is read from its header first, so that a decompression
bomb is refused before a byte of it is unpacked. EXIF rotation is applied, transparent parts become grey, 16 bits become
8, of an animation the first frame is taken.

Letters: H height, W width.
"""

import io
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferkit.errors import ImageError
from ferkit.inference.find import begins_as_video, is_address
from ferkit.inference.heads import check_avif, check_whole, is_heic, is_multiplied, may_be_transparent, size_of, tile_of
from ferkit.inference.pnm import TEXT, unusual_white, with_white
from ferkit.inference.quiet import quiet_opencv
from ferkit.inference.transparency import lay_over_grey, over_grey, turned_like

RGB = NDArray[np.uint8]
"""``(H, W, 3)``."""

MAX_PIXELS = 200_000_000
"""Pixels of the largest picture that is opened; as RGB it takes 600 MB."""

MAX_BYTES = 1_000_000_000
"""Of the largest file that is read."""

_LONGEST = 4096
"""Characters of a text that may be a path."""

_OF_PIL = (OSError, EOFError, SyntaxError, ValueError, AssertionError, struct.error)
"""What PIL raises for a picture it cannot read, or that was closed; it has no class of its own for that."""

_VIDEO = "read_video reads one, and `ferkit recognize` if its name ends as a video's"

_ORIENTATION = 0x0112
"""Tag of EXIF."""


def read_image(source: Any, max_pixels: int = MAX_PIXELS) -> RGB:
    """Return a picture as RGB.

    Args:
        source: A path; the bytes of a file; a file open for reading bytes; a PIL image (mode ``F``: as an array of
            float; mode ``I``: of 16 bits, or of 8 where no level is above 255); or an array: ``(H, W)`` grey,
            ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, of uint8, uint16 (of 8 bits where no level is above 255), bool or
            float in [0, 1]. OpenCV's own arrays are BGR: turn them round first, ``array[..., ::-1]``.
        max_pixels: Larger pictures are refused.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ImageError: This is no picture, it is damaged or too large; the message names the file.
    """
    if isinstance(source, str):
        check_name(source)
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


def check_name(text: str) -> None:
    """Refuse an address, and a picture spelled out in Base64, without repeating all of it; and an empty name.

    Raises:
        ImageError: It is one of them.
    """
    if not text:
        raise ImageError("expected the name of a picture, got an empty one")
    said = text if len(text) <= 200 else f"{text[:60]}..."
    if is_address(text):
        raise ImageError(f"{said}: an address is not fetched; save the picture and name the file, or give its bytes")
    if len(text) > _LONGEST:
        raise ImageError(f"{said}: expected a path, got a text of {len(text):,} characters; decode it to bytes")


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
    if is_heic(content):
        return _from_heic(content, name, max_pixels)
    check_avif(content, name)
    width, height = size_of(content)
    if width < 1 or height < 1:
        got = f"a video; {_VIDEO}" if begins_as_video(content[:1024]) else "something else"
        raise ImageError(f"{name}: expected a picture (JPEG, PNG, WebP, TIFF, GIF, BMP), got {got}")
    if width * height > max_pixels:
        raise ImageError(f"{name}: expected at most {max_pixels:,} pixels, got {width} x {height}")
    across, down = tile_of(content)
    if across * down > max_pixels:
        raise ImageError(f"{name}: expected tiles of at most {max_pixels:,} pixels, got {across} x {down}")
    width, height = max(width, across), max(height, down)
    check_whole(content, name)
    with enough_memory(name, width, height):
        picture = _decode(content)
    if picture is None:
        raise ImageError(f"{name}: the picture is damaged or of a kind OpenCV cannot read")
    return picture


def _from_heic(content: bytes, name: str, max_pixels: int) -> RGB:
    from ferkit.inference.heic import Heic

    picture = Heic(content, name)
    if picture.width * picture.height > max_pixels:
        raise ImageError(f"{name}: expected at most {max_pixels:,} pixels, got {picture.width} x {picture.height}")
    with enough_memory(name, picture.width, picture.height):
        return from_array(picture.decode())


def from_array(array: NDArray[Any]) -> RGB:
    """Return an array as RGB; see :func:`read_image` for what it may be."""
    array = np.asarray(array)  # no matrix, which keeps two dimensions
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ImageError(f"expected an array (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either order of bytes
        levels = (array if array.max() < 256 else array >> 8).astype(np.uint8)
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
    return over_grey(levels) if levels.shape[2] == 4 else np.ascontiguousarray(levels)


def _from_file(file: Any, max_pixels: int) -> RGB:
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) and name else "picture"
    try:
        content = read_stream(file, name)
        over = not content and getattr(file, "seekable", bool)() and file.tell() > 0
    except ImageError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError(f"{name}: expected a file open for reading bytes ({error})") from None
    except Exception as error:  # whoever unpacks or fetches it has errors of their own: gzip, zipfile, file systems
        raise ImageError(f"{name}: cannot be read ({str(error) or type(error).__name__})") from None
    if over:
        raise ImageError(f"{name}: it was read to its end before; seek(0) first")
    return decode(content, name, max_pixels)


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
            eight = upright.mode == "I" and levels.max() < 256
            return from_array((levels if eight else levels >> 8).astype(np.uint8))
        transparent = "transparency" in upright.info or (upright.mode != "LAB" and {"A", "a"} & set(upright.getbands()))
        return from_array(np.asarray(upright.convert("RGBA" if transparent else "RGB")))
    except _OF_PIL as error:
        raise ImageError(f"picture: cannot be decoded ({str(error) or 'is it closed?'})") from None


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
    image.load()  # some plugins turn it themselves then, and say so
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


def _decode(content: bytes) -> RGB | None:
    import cv2

    buffer = np.frombuffer(content + b"\n" if content.startswith(TEXT) else content, np.uint8)
    try:
        with quiet_opencv():
            if white := unusual_white(content):
                raw = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
                return None if raw is None else with_white(raw, white)
            picture = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
            if picture is None or not may_be_transparent(content):
                return None if picture is None else np.asarray(picture, np.uint8)
            raw = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        return None
    rgb = np.asarray(picture, np.uint8)
    if raw is not None and raw.ndim == 3 and raw.shape[2] == 4 and (upright := turned_like(rgb, raw)) is not None:
        lay_over_grey(rgb, upright, multiplied=is_multiplied(content, raw.dtype.itemsize))
    return rgb


@contextmanager
def enough_memory(name: str, width: int, height: int) -> Iterator[None]:
    """Make one error of what OpenCV, NumPy and ONNX Runtime raise where there is no memory for a picture.

    Args:
        name: Of the picture or the file; empty where the caller names it.
        width: In pixels.
        height: In pixels.

    Raises:
        ImageError: There is none.
    """
    import cv2

    try:
        yield
    except Exception as error:
        if not (
            isinstance(error, MemoryError)
            or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem)
            or (type(error).__module__.startswith("onnxruntime.") and "allocat" in str(error))
        ):
            raise
        named = f"{name}: " if name else ""
        raise ImageError(f"{named}there is not enough memory for {width} x {height} pixels") from None
