"""JSON as this server writes it, and bodies as it takes them; how it reads is in `wire`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from pydantic import PlainSerializer, WithJsonSchema

from sessions.api.faults import UnsupportedType
from sessions.wire import dump, load


def format_time(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with offset and microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-15T09:26:53.589793+00:00"]}),
]
"""A time in an answer."""


def answer(body: Any, *, status: int = 200) -> HttpResponse:
    """Return an answer that may be megabytes: written once, past the schemas, which describe it."""
    return HttpResponse(dump(body), status=status, content_type="application/json")


class JsonRenderer(BaseRenderer):
    """Writes answers."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:  # noqa: ARG002
        """Return the bytes of an answer."""
        return dump(data)


class JsonParser(Parser):
    """Reads bodies."""

    def is_exact_for(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Say whether numbers of this body keep their text, because they must go out again as they came in."""
        return False

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the value of the body. Raises `UnsupportedType` or `Unreadable`."""
        kind = request.content_type or ""
        # A body without a type is taken for what it must be; curl's -d says "form", and gets told.
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise UnsupportedType(f"Send JSON, with Content-Type: application/json instead of {kind[:100]}.")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedType("Send the body as it is, without Content-Encoding.")
        return load(request.body, is_exact=self.is_exact_for(request))


class ExactJsonParser(JsonParser):
    """Reads bodies whose numbers keep their text."""

    def is_exact_for(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Say that all do."""
        return True
