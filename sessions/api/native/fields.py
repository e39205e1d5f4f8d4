"""What the schemas of this contract have in common: names, counts and times as they come in."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from sessions.exceptions import InvalidRequest
from sessions.models import Mode
from sessions.models.fields import clean_json, clean_text, require_name
from sessions.models.session_rows import KEY_BYTES

LARGEST_COUNT = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly; sums of such counts still fit a column."""


def _require_name(value: str) -> str:
    try:
        return require_name("", value)
    except InvalidRequest as error:
        raise ValueError(error.errors[0].message) from None


def _require_key(value: str) -> str:
    try:
        return require_name("", value, longest_bytes=KEY_BYTES)
    except InvalidRequest as error:
        raise ValueError(error.errors[0].message) from None


def _clean(value: Any) -> Any:
    return clean_text(value) if isinstance(value, str) else value


def _require_time_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise ValueError("must be a time in RFC 3339, such as 2026-03-15T09:26:53.589793Z")


def _require_a_year_that_fits(at: datetime) -> datetime:
    if not 1970 <= at.year < 9999:  # noqa: PLR2004 - beyond these a change of zone leaves the calendar
        raise ValueError("must lie between the years 1970 and 9999")
    return at


def _read_mode(value: str) -> str:
    if mode := Mode.named(value):
        return mode.value
    raise ValueError(f"must be one of {', '.join(Mode.values)}")


Name = Annotated[str, AfterValidator(_require_name)]
"""Text that names something: without NUL and broken Unicode, at most 2,000 bytes."""

Key = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_require_key)]
"""A client's own name for a session."""

Written = Annotated[str, BeforeValidator(_clean)]
"""Text that an agent or a tool wrote; NUL and broken Unicode become U+FFFD."""

WrittenJson = Annotated[list[Any], BeforeValidator(clean_json)]
"""An array that an agent wrote, cleaned alike."""

Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
"""A whole number from 0."""

TimeIn = Annotated[AwareDatetime, BeforeValidator(_require_time_text), AfterValidator(_require_a_year_that_fits)]
"""A time with its offset."""

ModeIn = Annotated[str, AfterValidator(_read_mode), Field(description="plan, safe or auto; Koda's older words too.")]
"""How far the agent is trusted."""
