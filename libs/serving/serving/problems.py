"""HTTP's words for errors: RFC 9457 problem+json, made in one place."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import takewhile
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kit import logs, trace
from kit.database import CONNECTION_ERRORS
from kit.errors import DomainError, Kind, ServiceUnavailable

MEDIA_TYPE = "application/problem+json"

STATUS: dict[Kind, int] = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.TOO_MANY: 429,
    Kind.UNAVAILABLE: 503,
}

_CODES = {
    400: "request.malformed",
    404: "request.not_found",
    405: "request.method_not_allowed",
    413: "request.too_large",
    415: "request.unsupported_media_type",
}

_log = logs.get(__name__)


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error, as the OpenAPI documents show it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(examples=["conversation.busy"])
    request_id: str
    errors: list[FieldProblem] | None = None


def body(
    status: int, code: str, detail: str, *, errors: Sequence[Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """A problem as a JSON object."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": trace.request_id.get(),
    }
    if errors is not None:
        problem["errors"] = list(errors)
    return problem


def of_domain(error: DomainError) -> dict[str, Any]:
    """A domain error as a problem."""
    return body(STATUS[error.kind], error.code, error.message)


def of_unexpected(error: BaseException) -> dict[str, Any]:
    """A bug, or a part that is away, as a problem; logged here, once, without its text."""
    if isinstance(error, CONNECTION_ERRORS):
        _log.warning("request.unavailable", **logs.failure(error))
        return of_domain(ServiceUnavailable())
    _log.error("request.failed", **logs.failure(error))
    return body(500, "internal", "Something went wrong on our side.")


def response(problem: Mapping[str, Any], *, retry_after: int | None = None) -> Response:
    """A problem as an HTTP answer."""
    headers = {}
    if problem["status"] == 401:
        headers["www-authenticate"] = "Bearer"
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(
        json.dumps(problem), status_code=problem["status"], headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""
    app.add_exception_handler(DomainError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def documented(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document in which problems have their own media type."""
    for operation in (each for item in document["paths"].values() for each in item.values()):
        content = operation["responses"]["default"]["content"]
        if (schema := content.pop("application/json", None)) is not None:
            content[MEDIA_TYPE] = schema
    return document


async def _domain(_: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return response(of_domain(error), retry_after=error.retry_after)


async def _validation(request: Request, error: Exception) -> Response:
    """Names the fields and what is wrong with them, never what was sent."""
    assert isinstance(error, RequestValidationError)
    known = _names(request.app)
    faults = [
        {
            "field": _field(fault, known),
            "message": _without_input(fault),
        }
        for fault in error.errors()[:20]
    ]
    return response(body(422, "request.invalid", "The request is not valid.", errors=faults))


def _field(fault: Mapping[str, Any], known: frozenset[str]) -> str:
    """Where the fault is, as far as the names are ours: others are the sender's own words."""
    source, *where = fault["loc"]
    if fault["type"] == "json_invalid":  # it has no fields, only a place in its text
        where = []
    elif fault["type"] == "extra_forbidden":
        where = where[:-1]
    ours = takewhile(lambda part: isinstance(part, int) or part in known, where)
    return ".".join(map(str, ours)) or str(source)


def _names(app: FastAPI) -> frozenset[str]:
    """Every name of a field or a parameter in the document of the interface."""
    if not hasattr(app.state, "field_names"):
        document = app.openapi()
        schemas = document.get("components", {}).get("schemas", {}).values()
        calls = [call for item in document.get("paths", {}).values() for call in item.values()]
        app.state.field_names = frozenset(
            [name for schema in schemas for name in schema.get("properties", ())]
            + [each["name"] for call in calls for each in call.get("parameters", ())]
        )
    names: frozenset[str] = app.state.field_names
    return names


def _without_input(fault: Mapping[str, Any]) -> str:
    """pydantic's message; of a parser's error only its kind, since its text quotes the input."""
    if fault["type"] in {"json_invalid", "uuid_parsing", "date_from_datetime_parsing"}:
        return str(fault["type"]).replace("_", " ")
    return str(fault["msg"]).removeprefix("Value error, ")


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    problem = body(status, _CODES.get(status, "request.refused"), HTTPStatus(status).phrase)
    answer = response(problem)
    answer.headers.update(error.headers or {})
    return answer
