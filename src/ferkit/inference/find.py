"""Which files are there to be read: the pictures of a folder, by their names, and videos, by their names or beginnings.

The content decides in the end what a file is; this is for finding it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ferkit.files import exists, is_file, is_folder

ENDINGS = frozenset(
    ".avif .bmp .dib .gif .heic .heif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)
"""Endings of the names of picture files.

Those of HEIC, which needs an extra, are among them, so that an iPhone's pictures are not passed over in silence."""

VIDEO_ENDINGS = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv .y4m".split()  # noqa: SIM905
)
"""Of files that are videos by their name; others are looked into, if their name is no picture's either."""

_VIDEO = re.compile(
    rb"....(?:ftyp|moov|mdat|wide|pnot)|RIFF....AVI |\x1a\x45\xdf\xa3|FLV\x01|OggS|YUV4MPEG2|\x00\x00\x01[\xba\xb3]"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|(?:\x47.{187}){2}\x47|(?:.{4}\x47.{187}){2}",
    re.DOTALL,
)
"""How the files of MP4 and QuickTime, AVI, Matroska, Flash, Ogg, YUV4MPEG, MPEG, ASF and MPEG-TS begin."""

_ADDRESS = re.compile("[a-z][a-z0-9+.-]+:(?://|image/)", re.IGNORECASE)

_PICTURES = re.compile(rb"....ftyp(?:avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)


def find_images(folder: Path, leave_out: Path | None = None, endings: frozenset[str] = ENDINGS) -> list[Path]:
    """Return the files below ``folder`` whose names end as those of pictures do, sorted; hidden ones are left out.

    Subfolders that cannot be searched are among them, so that reading them tells why.

    Args:
        folder: Searched with its subfolders; links to folders are not followed.
        leave_out: A folder that is not searched.
        endings: What their names may end with, in small letters.
    """
    found: list[Path] = []

    def unsearched(error: OSError) -> None:
        found.append(Path(error.filename))

    for here, _, names in _walk(folder, leave_out, unsearched):
        paths = [here / name for name in names if name[0] != "." and Path(name).suffix.lower() in endings]
        # no pipes, but links that lead nowhere or out of reach
        found += [path for path in paths if is_file(path) or not exists(path)]
    return sorted(found)


def find_linked(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Return the links to folders that :func:`find_images` comes across and does not follow, sorted."""
    found = (here / name for here, folders, _ in _walk(folder, leave_out) for name in folders)
    return sorted(path for path in found if path.is_symlink())


def _walk(
    folder: Path, leave_out: Path | None, onerror: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder that is searched, and the names in it of folders that are not hidden, and of files."""
    left_out = None if leave_out is None else os.path.realpath(leave_out)
    for where, folders, names in os.walk(folder, onerror=onerror):
        here = Path(where)
        folders[:] = [name for name in folders if name[0] != "." and os.path.realpath(here / name) != left_out]
        yield here, folders, names


def is_address(source: str) -> bool:
    """Return whether ``source`` is an address, as ``https://...`` or ``data:image/...``, and no file's name."""
    return _ADDRESS.match(source) is not None and not os.path.lexists(source)


def is_video(source: str) -> bool:
    """Return whether ``source`` has the name of a video, or no picture's and begins as videos do."""
    if is_folder(source):
        return False
    ending = Path(source).suffix.lower()
    return ending in VIDEO_ENDINGS or (ending not in ENDINGS and _begins_as_video(source))


def begins_as_video(content: bytes) -> bool:
    """Return whether a file that begins with ``content``, 1,024 bytes or more if it has them, is a video."""
    return _VIDEO.match(content) is not None and _PICTURES.match(content) is None


def _begins_as_video(source: str) -> bool:
    try:
        if not stat.S_ISREG(Path(source).stat().st_mode):  # a pipe would be waited for, and lose what is read
            return False
        with Path(source).open("rb") as file:
            return begins_as_video(file.read(1024))
    except (OSError, ValueError):
        return False
