"""The addresses of the service."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from ferkit.inference.tracks import SMOOTHING
from ferkit.web.answers import ErrorAnswer, ModelAnswer, RecognizeAnswer, Status
from ferkit.web.refusals import STARTING, TOO_MANY_PICTURES, WORDS, Refusal
from ferkit.web.state import Service
from ferkit.web.uploads import FIELD, KINDS, read_uploads

MinConfidence = Annotated[
    float | None,
    Query(ge=0, le=1, description="Below it an expression is `uncertain`; the service's own if left out."),
]
Smoothing = Annotated[float, Query(ge=0, le=60, description="Time constant of the readings, in seconds; 0: none.")]


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer, "description": WORDS[status]} for status in statuses}


def _form(many: bool) -> dict[str, Any]:
    file = {"type": "string", "format": "binary", "description": f"{KINDS}."}
    pictures = {"type": "array", "items": file, "minItems": 1} if many else file
    schema = {"type": "object", "required": [FIELD], "properties": {FIELD: pictures}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


PLACED = _responses(403, 421)
KEYED = PLACED | _responses(401, 429)
READ = KEYED | _responses(408, 413, 415, 422, 503)

router = APIRouter()


@router.post("/v1/recognize", response_model=RecognizeAnswer, responses=READ, openapi_extra=_form(many=True))
async def recognize(request: Request, min_confidence: MinConfidence = None) -> Response:
    """Find the faces in one or several pictures and read their expressions.

    All pictures or none: one that cannot be read refuses the whole request, and the answer names it.
    """
    service = Service.of(request)
    uploads = await read_uploads(request, service.settings)
    began = time.perf_counter()
    return JSONResponse(
        await service.desk.do(lambda: service.reader.answer(uploads, service.min_confidence(min_confidence), began))
    )


@router.post(
    "/v1/recognize/annotated",
    response_class=Response,
    responses=READ | {200: {"content": {"image/png": {}}, "description": "The picture with its faces drawn in."}},
    openapi_extra=_form(many=False),
)
async def annotated(request: Request, min_confidence: MinConfidence = None) -> Response:
    """Return one picture as a PNG with a square and a label for each face."""
    service = Service.of(request)
    uploads = await read_uploads(request, service.settings)
    if len(uploads) != 1:
        raise Refusal(TOO_MANY_PICTURES, f"Expected one picture, got {len(uploads)}.")
    return Response(
        await service.desk.do(lambda: service.reader.drawn(uploads[0], service.min_confidence(min_confidence))),
        media_type="image/png",
    )


@router.head("/v1/model", include_in_schema=False)
@router.get("/v1/model", response_model=ModelAnswer, responses=KEYED)
async def model(request: Request) -> Response:
    """Return the card of the network: where it comes from, what it was measured at, and the limits of a request."""
    return JSONResponse(Service.of(request).card)


@router.websocket("/v1/stream")
async def stream(socket: WebSocket, smoothing: Smoothing = SMOOTHING, min_confidence: MinConfidence = None) -> None:
    """Read the frames of a camera; see :mod:`ferkit.web.stream`."""
    service = Service.of(socket)
    await service.streams.serve(socket, smoothing, service.min_confidence(min_confidence))


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=Status, responses=PLACED)
async def health() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", response_model=Status, responses=PLACED | _responses(503))
async def ready(request: Request) -> dict[str, str]:
    """Say whether requests are answered: the network is loaded, and there is room for another request."""
    service = Service.of(request)
    if service.desk.taken >= service.desk.threads + service.desk.waiting:
        raise Refusal(STARTING, "The service is busy.", service.desk.retry_after())
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=Response,
    responses=KEYED | {200: {"content": {"text/plain": {}}, "description": "For Prometheus."}},
)
async def metrics(request: Request) -> Response:
    """Return counts and times for Prometheus."""
    meters = Service.of(request).meters
    return Response(meters.text(), headers={"Content-Type": meters.content_type})
