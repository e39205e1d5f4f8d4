"""Look-ups in foreign JSON that can hold anything anywhere: a value of another type counts as absent. Never raises."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from sessions.models.fields import NAME_BYTES, clean_text
from sessions.wire import LARGEST_COUNT

JsonObject = dict[str, object]

LONGEST_ID = 180
LONGEST_PATH = 500
LONGEST_TITLE = 200
LONGEST_ROLE = 32
LONGEST_CONTENT_BYTES = 16 * 1024 * 1024
"""Bytes of one content that the server takes at most by default; other stores know no such limit."""
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


def name(value: object) -> str | None:
    """Return a text by which rows are paired or found, as it stands there; None when there is none.

    What no name can have is replaced; one of more than `NAME_BYTES` bytes becomes an `identifier`.
    """
    if not isinstance(value, str):
        return None
    clean = clean_text(value)
    return clean if len(clean.encode()) <= NAME_BYTES else identifier(value, longest=LONGEST_PATH)


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


def written(value: object) -> str | None:
    """Return what stands in a column as text, cut to what the server takes, None for null."""
    if value is None:
        return None
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    return cut(text, longest=LONGEST_CONTENT_BYTES)


def cut(text: str, *, longest: int) -> str:
    """Return a text of at most `longest` bytes: a longer one ends with a note of what it has lost."""
    if len(text) * 4 <= longest:
        return text
    data = text.encode("utf-8", errors="replace")
    if len(data) <= longest:
        return text
    note = f"\n[The import left out what follows: {len(data):,} bytes are too many.]"
    return data[: max(0, longest - len(note))].decode("utf-8", errors="ignore") + note


def role(value: object) -> str:
    """Return the role that a column names, also one that nobody knows."""
    return "".join(mark for mark in written(value) or "" if mark.isprintable())[:LONGEST_ROLE] or "unknown"


def number_of(row: Mapping[str, object]) -> int:
    """Return the number of a row of a database."""
    number = row["id"]
    assert isinstance(number, int)  # SQLite keeps nothing else in an INTEGER PRIMARY KEY
    return number
