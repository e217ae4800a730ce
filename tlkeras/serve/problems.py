"""Refusals as JSON: RFC 9457 (Problem Details for HTTP APIs), never with a traceback."""

import json
from collections.abc import Mapping
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1


class ProblemError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        detail: What came, what is allowed, the way out; goes to the client as it is.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    @property
    def body(self) -> bytes:
        """The response's body, JSON in ASCII."""
        return json.dumps({"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail}).encode()


def busy(detail: str) -> ProblemError:
    """Return the refusal of a server that has too much to do right now."""
    return ProblemError(503, detail, {"Retry-After": str(RETRY_SECONDS)})
