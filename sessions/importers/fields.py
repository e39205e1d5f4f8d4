"""Look-ups in foreign JSON that can hold anything anywhere: a value of another type counts as absent. Never raises."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

JsonObject = dict[str, object]

LONGEST_ID = 180
LONGEST_PATH = 500
LONGEST_TITLE = 200
LARGEST_COUNT = 2**31 - 1
FIRST_YEAR, LAST_YEAR = 1970, 9998


def text(record: Mapping[str, object], name: str) -> str | None:
    """Return the text under `name`, None when there is none or it is empty."""
    value = record.get(name)
    return value if isinstance(value, str) and value else None


def flag(record: Mapping[str, object], name: str) -> bool:
    """Return whether `name` is literally true."""
    return record.get(name) is True


def inner(record: Mapping[str, object], name: str) -> JsonObject:
    """Return the object under `name`, an empty one when there is none."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def count(record: Mapping[str, object], name: str) -> int:
    """Return the whole number under `name`; 0 when it is absent, negative, or no number a counter can hold."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value <= LARGEST_COUNT else 0


def identifier(value: object, *, longest: int = LONGEST_ID) -> str | None:
    """Return an id that can be a key: printable, at most `longest` characters (a longer one ends in its digest)."""
    if not isinstance(value, str):
        return None
    clean = "".join(mark if mark.isprintable() else "\ufffd" for mark in value).strip()
    if len(clean) <= longest:
        return clean or None
    digest = hashlib.sha256(value.encode("utf-8", errors="replace")).hexdigest()[:32]
    return f"{clean[: longest - 33]}~{digest}"


def moment(value: object) -> datetime | None:
    """Return the time that ISO 8601 text tells, in UTC (also when it names no zone); None when it is no time."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        at = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST_YEAR <= at.year <= LAST_YEAR else None
