"""Errors as Stakpak's client understands them: by words in the message, since it loses the status (contract 1.12).

It looks for them in this order, first hit wins: "not found", "unauthorized" or 401, "rate limit" or 429, "invalid" or
400; all else is internal. So each message has the word of its own kind and of no other. What people or agents wrote (an
id, a title) could hold such a word by chance and is never repeated.
"""

import json
import math

from django.http import HttpResponse
from pydantic import BaseModel, Field

from sessions.api.faults import MethodNotAllowed, UnsupportedType
from sessions.exceptions import (
    Conflict,
    Forbidden,
    InvalidRequest,
    KodaError,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
)

CONTENT_TYPE = "application/json"
TELLING_WORDS = (
    ("not found", "Not found"),
    ("unauthorized", "Unauthorized", "401"),
    ("rate limit", "Rate limit", "429"),
    ("invalid", "Invalid", "400"),
)
"""The words that the client looks for, in its order: not found, unauthorised, rate limited, invalid request."""


class EnvelopeOut(BaseModel):
    """What is wrong."""

    key: str = Field(examples=["NOT_FOUND"])
    message: str = Field(examples=["not found: no such session"])


class ErrorOut(BaseModel):
    """An error; the client classifies it by the words of its message."""

    error: EnvelopeOut


_KINDS: tuple[tuple[type[KodaError], int, str, int | None, str], ...] = (
    # error, status, key, the row of TELLING_WORDS that it belongs to, what is said when its own detail cannot be
    (NotFound, 404, "NOT_FOUND", 0, "there is nothing here"),
    (Unauthorized, 401, "UNAUTHORIZED", 1, "send a key: Authorization: Bearer"),
    (Forbidden, 403, "FORBIDDEN", 1, "this key may not do this"),
    (RateLimited, 429, "RATE_LIMITED", 2, "too many requests in this minute"),
    (UnsupportedType, 415, "INVALID_REQUEST", 3, "send JSON as it is, with Content-Type: application/json"),
    (MethodNotAllowed, 405, "INVALID_REQUEST", 3, "this path does not know this method"),
    (InvalidRequest, 400, "INVALID_REQUEST", 3, "the request cannot be accepted"),
    (TooLarge, 413, "TOO_LARGE", None, "over the limit of this server"),
    (Conflict, 409, "CONFLICT", None, "it is otherwise already"),
    (Unavailable, 503, "UNAVAILABLE", None, "the store cannot answer now; try again"),
    (KodaError, 500, "INTERNAL", None, "internal error of the server; its log has the reason"),
)
_PREFIXES = ("not found: ", "unauthorized: ", "rate limit exceeded: ", "invalid ", "")


def envelope(error: KodaError) -> HttpResponse:
    """Return the answer that tells of `error`."""
    _, status, key, row, instead = next(kind for kind in _KINDS if isinstance(error, kind[0]))
    body = {"error": {"key": key, "message": message_of(error, row=row, instead=instead)}}
    response = HttpResponse(json.dumps(body), status=status, content_type=CONTENT_TYPE)
    if isinstance(error, RateLimited | Unavailable):
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if isinstance(error, Unauthorized):
        response["WWW-Authenticate"] = 'Bearer realm="Koda Web"'
    return response


def message_of(error: KodaError, *, row: int | None, instead: str) -> str:
    """Return a message that the client takes for what it is."""
    prefix = _PREFIXES[len(TELLING_WORDS) if row is None else row]
    if isinstance(error, RateLimited):
        return prefix + instead  # its own detail has a number in it
    detail = error.detail.rstrip(".").strip()
    if isinstance(error, InvalidRequest) and not error.errors:
        prefix += "request: "
    return prefix + (detail if detail and is_harmless(detail, row=row) else instead)


def is_harmless(detail: str, *, row: int | None) -> bool:
    """Say whether a text has no word of another kind."""
    return not any(word in detail for other, words in enumerate(TELLING_WORDS) if other != row for word in words)


def failing(*statuses: int) -> dict[int, type[ErrorOut]]:
    """Return the declarations of the errors that an operation may answer with, beside those that all may."""
    return dict.fromkeys(sorted({*statuses, 400, 401, 403, 429, 500, 503}), ErrorOut)
