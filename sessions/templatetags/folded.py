"""JSON that opens and shuts, part by part; everything in it is text."""

import json
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sessions.models.fields import load_written
from sessions.templatetags.cleartext import reveal
from sessions.templatetags.prose import HEAD

register = template.Library()

MOST_PARTS = 400
"""Parts that are folded; a larger value is shown as text."""
_DEEPEST = 12
_SHORT = 4
"""Parts of a value that is open from the beginning."""


@register.filter
def folded(value: Any) -> SafeString:
    """Return an array or an object as nested details; nothing for any other value, or for one with too many parts.

    `value` may be JSON text. One longer than the head of an output is left to be shown as such.
    """
    if isinstance(value, str):
        value = _parsed(value)
    elif len(json.dumps(value, ensure_ascii=False, default=str)) > HEAD:
        value = None
    if not isinstance(value, dict | list) or not value or _count(value, room=MOST_PARTS) < 0:
        return SafeString("")
    return _fold(value, name="", is_open=True)


def _parsed(text: str) -> Any:
    if len(text) > HEAD or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return load_written(text)
    except ValueError:
        return None


def _count(value: Any, *, room: int, depth: int = 0) -> int:
    """Return how much of `room` is left after the parts of `value`, less than 0 when it has too many or is too deep."""
    if not isinstance(value, dict | list):
        return room
    if depth > _DEEPEST:
        return -1
    for part in value.values() if isinstance(value, dict) else value:
        room = _count(part, room=room - 1, depth=depth + 1)
        if room < 0:
            break
    return room


def _fold(value: Any, *, name: str, is_open: bool = False) -> SafeString:
    label = format_html("<b>{}</b> ", reveal(name)) if name else ""
    if not isinstance(value, dict | list) or not value:
        return format_html("{}<code>{}</code>", label, reveal(json.dumps(value, ensure_ascii=False)))
    parts = value.items() if isinstance(value, dict) else ((str(at), part) for at, part in enumerate(value))
    inside = format_html_join("", "<li>{}</li>", ((_fold(part, name=str(key)),) for key, part in parts))
    kind = "{}" if isinstance(value, dict) else "[]"
    return format_html(
        '<details class="json"{}><summary>{}<span class="dim">{} {}</span></summary><ul>{}</ul></details>',
        SafeString(" open") if is_open or len(value) <= _SHORT else "", label, kind, len(value), inside,
    )  # fmt: skip
