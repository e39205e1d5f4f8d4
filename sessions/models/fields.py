"""Text and JSON columns that keep what agents wrote, on both databases alike.

PostgreSQL refuses U+0000 and no database can encode a lone surrogate. In what agents and tools
wrote these become U+FFFD, so that no agent loses a message over a byte (API.md section 1, "Sizes").
In names they are refused: see `require_name`.
"""

import json
import re
from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression

from sessions.exceptions import InvalidRequest, TooLarge

_BROKEN = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

NAME_BYTES = 2000
"""Bytes that a name has at most."""
DEEPEST = 100
"""Levels of arrays and objects that a JSON value from outside may have; whoever walks through it may recurse."""
MOST_VALUES = 1_000_000
"""Values that a JSON text from outside may hold: its reader stops all threads, and each takes up to 100 bytes."""
_MARKS = (b",", b"[", b"{")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def clean_text(text: str) -> str:
    """Return `text` with NUL and lone surrogates replaced by U+FFFD."""
    if text.isascii() and "\x00" not in text:  # most text; found out a hundred times as fast
        return text
    return _BROKEN.sub(_REPLACEMENT, text)


def clean_json(value: Any) -> Any:
    """Return a JSON value whose strings and keys are clean, keeping order and numbers."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    return value


def dump_json(value: Any) -> str:
    """Return `value` as compact JSON text that both databases accept.

    Keys keep their order and numbers their text form as Python prints it.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text or _BROKEN.search(text):
        text = json.dumps(clean_json(value), ensure_ascii=False, separators=(",", ":"))
    return text


def is_deeper(value: Any, levels: int) -> bool:
    """Say whether `value` has more than `levels` levels of arrays and objects; without recursion."""
    level = [value] if value and isinstance(value, dict | list) else []
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if inner and isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def is_wider(raw: bytes, values: int) -> bool:
    """Say whether a JSON text holds more than `values` values, without making any of them.

    Each but the first stands behind a comma or an opening bracket, and takes two bytes; an object has a second string
    for each. What strings hold is looked at only in a text that has so many of these marks at all.
    """
    if len(raw) <= 2 * values or _count_marks(raw, 0, len(raw)) <= values:
        return False
    count = end = string_count = 0
    while (start := raw.find(b'"', end)) >= 0:
        count += _count_marks(raw, end, start)
        string_count += 1
        if count > values or string_count > 2 * values:
            return True
        string = _STRING.match(raw, start)
        end = string.end() if string else len(raw)
    return count + _count_marks(raw, end, len(raw)) > values


def _count_marks(raw: bytes, start: int, end: int) -> int:
    return sum(raw.count(mark, start, end) for mark in _MARKS)


def load_written(text: str) -> Any:
    """Return the JSON value that somebody wrote inside a text, such as the arguments of a call.

    Raises `ValueError` for a text that is none, and for one that is nested deeper than `DEEPEST` or holds more than
    `MOST_VALUES`.
    """
    if len(text) > MOST_VALUES and is_wider(text.encode(errors="replace"), MOST_VALUES):
        raise ValueError("too many values")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if text.count("[") + text.count("{") > DEEPEST and is_deeper(value, DEEPEST):
        raise ValueError("nested too deep")
    return value


def require_name(field: str, value: str, *, longest_bytes: int = NAME_BYTES) -> str:
    """Return `value` if it may be a name (id, key, title, role, type, path).

    Raises `InvalidRequest` when it has NUL or a lone surrogate, or more than `longest_bytes` in UTF-8:
    names stand in indexes, and a PostgreSQL index row holds 2,700 bytes.
    """
    if _BROKEN.search(value):
        raise InvalidRequest.field(field, "must not contain NUL or broken Unicode")
    if len(value.encode()) > longest_bytes:
        raise InvalidRequest.field(field, f"must have at most {longest_bytes:,} bytes")
    return value


def require_content(field: str, text: str | None) -> None:
    """Raise `TooLarge` when `text` is over the limit of one content (KODA_MAX_CONTENT, bytes in UTF-8)."""
    limit: int = settings.KODA_MAX_CONTENT
    if text is None or len(text) * 4 <= limit:
        return
    if len(text.encode(errors="replace")) > limit:
        raise TooLarge(f"{field} is over the limit of {limit:,} bytes.")


class WrittenTextField(models.TextField[Any, Any]):
    """Text that an agent or a tool wrote; cleaned on its way into the database."""

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the text with broken characters replaced, without the way there of other types."""
        return clean_text(value) if type(value) is str else super().get_db_prep_save(value, connection)

    def get_prep_value(self, value: Any) -> Any:
        """Return the text with broken characters replaced."""
        prepared = super().get_prep_value(value)
        return clean_text(prepared) if isinstance(prepared, str) else prepared


class WrittenJSONField(models.TextField[Any, Any]):
    """A JSON value kept as text, so that it reads back as it came: `[]` is not null, keys keep their order.

    A jsonb column would sort keys and fold numbers; nothing here is queried by its inside.
    """

    # What the column takes and gives, for type checkers: any JSON value.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, _expression: Expression, _connection: BaseDatabaseWrapper) -> Any:
        """Return the parsed value."""
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        """Return the value as it is: forms never edit this column."""
        return value

    def get_prep_value(self, value: Any) -> str | None:
        """Return the JSON text to store."""
        return None if value is None else dump_json(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Return the JSON text for serialisers."""
        return dump_json(self.value_from_object(obj))
