"""``ferkit serve``: recognition for browsers and other programs."""

import errno
import ipaddress
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferkit.cli.options import Detector, DetectorModel, Network, Views
from ferkit.processors import MOST_THREADS, usable_processors

if TYPE_CHECKING:
    import socket

    from ferkit.web.settings import Settings

PACKAGES = ["fastapi", "fastapi_offline", "httptools", "prometheus_client", "python_multipart", "uvicorn", "websockets"]
"""What the service needs beside recognition: those of the extra ``serve``."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

CONNECTIONS = 65_536
"""Open files of a process, if the user may have so many."""

_HANGUP: Any = getattr(signal, "SIGHUP", None)  # Windows has none


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8000,
    model: Network = None,
    detector: Detector = "haar",
    detector_model: DetectorModel = None,
    views: Views = "",
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", min=0, max=1, help="Below it an expression is `uncertain`.")
    ] = 0.0,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=MOST_THREADS, help="Processes; one of several that dies is replaced."),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, max=MOST_THREADS, help="Pictures a process reads at once; by default cores / workers."
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="A key a line; requests need one of them.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A name the service answers to, behind a proxy; may be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="Another page that may use it, as https://example.org; may be repeated."),
    ] = None,
    waiting: Annotated[
        int, typer.Option("--waiting", min=0, help="Requests that may wait in a process; further ones get 503.")
    ] = 6,
    max_body: Annotated[
        int, typer.Option("--max-body", min=1, help="Maximum size of a request, in bytes.")
    ] = 32_000_000,
    max_frame: Annotated[
        int, typer.Option("--max-frame", min=1, help="Maximum size of one frame of a stream, in bytes.")
    ] = 2_000_000,
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", min=1, help="Maximum number of pixels of a picture.")
    ] = 50_000_000,
    max_images: Annotated[
        int, typer.Option("--max-images", min=1, help="Maximum number of pictures in a request.")
    ] = 16,
    max_streams: Annotated[
        int, typer.Option("--max-streams", min=0, help="Maximum number of camera streams in each process.")
    ] = 16,
    upload_seconds: Annotated[
        float, typer.Option("--upload-seconds", min=0.1, help="Seconds in which the body of a request must arrive.")
    ] = 20.0,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Seconds from the arrival of the body to the answer, at most.")
    ] = 30.0,
    per_minute: Annotated[
        int, typer.Option("--per-minute", min=0, help="Requests of a client a minute and process; 0: any number.")
    ] = 0,
) -> None:
    """Serve recognition: a page at /, REST at /v1, documentation at /docs.

    Listens on this machine alone unless --host says otherwise. No picture is stored or logged. SIGTERM and Ctrl-C let
    running requests finish.
    """
    import importlib.util

    from ferkit.errors import MissingExtraError

    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "serve")
    from ferkit.inference.views import parse_views

    settings = _settings(
        model=model,
        detector=detector,
        detector_model=detector_model,
        views=parse_views(views),
        min_confidence=min_confidence,
        api_key_file=api_key_file,
        hosts=_hosts(host, [_host_name(name) for name in allow_host or []]),
        origins=tuple(origin.rstrip("/") for origin in allow_origin or []),
        threads=threads or max(1, usable_processors() // workers),
        waiting=waiting,
        streams=max_streams,
        body_bytes=max_body,
        frame_bytes=max_frame,
        pixels=max_pixels,
        images=max_images,
        upload_seconds=upload_seconds,
        seconds=seconds,
        per_minute=per_minute,
    )
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(settings.pixels)  # the decoder itself obeys, whatever a head says
    _check(settings)
    listening = _listen(host, port)
    if api_key_file is None and _loopback(host) is None:
        typer.echo(
            f"warning: whoever reaches this machine ({host}) may use the service; --api-key-file asks for a key",
            err=True,
        )
    _run(settings, listening, workers)


def _settings(**given: Any) -> "Settings":
    """Return the settings; what Typer cannot check, as infinity, is refused in its way."""
    from pydantic import ValidationError

    from ferkit.errors import ServiceError
    from ferkit.web.settings import Settings

    for value in given.values():
        if isinstance(value, Path) and not _is_utf8(value):
            raise ServiceError(f"{value}: expected a name in UTF-8; rename it")
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = {"origins": "allow-origin"}.get(name := str(first["loc"][0]), name.replace("_", "-"))
        raise typer.BadParameter(first["msg"].removeprefix("Value error, "), param_hint=f"'--{option}'") from None


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _hosts(host: str, allowed: list[str]) -> tuple[str, ...]:
    """Return the names to answer to: those of this machine and those asked for; any where it listens outside."""
    bound = _loopback(host)
    if bound is None and not allowed:
        return ()
    return tuple(dict.fromkeys(map(_as_named, (*LOOPBACK, *([] if bound is None else [host, bound]), *allowed))))


def _host_name(name: str) -> str:
    """Return ``name`` where it is one, without what belongs to an address."""
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        if not name or set("/:@[] ") & set(name):
            raise typer.BadParameter(
                f"expected a name alone, as faces.example.org, without scheme and port, got {name!r}",
                param_hint="'--allow-host'",
            ) from None
    return bare


def _loopback(host: str) -> str | None:
    """Return the address that ``host`` stands for where this machine alone can reach it, however it is written."""
    import socket

    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):  # listening there will say why
        return None
    return address if ipaddress.ip_address(address.partition("%")[0]).is_loopback else None


def _as_named(host: str) -> str:
    """Return ``host`` as the header Host has it."""
    return f"[{host}]" if ":" in host else host.lower()


def _check(settings: "Settings") -> None:
    """Say here and in one line what would end every process of the service."""
    from ferkit.inference.recognizer import Recognizer
    from ferkit.web.keys import Keys

    Keys(settings.api_key_file)
    Recognizer(settings.model, detector=settings.detector, detector_model=settings.detector_model)


def _listen(host: str, port: int) -> "socket.socket":
    import socket

    from ferkit.errors import ServiceError

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        foreign = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        why = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        hint = "expected a name or an address of this machine in --host" if foreign else "try another --port"
        raise ServiceError(f"cannot listen on {host}:{port} ({why}); {hint}") from None
    except UnicodeError:  # of a name no host can have
        raise ServiceError(
            f"cannot listen on {host!r}: expected a name or an address of this machine in --host"
        ) from None
    listening.set_inheritable(True)
    return listening


def _end_by_hangup() -> None:
    """Let a terminal that is closed end the service as SIGTERM does, unless it is to survive that, as by ``nohup``."""
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        signal.signal(_HANGUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def _run(settings: "Settings", listening: "socket.socket", workers: int) -> None:
    import uvicorn

    from ferkit.web.protocol import LimitedHttp, LimitedStream
    from ferkit.web.settings import to_environment

    to_environment(settings)
    _allow_connections()
    for number in (signal.SIGTERM, signal.SIGINT):  # raised again by uvicorn in the end: to systemd a clean one, which
        signal.signal(number, signal.SIG_DFL)  # waits for no thread that still reads a picture
    config = uvicorn.Config(
        "ferkit.web.app:create_app",
        factory=True,
        http=LimitedHttp,
        ws=LimitedStream,
        workers=workers,
        log_config=_log_config(),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=settings.frame_bytes,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=int(settings.seconds) + 5,
    )
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if workers == 1:
        _end_by_hangup()
        _Server(config, address).run(sockets=[listening])
        return
    import shutil
    import tempfile

    shared = tempfile.mkdtemp(prefix="ferkit-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # counts of all processes, no picture
    try:
        typer.echo(f"ferkit serves on {address}, {workers} processes; Ctrl-C stops it", err=True)
        _Workers(config, listening).run()
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _allow_connections() -> None:
    """Let many connections be open: the usual 1,024 are soon taken."""
    try:
        import resource
    except ImportError:  # Windows
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _Server(config: Any, address: str) -> Any:  # noqa: N802 - uvicorn is loaded late
    """Return uvicorn's server, which says where it listens as soon as it does."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: "list[socket.socket] | None" = None) -> None:
            await super().startup(sockets)
            if self.started:
                typer.echo(f"ferkit serves on {address}; Ctrl-C stops it", err=True)
                sys.stderr.flush()

    return Server(config)


def _Workers(config: Any, listening: "socket.socket") -> Any:  # noqa: N802 - as above
    """Return uvicorn's supervisor of several processes; by a hangup it ends, where uvicorn's starts them anew."""
    from uvicorn.supervisors import Multiprocess

    class Workers(Multiprocess):
        def handle_hup(self) -> None:
            self.handle_term()

    survives = _HANGUP is not None and signal.getsignal(_HANGUP) is signal.SIG_IGN
    workers = Workers(config, [listening])  # takes all signals
    if survives:
        signal.signal(_HANGUP, signal.SIG_IGN)
    return workers


def _log_config() -> dict[str, Any]:
    """Return a log of warnings and errors alone: neither addresses nor names of pictures enter it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"stderr": {"()": "ferkit.web.log.log_handler", "formatter": "plain"}},
        "loggers": {
            "python_multipart": {"level": "CRITICAL"},  # warns of every body it cannot read; the client is told
            **{
                name: {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
                for name in ("uvicorn", "ferkit.web")
            },
        },
    }
