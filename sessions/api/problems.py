"""Errors as clients see them: problem details (RFC 9457), for every fault on every path below `/api/`.

Handlers raise the errors of `sessions.exceptions`; here they, and those of the frameworks, become answers. What
no handler sees (an unknown path, a wrong method, a foreign host name) is the middleware's.
"""

import logging
import math
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from pydantic import BaseModel, Field

from sessions import wire
from sessions.api.faults import MethodNotAllowed, UnsupportedType
from sessions.exceptions import (
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    KodaError,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from sessions.wire import Unreadable, dump

CONTENT_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)


_STATUSES: dict[type[KodaError], int] = {
    NotFound: 404,
    InvalidRequest: 422,
    Unreadable: 400,
    UnsupportedType: 415,
    MethodNotAllowed: 405,
    Unauthorized: 401,
    Forbidden: 403,
    Conflict: 409,
    TooLarge: 413,
    RateLimited: 429,
    Unavailable: 503,
}
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names of RFC 9110 that older Pythons do not know yet."""
_INTERNAL = KodaError("Internal error of the server; its log has the reason.")


class FieldProblemOut(BaseModel):
    """One fault of one field."""

    field: str = Field(examples=["messages.3.role"])
    message: str = Field(examples=["must be one of system, user, assistant, tool"])


class ProblemOut(BaseModel):
    """An error (RFC 9457). Branch on `code`; `detail` is for people."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No such session."])
    code: str = Field(
        description="not_found, invalid_request, unauthorized, forbidden, conflict, too_large, rate_limited, "
        "internal or unavailable",
        examples=["not_found"],
    )
    errors: list[FieldProblemOut] | None = Field(default=None, description="The fields that are wrong, if any.")

    model_config: ClassVar[Any] = {"json_schema_extra": {"required": ["type", "title", "status", "detail", "code"]}}


def status_of(error: KodaError) -> int:
    """Return the HTTP status of an error: that of the nearest class in the tree that has one."""
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), 500)


def problem(error: KodaError) -> HttpResponse:
    """Return the answer that tells of `error`."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    if isinstance(error, InvalidRequest) and error.errors:
        body["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
    response = HttpResponse(dump(body), status=status, content_type=CONTENT_TYPE)
    if isinstance(error, RateLimited | Unavailable):
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if isinstance(error, Unauthorized):
        response["WWW-Authenticate"] = 'Bearer realm="Koda Web"'
    return response


_FOREIGN: tuple[tuple[tuple[type[Exception], ...], KodaError], ...] = (
    ((Http404,), NotFound("There is nothing at this path.")),
    ((RequestDataTooBig,), TooLarge("The body is over the limit of this server (KODA_MAX_BODY).")),
    ((OperationalError, InterfaceError), Unavailable("The database does not answer now. Try again.")),
    ((DataError, OverflowError), InvalidRequest("A value does not fit what the store can hold.")),
    ((PermissionDenied,), Forbidden("This is not allowed.")),
    ((BadRequest, SuspiciousOperation), Unreadable("The request cannot be understood.")),
)
"""What the frameworks raise, in the domain's words; the first that fits counts."""


def translate(error: Exception) -> KodaError:
    """Return the domain's word for any exception; what nobody foresaw becomes `internal` and tells nothing."""
    # What the parser raises reaches us wrapped in a 400 of ninja's.
    cause = error.__cause__ if isinstance(error, HttpError) else error
    if isinstance(cause, KodaError):
        return cause
    if isinstance(cause, ValidationError):
        return _invalid(cause.errors)
    for kinds, ours in _FOREIGN:
        if isinstance(cause, kinds):
            return ours
    return of_status(error.status_code) if isinstance(error, HttpError) else _INTERNAL


def of_status(status: int) -> KodaError:
    """Return the error for a status that a framework gave without saying more."""
    details: dict[int, KodaError] = {
        400: Unreadable("The request cannot be understood."),
        401: Unauthorized("Send a key: Authorization: Bearer koda_…"),
        403: Forbidden("This is not allowed."),
        404: NotFound("There is nothing at this path."),
        405: MethodNotAllowed("This path does not know this method; see the Allow header."),
        413: TooLarge("The body is over the limit of this server (KODA_MAX_BODY)."),
        415: UnsupportedType("Send JSON, with Content-Type: application/json."),
        503: Unavailable("The server cannot answer now. Try again."),
    }
    if status in details:
        return details[status]
    return _INTERNAL if status >= HTTPStatus.INTERNAL_SERVER_ERROR else details[400]


def _invalid(faults: Sequence[dict[str, Any]]) -> KodaError:
    """Return the error for what a schema found wrong. An id in the path that cannot be one names nothing: 404."""
    if any(fault["loc"][0] == "path" and str(fault["loc"][-1]).endswith("_id") for fault in faults):
        return NotFound("No such record.")
    errors = [FieldError(_field_of(fault["loc"]), wire.message_of(fault)) for fault in faults]
    return InvalidRequest(f"{errors[0].field}: {errors[0].message}", errors=errors)


def _field_of(place: Sequence[str | int]) -> str:
    """Return the dotted path of a field, without what only our code calls so.

    The first part is the source (body, query), the second of a body its argument's name; alternatives of
    a union bear names in parentheses, and pydantic's own steps have brackets.
    """
    parts = place[2:] if place[0] == "body" else place[1:]
    names = [str(part) for part in parts if not set("()[]") & set(str(part))]
    return ".".join(names) or str(place[0])


def install(api: NinjaAPI, *, answer: Callable[[KodaError], HttpResponse] = problem) -> None:
    """Let `api` answer every exception with problem details, or in the form that `answer` gives."""

    def handle(request: HttpRequest, error: Any) -> HttpResponse:
        translated = translate(error)
        if status_of(translated) >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, KodaError):
            logger.error("%s %s failed", request.method, request.path, exc_info=error)
            # Whoever listens for Django's own signal (error trackers, the test client) hears of it as ever.
            got_request_exception.send(sender=None, request=request)
        return answer(translated)

    for kind in (Exception, Http404, HttpError, ValidationError):
        api.add_exception_handler(kind, handle)


def failing(*statuses: int) -> dict[int, type[ProblemOut]]:
    """Return the declarations of the errors that an operation may answer with, beside those that all may."""
    return dict.fromkeys(sorted({*statuses, 401, 403, 422, 429, 500, 503}), ProblemOut)
