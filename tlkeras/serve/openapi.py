"""The API in words that programs read: an OpenAPI 3.1 document."""

from typing import TYPE_CHECKING, Any

import tlkeras
from tlkeras.serve.limits import Limits
from tlkeras.serve.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from tlkeras.export.predict import Predictor

_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_PROBLEMS = {
    400: "The request is malformed, or addressed to another host.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    404: "There are no training examples: no run folder is served.",
    408: "The body came too slowly.",
    411: "Content-Length is missing.",
    413: "The body, the picture or the text is too large.",
    415: "The Content-Type is not that of the model's input.",
    422: "The body is not a picture that can be read, or not the JSON that is expected.",
    500: "The server failed.",
    503: "The server has too much to do; Retry-After says when to try again.",
}
_TOP = {
    "name": "top",
    "in": "query",
    "description": "How many scores to give, the best first; all if not given.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999},
}


def describe(predictor: "Predictor", limits: Limits, *, token: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        predictor: The model that is served.
        limits: What is accepted.
        token: Whether requests need a token.
    """
    body = _body(predictor.modality, limits)
    posts = {
        "predict": ("Answer for one input", "Answer", body, [_TOP]),
        "explain": ("Answer, and how much of it hangs on each part of the input", "Explained", body, [_TOP]),
        "similar": ("The nearest training examples", "Similar", body, []),
    }
    gets: dict[str, tuple[str, dict[str, Any], bool]] = {
        "/healthz": ("Whether the server runs", {"type": "object", "properties": {"status": {"const": "ok"}}}, False),
        "/v1/model": ("What is served", {"$ref": "#/components/schemas/Model"}, token),
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "tlkeras serve", "version": tlkeras.__version__, "description": _description(predictor, limits)},
        "paths": {path: {"get": _get(*terms)} for path, terms in gets.items()}
        | {f"/v1/{name}": {"post": _post(name, *terms, token)} for name, terms in posts.items()},
        "components": {"schemas": _schemas(predictor.task)},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def _description(predictor: "Predictor", limits: Limits) -> str:
    return (
        f"One exported {predictor.task} model for {predictor.modality}s. At most {limits.waiting} requests are dealt with at a "
        "time; requests that wait are computed together. Nothing that is sent is stored."
    )


def _body(modality: str, limits: Limits) -> dict[str, Any]:
    content: dict[str, Any]
    if modality == "image":
        content = {kind: {"schema": {}} for kind in ("image/jpeg", "image/png", "image/*", "application/octet-stream")}
        text = f"The picture file itself: {limits.body_bytes:,} bytes and {limits.pixels:,} pixels at most."
    else:
        schema = {
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": limits.characters}},
            "required": ["text"],
            "additionalProperties": False,
        }
        content = {"application/json": {"schema": schema}}
        text = f"The text, {limits.characters:,} characters at most."
    return {"required": True, "description": text, "content": content}


def _get(summary: str, schema: dict[str, Any], token: bool) -> dict[str, Any]:
    statuses = (400, 401, 403, 500) if token else (400, 403, 500)
    return {"summary": summary, "responses": _responses(schema, statuses), **_security(token)}


def _post(name: str, summary: str, schema: str, body: dict[str, Any], parameters: list, token: bool) -> dict[str, Any]:
    statuses = [status for status in _PROBLEMS if (status != 401 or token) and (status != 404 or name == "similar")]
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "requestBody": body,
        "responses": _responses({"$ref": f"#/components/schemas/{schema}"}, statuses),
        **_security(token),
    }


def _security(token: bool) -> dict[str, Any]:
    return {"security": [{"token": []}]} if token else {}


def _responses(schema: dict[str, Any], statuses: "list[int] | tuple[int, ...]") -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "200": {"description": "Done.", "content": {"application/json": {"schema": schema}}},
        **{str(status): {"description": _PROBLEMS[status], "content": problem} for status in statuses},
    }


def _schemas(task: str) -> dict[str, Any]:
    explanation = {
        "type": "object",
        "description": (
            "By how much the score `of` falls when a part is taken away: `drops`, a grid over the `picture` that the model "
            "sees, row by row; or `words`, in order."
        ),
        "properties": {
            "of": _TEXT,
            "kind": {"enum": ["occlusion", "words"]},
            "drops": {"type": "array", "items": {"type": "array", "items": _NUMBER}},
            "picture": {"type": "string", "description": "A data: address."},
            "words": {"type": "array", "items": _object({"text": _TEXT, "drop": _NUMBER})},
        },
        "required": ["of", "kind"],
    }
    answer = _answer(task)
    example = _object({"id": _TEXT, "label": _TEXT, "similarity": {"type": "number", "minimum": -1.001, "maximum": 1.001}})
    return {
        "Answer": answer,
        "Explained": _object({**answer["properties"], "explanation": explanation}),
        "Similar": _object(
            {
                "examples": {"type": "array", "items": {**example, "additionalProperties": _TEXT}},
                "searched": {"type": "integer"},
                "training_examples": {"type": "integer"},
            }
        ),
        "Model": {
            "type": "object",
            "properties": {"task": {"const": task}, "labels": {"type": "array", "items": _TEXT}, "similar": _TEXT},
            "required": ["name", "task", "modality", "labels", "similar", "limits"],
        },
        "Problem": _object({"title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}),
    }


def _answer(task: str) -> dict[str, Any]:
    scores = {"type": "array", "items": _object({"label": _TEXT, "probability": _PROBABILITY})}
    refused = {
        "type": "boolean",
        "description": (
            'Whether the input is unlike anything the model was trained on. Then the label is "none of these" and has no '
            "probability, or no label applies. Models that can tell give `similarity` too, to the nearest training example."
        ),
    }
    common = {"scores": scores, "refused": refused}
    answers: dict[str, dict[str, Any]] = {
        "classification": {"label": _TEXT, "probability": {**_PROBABILITY, "type": ["number", "null"]}, **common},
        "multi_label": {"labels": {"type": "array", "items": _TEXT}, **common},
        "regression": {"name": _TEXT, "value": _NUMBER},
    }
    return _object({"task": {"const": task}, **answers[task]})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
