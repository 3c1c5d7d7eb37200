"""The service as one ASGI application."""

import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from ferkit import __version__
from ferkit.inference.quiet import silent_libraries
from ferkit.web import refusals
from ferkit.web.guard import PROTECTED, Guard
from ferkit.web.keys import Keys
from ferkit.web.meters import Meters
from ferkit.web.refusals import Kind, Refusal
from ferkit.web.routes import router
from ferkit.web.settings import ENVIRONMENT, Settings, from_environment
from ferkit.web.state import Service
from ferkit.web.stream import INVALID_FRAME

PAGE = Path(__file__).with_name("page")
"""What the browser gets."""

_ABOUT = """Faces in pictures to expressions, with calibrated probabilities. No picture is stored or logged.

Where the service has API keys, send one in the header `X-API-Key`. Camera frames go over the WebSocket `/v1/stream`:
binary messages with a picture each, a JSON text back for each that was read; frames that come too fast are dropped.
What a refused request gets is `{"code": ..., "error": ...}`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service; the network is loaded when it starts.

    Args:
        settings: Limits and files; those left in the environment, or the defaults, if left out.

    Raises:
        ServiceError: The file of API keys cannot be used.
    """
    if settings is None:
        settings = from_environment() if ENVIRONMENT in os.environ else Settings()
    keys = Keys(settings.api_key_file)
    meters = Meters()
    app = FastAPI(
        title="ferkit",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy the address would be one of this side of it
        lifespan=_lifespan,
        # FastAPI makes traces and logs of every request, exception texts among them, and sends them on where the
        # environment says so; what becomes of a picture is no business of others.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.settings, app.state.keys, app.state.meters = settings, keys, meters
    app.include_router(router)
    _add_pages(app)
    _add_refusals(app)
    app.add_middleware(Guard, settings=settings, keys=keys, meters=meters)
    if settings.origins:  # outermost: a page has to see why it was refused, too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "Authorization"],
            expose_headers=["Retry-After"],
        )
    if keys.needed:
        _document_keys(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # requests are read side by side instead
    service = Service(app.state.settings, app.state.keys, app.state.meters)
    service.reader.warm_up()
    app.state.service = service
    own = ENVIRONMENT in os.environ  # a process of `ferkit serve`, which has no other use for stderr
    if own:
        _end_with_parent()
    with silent_libraries() if own else nullcontext():
        yield
    service.desk.close()
    app.state.meters.close()
    cv2.setNumThreads(threads)
    parent = multiprocessing.parent_process()
    if own and parent is not None and not parent.is_alive():
        app.state.meters.remove_shared()  # it would have


def _end_with_parent() -> None:
    """Stop as by SIGTERM when the process that started this one, one of several, is gone; it also hears hangups."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _document_keys(app: FastAPI) -> None:
    """Say in the OpenAPI document where a key is needed, so that /docs can send one."""
    plain = app.openapi

    def with_keys() -> dict[str, Any]:
        schema = plain()
        schema["components"]["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
        for path, operations in schema["paths"].items():
            if path.startswith(PROTECTED):
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
        return schema

    app.openapi = with_keys  # type: ignore[method-assign]


def _add_pages(app: FastAPI) -> None:
    files = StaticFiles(directory=PAGE)  # which says where what a browser kept is still good

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.head("/docs", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def documentation(request: Request) -> Response:
        return await files.get_response("docs.html", request.scope)

    app.mount("/page", files)
    app.mount("/docs/assets", StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))


def _invalid(error: ValidationException) -> Refusal:
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    return Refusal(refusals.INVALID, f"{where}: {first['msg']}.")


def _add_refusals(app: FastAPI) -> None:
    """Give every answer that is not 200 the same form."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return JSONResponse(refusal.to_dict(), refusal.kind.status, refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return await refused(_, _invalid(error))

    @app.exception_handler(WebSocketRequestValidationError)
    async def invalid_stream(socket: WebSocket, error: WebSocketRequestValidationError) -> None:
        await socket.accept()
        await socket.send_json({"type": "error", **_invalid(error).to_dict()})
        await socket.close(INVALID_FRAME)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        known = {404: refusals.NOT_FOUND, 405: refusals.NOT_ALLOWED}
        kind = known.get(error.status_code, Kind(error.status_code, "http_error"))
        response = await refused(_, Refusal(kind, f"{error.detail}."))
        response.headers.update(error.headers or {})
        return response
