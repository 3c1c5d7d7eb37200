"""What a service may take, and how much of it; every limit is here."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

ENVIRONMENT = "FERKIT_SERVE"
"""Variable that carries the settings, as JSON, to the processes of a service."""

HELD_BYTES = 256_000_000
"""Of all bodies at the same time, where nobody says how many."""


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = text == f"{parts.scheme}://{parts.netloc}" and parts.scheme in {"http", "https"} and parts.hostname
    except ValueError:
        sound = None
    if not sound:
        raise ValueError(f"expected an origin such as https://example.org, got {text!r}")
    return text.lower()


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Settings:
    """Of one service.

    Raises:
        pydantic.ValidationError: A setting is out of its range.
    """

    model: str | Path | None = None
    """As :class:`ferkit.Recognizer` takes it."""

    detector: str = "haar"
    """As :class:`ferkit.Recognizer` takes it."""

    detector_model: Path | None = None
    """The file that ``yunet`` needs."""

    views: tuple[str, ...] = ()
    """As :class:`ferkit.Recognizer` takes them."""

    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Below it an expression is ``uncertain``, where a request says nothing else."""

    api_key_file: Path | None = None
    """One key a line; without it everybody who reaches the service may use it."""

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names the service answers to; empty: any. So no page elsewhere reaches it under a name of its own."""

    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    """Origins of other pages that may use the service from a browser, such as ``https://example.org``."""

    threads: Annotated[int, Field(ge=1)] = 1
    """Pictures that are read at the same time, in each process."""

    waiting: Annotated[int, Field(ge=0)] = 6
    """Requests that may wait for a thread; further ones are answered 503."""

    streams: Annotated[int, Field(ge=0)] = 16
    """Camera streams at the same time, in each process."""

    body_bytes: Annotated[int, Field(ge=1)] = 32_000_000
    """Of the body of a request."""

    frame_bytes: Annotated[int, Field(ge=1)] = 2_000_000
    """Of a frame of a stream. A stream may hold several, and others one before they have shown a key."""

    held_bytes: Annotated[int, Field(ge=1)] | None = None
    """Of the bodies of all requests that are being received at the same time, in each process; by default
    :data:`HELD_BYTES`, or twice :attr:`body_bytes` where that is more."""

    pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Of one picture."""

    images: Annotated[int, Field(ge=1)] = 16
    """Pictures a request."""

    upload_seconds: Annotated[float, Field(gt=0)] = 20.0
    """Until the body of a request has arrived."""

    seconds: Annotated[float, Field(gt=0)] = 30.0
    """From then until its answer."""

    per_minute: Annotated[int, Field(ge=0)] = 0
    """Requests a client may make a minute in each process; 0: any number."""


def to_environment(settings: Settings) -> None:
    """Leave ``settings`` to the processes that are started from here on."""
    os.environ[ENVIRONMENT] = TypeAdapter(Settings).dump_json(settings).decode()


def from_environment() -> Settings:
    """Return the settings that :func:`to_environment` left."""
    return TypeAdapter(Settings).validate_json(os.environ[ENVIRONMENT])
