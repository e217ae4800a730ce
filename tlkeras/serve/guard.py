"""What stands before every request: who may ask, what a browser may do with an answer, and no traceback for anybody."""

import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from tlkeras.serve.problems import MEDIA_TYPE, ProblemError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("tlkeras")
_OPEN = ("/", "/healthz", "/openapi.json")
"""Paths that say nothing about the model, so that no token is asked for: a page cannot send one with its first request."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        names: Host names, in lower case, under which the server may be addressed.
        addresses: Whether any IP address will do as a host name. A page of another site that had its own name resolve to this
            machine (DNS rebinding) would send that name.
        token: What a request must bring as `Authorization: Bearer …`; None where everybody on this machine may ask.
    """

    names: frozenset[str]
    addresses: bool = False
    token: str | None = None


def guard(app: App, access: Access, content_policy: str) -> App:
    """Return the application behind its checks.

    Args:
        app: An ASGI application.
        access: Who may ask.
        content_policy: The Content-Security-Policy of every answer.
    """
    fixed = {**_HEADERS, "Content-Security-Policy": content_policy}
    extra = [(name.lower().encode(), value.encode()) for name, value in fixed.items()]

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            _check(scope, access)
            await app(scope, receive, send_with_headers)
        except ProblemError as problem:
            await send_problem(problem, send_with_headers)
        except Exception as error:
            _log.error("%s %s failed: %s: %s", scope["method"], ascii(scope["path"])[:80], type(error).__name__, error)
            _log.debug("The traceback:", exc_info=error)
            if not started:
                await send_problem(ProblemError(500, "The server failed. Its log says why."), send_with_headers)

    return guarded


async def send_problem(problem: ProblemError, send: Send) -> None:
    """Send a refusal, and close the connection: what is left of the request is not read."""
    headers = {**problem.headers, "Content-Type": MEDIA_TYPE, "Content-Length": str(len(problem.body)), "Connection": "close"}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": problem.body})


def _check(scope: Scope, access: Access) -> None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if not _is_ours(headers.get("host", ""), access):
        raise ProblemError(400, "This server is not addressed by that Host. Use the address that it printed when it started.")
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/":
        raise ProblemError(403, "A page of another site may not use this server.")
    if access.token is None or scope["path"] in _OPEN:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), access.token.encode()):
        raise ProblemError(
            401,
            "A token is needed: Authorization: Bearer TOKEN. It was printed when the server started.",
            {"WWW-Authenticate": "Bearer"},
        )


def _is_ours(host: str, access: Access) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").rstrip(".").lower()
    if name in access.names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return access.addresses
