"""API keys: where they come from, where a request has its own, and whether it is one of them."""

import codecs
import hmac
from pathlib import Path

from starlette.datastructures import Headers

from ferkit.errors import ServiceError
from ferkit.files import exists, is_file
from ferkit.web.refusals import UNAUTHORIZED, Refusal

SHORTEST = 16
"""Characters of a key; shorter ones can be guessed."""


class Keys:
    """The keys of a service; without any, everybody may use it."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the keys in ``file``: one a line, empty lines and those that begin with # left out.

        Raises:
            ServiceError: The file cannot be read, holds no key, or one that is too short.
        """
        self._keys = () if file is None else _read(file)

    @property
    def needed(self) -> bool:
        """Whether a request needs one."""
        return bool(self._keys)

    def knows(self, given: str) -> bool:
        """Return whether a key is one of ours; the time it takes does not tell how near it is."""
        sent = given.encode(errors="surrogatepass")
        same = [hmac.compare_digest(key, sent) for key in self._keys]  # every one is compared
        return any(same)

    def check(self, given: str) -> None:
        """Refuse a key that is none of ours."""
        if self._keys and not self.knows(given):
            missing = "This service needs an API key in the header X-API-Key."
            raise Refusal(UNAUTHORIZED, "The API key is wrong." if given else missing)


def given_key(headers: Headers) -> str:
    """Return the API key of a request; empty if it has none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")


def _read(file: Path) -> tuple[bytes, ...]:
    if exists(file) and not is_file(file):  # each process reads it for itself, and a pipe can be read but once
        raise ServiceError(f"{file}: expected a file with a key a line, got a folder, a pipe or a device")
    try:
        lines = [line.strip() for line in file.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()]
    except OSError as error:
        raise ServiceError(f"{file}: cannot be read ({error.strerror or error})") from None
    keys = {number: line for number, line in enumerate(lines, start=1) if line and not line.startswith(b"#")}
    if not keys:
        raise ServiceError(f"{file}: expected a key a line, got none")
    for number, key in keys.items():
        if len(key) < SHORTEST:
            raise ServiceError(f"{file}:{number}: expected a key of at least {SHORTEST} characters")
        if not key.isascii():  # there is no telling how a client would send it
            raise ServiceError(f"{file}:{number}: expected a key of ASCII characters alone")
    return tuple(keys.values())
