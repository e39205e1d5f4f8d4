"""JSON as this server reads and writes it.

It reads what RFC 8259 calls JSON and no more: UTF-8, no NaN, no infinity, no depth that nobody could print again. Lone
surrogates pass: in content they become U+FFFD, in names they are refused, and only the schemas know which is which.
"""

import json
import math
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from django.http import HttpRequest
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from pydantic import PlainSerializer, WithJsonSchema

from sessions.api.faults import Unreadable, UnsupportedType
from sessions.models.exact_json import exact_float, exact_int

DEEPEST = 100
"""Levels of arrays and objects that a body may have."""
_TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."


def format_time(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with offset and microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-15T09:26:53.589793+00:00"]}),
]
"""A time in an answer."""


def load(raw: bytes, *, is_exact: bool = False) -> Any:
    """Return the value of a JSON text in UTF-8, with `is_exact` as `load_exact` does. Raises `Unreadable`."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant, **(_EXACT if is_exact else _PLAIN))
    except json.JSONDecodeError as error:
        raise Unreadable(f"The body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise Unreadable("The body is not JSON: it is not UTF-8.") from None
    except ValueError:  # Python's own limit
        raise Unreadable("The body has a number with too many digits.") from None
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _is_deeper(value, DEEPEST):
        raise Unreadable(_TOO_DEEP)
    return value


def dump(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits, which only the standard library writes
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()


def _refuse_constant(name: str) -> Any:
    raise Unreadable(f"The body is not JSON: {name} is no number.")


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable(f"The body has a number that is too large: {text[:40]}")
    return value


_PLAIN: dict[str, Any] = {"parse_float": _read_float}
_EXACT: dict[str, Any] = {"parse_float": exact_float, "parse_int": exact_int}


def _is_deeper(value: Any, levels: int) -> bool:
    """Say whether `value` has more than `levels` levels of arrays and objects; without recursion."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


class JsonRenderer(BaseRenderer):
    """Writes answers."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:  # noqa: ARG002
        """Return the bytes of an answer."""
        return dump(data)


class JsonParser(Parser):
    """Reads bodies."""

    is_exact = False

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the value of the body. Raises `UnsupportedType` or `Unreadable`."""
        kind = request.content_type or ""
        # A body without a type is taken for what it must be; curl's -d says "form", and gets told.
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise UnsupportedType(f"Send JSON, with Content-Type: application/json instead of {kind[:100]}.")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedType("Send the body as it is, without Content-Encoding.")
        return load(request.body, is_exact=self.is_exact)


class ExactJsonParser(JsonParser):
    """Reads bodies whose numbers must go out again as they came in."""

    is_exact = True
