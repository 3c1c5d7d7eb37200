"""How the service says no: a status, a word for programs and a sentence for people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of saying no."""

    status: int
    """HTTP's."""
    code: str
    """For programs."""


UNAUTHORIZED = Kind(401, "unauthorized")
FORBIDDEN = Kind(403, "forbidden_origin")
NOT_FOUND = Kind(404, "not_found")
NOT_ALLOWED = Kind(405, "method_not_allowed")
UPLOAD_TOO_SLOW = Kind(408, "upload_too_slow")
BODY_TOO_LARGE = Kind(413, "body_too_large")
NOT_A_PICTURE = Kind(415, "unsupported_media_type")
INVALID = Kind(422, "invalid_request")
BAD_PICTURE = Kind(422, "bad_picture")
TOO_MANY_PICTURES = Kind(422, "too_many_pictures")
WRONG_HOST = Kind(421, "wrong_host")
TOO_MANY_REQUESTS = Kind(429, "too_many_requests")
FAILED = Kind(500, "internal_error")
BUSY = Kind(503, "busy")
TOO_SLOW = Kind(503, "too_slow")
STARTING = Kind(503, "not_ready")

WORDS = {
    401: "The API key is missing or wrong.",
    403: "The request comes from a page that may not use this service.",
    408: "The body of the request did not arrive in time.",
    413: "The body of the request is too large.",
    415: "The request is no multipart form, or a file in it is no picture of a known kind.",
    421: "The service does not answer to the name in the header `Host`.",
    422: "A picture is damaged or too large, there are too many, or a parameter is out of its range.",
    429: "This client has made too many requests in the last minute; `Retry-After` says when to come back.",
    503: "Too much is waiting already, or the answer took too long; `Retry-After` says when to come back.",
}
"""What each status means, for the documentation."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Ends a request with an answer that is not 200."""

    def __init__(self, kind: Kind, sentence: str, retry_after: int | None = None) -> None:
        """Say no.

        Args:
            kind: In which way.
            sentence: What was expected and what came, or what to do next.
            retry_after: Seconds after which it is worth to try again.
        """
        super().__init__(sentence)
        self.kind, self.sentence, self.retry_after = kind, sentence, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What belongs into the head of the answer."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"WWW-Authenticate": "ApiKey"} if self.kind is UNAUTHORIZED else {})

    def to_dict(self) -> dict[str, str]:
        """Return the body of the answer."""
        return {"code": self.kind.code, "error": self.sentence}
