"""The pictures of a request: a multipart form to the bytes of its files, in memory, within the limits."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ferkit.errors import ImageError
from ferkit.inference.heads import check_avif, is_heic
from ferkit.web.refusals import INVALID, NOT_A_PICTURE, TOO_MANY_PICTURES, Refusal
from ferkit.web.settings import Settings

FIELD = "images"
"""Name of the form's field."""

_KINDS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM|II\*\x00|MM\x00\*", re.DOTALL)
KINDS = "JPEG, PNG, WebP, GIF, BMP or TIFF"
"""What the service opens: fewer kinds than the command line, as anybody may send anything."""

_PARTS = 64  # of a form, files and others
_NAME = 120  # characters of a file's name that are kept


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a request."""

    name: str
    content: bytes


class _Parser(MultiPartParser):
    """Refuses a form that is cut off, of which Starlette drops the last part without a word."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], **limits: int) -> None:
        super().__init__(headers, self._checked(stream), **limits)
        self._begun = self._ended = False

    async def _checked(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:  # the next is asked for when this one is taken apart
            yield chunk
        if self._begun and not self._ended:
            raise MultiPartException("it ends before its last boundary")

    def on_part_begin(self) -> None:
        """Note that there is a part."""
        self._begun = True
        super().on_part_begin()

    def on_end(self) -> None:
        """Note that the last boundary has come."""
        self._ended = True


async def read_uploads(request: Request, settings: Settings) -> list[Upload]:
    """Return the pictures of a request; at least one.

    Raises:
        Refusal: There is none, there are too many, it is no form, or one is no picture.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refusal(NOT_A_PICTURE, f"Expected multipart/form-data with pictures in the field {FIELD!r}.")
    parser = _Parser(
        request.headers, request.stream(), max_files=settings.images + _PARTS, max_fields=_PARTS, max_part_size=10_000
    )
    parser.spool_max_size = settings.body_bytes + 1  # no picture is written to a disk, not even for a moment
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        if (said := _plain(error)).startswith("Too many files"):
            raise _too_many(settings, "many more") from None
        if said.startswith("Part exceeded"):  # of more than a part may have that is no file
            raise _no_file() from None
        raise Refusal(INVALID, f"Expected a whole multipart form: {said}.") from None
    try:
        given = [value for name, value in form.multi_items() if name == FIELD]
        files = [value for value in given if isinstance(value, UploadFile)]
        if len(files) < len(given):  # answers would not be in the order of what was sent
            raise _no_file()
        if not files:
            raise Refusal(INVALID, f"Expected at least one picture in the field {FIELD!r}, got none.")
        if len(files) > settings.images:
            raise _too_many(settings, str(len(files)))
        uploads = [Upload(_shown(file.filename or "picture"), await file.read()) for file in files]
    finally:
        await form.close()
    for upload in uploads:
        check_kind(upload.content, upload.name)
    return uploads


def check_kind(content: bytes, name: str) -> None:
    """Raise a Refusal unless ``content`` begins as a picture of a known kind does."""
    if not content:
        raise Refusal(NOT_A_PICTURE, f"{name}: expected a picture, got an empty file.")
    if is_heic(content):
        raise Refusal(NOT_A_PICTURE, f"{name}: HEIC cannot be read; convert it to JPEG.")
    try:
        check_avif(content, name)  # which says what to do about it
    except ImageError as error:
        raise Refusal(NOT_A_PICTURE, f"{error}.") from None
    if not _KINDS.match(content):
        raise Refusal(NOT_A_PICTURE, f"{name}: expected {KINDS}, got something else.")


def _too_many(settings: Settings, got: str) -> Refusal:
    return Refusal(TOO_MANY_PICTURES, f"Expected at most {settings.images} pictures a request, got {got}.")


def _no_file() -> Refusal:
    return Refusal(
        INVALID, f"Expected files in the field {FIELD!r}, got a text, or a part without a file's name (filename=)."
    )


def _shown(name: str) -> str:
    """Return a file's name without what does not belong into a line."""
    return "".join(letter for letter in name if letter.isprintable())[:_NAME] or "picture"


def _plain(error: Exception) -> str:
    return (str(getattr(error, "message", error)) or type(error).__name__).rstrip(".")[:200]
