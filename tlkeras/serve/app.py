"""The web application: routes, what a request must look like, and how many are dealt with at once."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tlkeras.serve.engine import Engine
from tlkeras.serve.guard import Access, App, guard
from tlkeras.serve.openapi import describe
from tlkeras.serve.problems import MEDIA_TYPE, ProblemError, busy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_DISCARD_SECONDS, _DISCARD_FACTOR = 2, 4
"""A client that is still sending when the connection is closed never sees the answer, so some of a refused body is read."""
_MEANINGS = {404: "There is nothing here.", 405: "This method is not allowed here."}


def build_app(engine: Engine, access: Access) -> App:
    """Return the ASGI application.

    Args:
        engine: What answers.
        access: Who may ask.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    page = files("tlkeras.serve").joinpath("page.html").read_text(encoding="utf-8")
    document = describe(engine.predictor, engine.limits, token=access.token is not None)
    slots = asyncio.Semaphore(engine.limits.waiting)

    async def show_page(request: "Request") -> "Response":
        return HTMLResponse(page)

    async def health(request: "Request") -> "Response":
        return _json({"status": "ok"})

    async def openapi(request: "Request") -> "Response":
        return _json(document)

    async def model(request: "Request") -> "Response":
        return _json(_model(engine))

    async def post(answer: Callable[..., Awaitable[dict[str, Any]]], takes_top: bool, request: "Request") -> "Response":
        options = {"top": _top(request)} if takes_top else {}
        if slots.locked():
            await _discard(request, engine)
            raise busy(f"{engine.limits.waiting} requests are being dealt with already. Try again.")
        async with slots:
            body = await _read_body(request, engine)
            try:
                async with asyncio.timeout(engine.limits.answer_seconds):
                    return _json(await answer(body, **options))
            except TimeoutError:
                raise busy(f"The answer took longer than {engine.limits.answer_seconds:g} s. Try again.") from None

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(engine.prepare())
        yield
        task.cancel()
        engine.close()

    posts = {"predict": (engine.predict, True), "explain": (engine.explain, True), "similar": (engine.similar, False)}
    gets = {"/": show_page, "/healthz": health, "/openapi.json": openapi, "/v1/model": model}
    app = Starlette(
        routes=[
            *(Route(path, endpoint) for path, endpoint in gets.items()),
            *(Route(f"/v1/{name}", partial(post, *spec), methods=["POST"]) for name, spec in posts.items()),
        ],
        exception_handlers=dict.fromkeys((ProblemError, HTTPException, Exception), _refuse),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return guard(app, access, content_policy(page))


def _json(value: Any) -> "Response":
    """Return JSON in ASCII, so that any label survives, one that is not valid Unicode included."""
    from starlette.responses import Response

    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _refuse(request: "Request", error: Exception) -> "Response":
    """Turn what went wrong into a response; the connection is closed, because the rest of the request was not read."""
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

    if isinstance(error, HTTPException):
        detail = _MEANINGS.get(error.status_code, error.detail)
        error = ProblemError(error.status_code, f"{detail} See /openapi.json", error.headers)
    problem = error if isinstance(error, ProblemError) else ProblemError(500, "The server failed. Its log says why.")
    headers = {**problem.headers, "Connection": "close"}
    return Response(problem.body, problem.status, headers, media_type=MEDIA_TYPE)


def content_policy(page: str) -> str:
    """Return a policy under which only the page's own script and style run, by their digests (CSP level 3, hash-source)."""

    def digests(tag: str) -> str:
        found = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in found)

    return (
        f"default-src 'none'; script-src {digests('script')}; style-src {digests('style')}; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _model(engine: Engine) -> dict[str, Any]:
    predictor, limits = engine.predictor, engine.limits
    return {
        "name": predictor.path.name,
        "source": predictor.contract.get("source", {}).get("name"),
        "task": predictor.task,
        "modality": predictor.modality,
        "labels": list(predictor.labels),
        "similar": engine.similar_state,
        "limits": {"body_bytes": limits.body_bytes, "pixels": limits.pixels, "characters": limits.characters},
    }


def _top(request: "Request") -> int | None:
    given = request.query_params.get("top")
    if given is None:
        return None
    if not re.fullmatch("[1-9][0-9]{0,5}", given, re.ASCII):
        raise ProblemError(400, "`top` is a number of scores, from 1 to 999999.")
    return int(given)


async def _read_body(request: "Request", engine: Engine) -> bytes:
    """Return the body, read within a time and never more than the limit.

    Raises:
        ProblemError: Its length is not given (411), too large (413) or zero (422); its type is wrong (415); it comes too slowly
            (408), or not at all (400).
    """
    from starlette.requests import ClientDisconnect

    limits = engine.limits
    length = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not re.fullmatch("[0-9]{1,18}", length, re.ASCII):
        await _discard(request, engine)
        raise ProblemError(411, "The length of the body is needed: Content-Length; chunks are not read.")
    if int(length) > limits.body_bytes:
        await _discard(request, engine)
        raise ProblemError(413, f"The body has {int(length):,} bytes; the limit is {limits.body_bytes:,}. Send a smaller one.")
    _check_type(request.headers.get("content-type", ""), engine.predictor.modality)
    if int(length) == 0:
        raise ProblemError(422, "The body is empty.")
    try:
        async with asyncio.timeout(limits.read_seconds):
            return await request.body()
    except ClientDisconnect:
        raise ProblemError(400, "The body ended before its Content-Length.") from None
    except TimeoutError:
        raise ProblemError(408, f"The body did not arrive within {limits.read_seconds:g} s.") from None


def _check_type(given: str, modality: str) -> None:
    kind = given.partition(";")[0].strip().lower()
    if modality == "text" and kind != "application/json":
        raise ProblemError(415, 'This model reads texts: Content-Type: application/json, the body {"text": "…"}.')
    if modality == "image" and not (kind.startswith("image/") or kind == "application/octet-stream"):
        raise ProblemError(
            415, "This model reads pictures: Content-Type: image/jpeg (or another image/…), the body is the file itself."
        )


async def _discard(request: "Request", engine: Engine) -> None:
    """Read and forget some of a body that is refused."""
    left = _DISCARD_FACTOR * engine.limits.body_bytes
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
