"""What agents say, as they send it: the JSON, and the schemas of what comes through more than one door.

HTTP and sockets take the same events, heartbeats and answers, so what is checked of them is written here, once.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sessions.exceptions import InvalidRequest
from sessions.models import EventDraft
from sessions.models.exact_json import exact_float, exact_int
from sessions.models.fields import DEEPEST, MOST_VALUES, clean_json, clean_text, is_deeper, is_wider, require_name

LARGEST_COUNT = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly; sums of such counts still fit a column."""
LONGEST_INTERVAL = 24 * 60 * 60
MOST_EVENTS = 1_000
"""Events that may come at once."""

_ENVELOPE = ("type", "event_id", "at", "turn_id")
_TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."
_TOO_WIDE = f"The body holds more than {MOST_VALUES:,} values."
_YEARS = range(1970, 9999)
"""Beyond these a change of zone leaves the calendar."""


class Unreadable(InvalidRequest):
    """What came is not what it says it is; nothing in it could be looked at."""


# --- JSON ----------------------------------------------------------------------------------------------------


def load(raw: bytes, *, is_exact: bool = False) -> Any:
    """Return the value of a JSON text in UTF-8. Raises `Unreadable`.

    With `is_exact` numbers keep their text form. It reads what RFC 8259 calls JSON and no more: no NaN, no infinity, no
    depth that nobody could print again, no more values than there is room for. Lone surrogates pass: in content they
    become U+FFFD, in names they are refused, and only the schemas know which is which.
    """
    if is_wider(raw, MOST_VALUES):
        raise Unreadable(_TOO_WIDE)
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
    if is_deeper(value, DEEPEST):
        raise Unreadable(_TOO_DEEP)
    return value


def dump(value: Any, *, option: int = 0) -> bytes:
    """Return `value` as JSON in UTF-8; `option` is one of orjson's."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:  # whole numbers beyond 64 bits, which only the standard library writes

        def known(part: Any) -> Any:
            return json.loads(orjson.dumps(part, option=option))

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=known).encode()


def _refuse_constant(name: str) -> Any:
    raise Unreadable(f"The body is not JSON: {name} is no number.")


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable(f"The body has a number that is too large: {text[:40]}")
    return value


_PLAIN: dict[str, Any] = {"parse_float": _read_float}
_EXACT: dict[str, Any] = {"parse_float": exact_float, "parse_int": exact_int}


def message_of(fault: Mapping[str, Any]) -> str:
    """Return the message of a schema's fault, as pydantic tells it, in our manner."""
    if fault["type"] == "missing":
        return "is required"
    if fault["type"] == "extra_forbidden":
        return "is not a field that can be set"
    return str(fault["msg"]).removeprefix("Value error, ")


# --- Values --------------------------------------------------------------------------------------------------


def _require_name(value: str) -> str:
    try:
        return require_name("", value)
    except InvalidRequest as error:
        raise ValueError(error.errors[0].message) from None


def _clean(value: Any) -> Any:
    return clean_text(value) if isinstance(value, str) else value


def _require_time_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise ValueError("must be a time in RFC 3339, such as 2026-03-15T09:26:53.589793Z")


def _require_a_year_that_fits(at: datetime) -> datetime:
    if at.year in _YEARS:
        return at
    raise ValueError("must lie between the years 1970 and 9999")


Name = Annotated[str, AfterValidator(_require_name)]
"""Text that names something: without NUL and broken Unicode, at most 2,000 bytes."""

Written = Annotated[str, BeforeValidator(_clean)]
"""Text that an agent or a tool wrote; NUL and broken Unicode become U+FFFD."""

Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
"""A whole number from 0."""

TimeIn = Annotated[AwareDatetime, BeforeValidator(_require_time_text), AfterValidator(_require_a_year_that_fits)]
"""A time with its offset."""


# --- What is said --------------------------------------------------------------------------------------------


class EventIn(BaseModel):
    """An engine event: the flat object that Koda writes. All fields beside the envelope are kept as sent."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"type": "tool_call_start", "id": "c1", "name": "Bash", "args": {}}]},
    )

    type: Annotated[Name, Field(min_length=1, max_length=100)] = Field(
        description="Unknown types are kept; `server.` is the server's own.", examples=["text_delta"]
    )
    event_id: Annotated[Name, Field(min_length=1)] | None = Field(
        default=None, description="The sender's own id; a repeat is not stored again."
    )
    at: TimeIn | None = Field(default=None, description="The sender's clock; shown, never judged by.")
    turn_id: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _clean(cls, body: Any) -> Any:
        """Clean what the agent wrote; the names of the envelope are not cleaned but refused."""
        if not isinstance(body, dict):
            return body
        names = {name: body[name] for name in _ENVELOPE if name in body}
        return {**{clean_text(name): clean_json(value) for name, value in body.items()}, **names}

    def draft(self) -> EventDraft:
        """Return it as the verb takes it."""
        return EventDraft(
            type=self.type,
            payload=self.__pydantic_extra__ or {},
            event_id=self.event_id,
            at=self.at,
            turn_id=self.turn_id,
        )


EventList = Annotated[list[EventIn], Field(max_length=MOST_EVENTS)]
"""A batch; all of it is stored or nothing."""


class HeartbeatIn(BaseModel):
    """A sign of life (docs/api.md, heartbeat). It is progress only when `progress` has grown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"interval": 15, "progress": 42, "activity": "Compiling", "expect_within": 600}]
        }
    )

    interval: Annotated[int, Field(strict=True, ge=1, le=LONGEST_INTERVAL)] | None = Field(
        default=None, description="Seconds until the next one."
    )
    progress: Count | None = Field(default=None, description="A number of the sender's own that grows.")
    activity: Name | None = Field(default=None, description="What it is doing, in words for people.")
    expect_within: Annotated[float, Field(ge=0, le=10**9)] | None = Field(
        default=None, description="Seconds within which the present activity should show progress."
    )


class AckIn(BaseModel):
    """What became of a command."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"obeyed": True, "detail": "stopped after the tests"}]})

    obeyed: Annotated[bool, Field(strict=True)]
    detail: Written = Field(default="", description="In words for people.")
