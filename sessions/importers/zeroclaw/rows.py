"""What ZeroClaw writes, to records. Never raises: a value that cannot be is left out."""

import json
import re

from sessions.importers import fields
from sessions.importers.fields import JsonObject
from sessions.importers.records import KINDS, ImportedMessage, ImportedSession, row_id
from sessions.models.fields import load_written

STORE = "zeroclaw"
AGENT = "zeroclaw"
LONGEST_KEY = 1024
TITLE_LENGTH = 50
ROUTING = ("channel_id", "room_id", "sender_id")
"""Columns that become metadata."""
_CLOCK = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^\]\n]{1,40}\] ")
"""With this later versions begin what a user said."""


def session_key(value: object) -> str:
    """Return the key, exactly as it stands there if it can be one: a client goes on with the session by it."""
    text = fields.written(value) or ""
    if 1 <= len(text) <= LONGEST_KEY and "\0" not in text:
        return text
    return fields.identifier(text, longest=LONGEST_KEY) or "?"


def session(row: JsonObject, *, first_prompt: object) -> ImportedSession:
    """Return the session of a row; one without a name is called by its first prompt."""
    name = fields.text(row, "name")
    prompt = " ".join(_CLOCK.sub("", str(first_prompt or ""), count=1).split())
    title = name or (prompt if len(prompt) <= TITLE_LENGTH else f"{prompt[: TITLE_LENGTH - 1].rstrip()}…")
    return ImportedSession(
        key=session_key(row.get("session_key")),
        agent_name=fields.identifier(row.get("agent_alias")) or AGENT,
        title=fields.identifier(title, longest=fields.LONGEST_TITLE),
        is_title_derived=name is None,
        created_at=fields.moment(row.get("created_at")),
        is_settled=True,
        is_one_life=True,
        owns_key=True,
    )


def message(row: JsonObject, *, session_key: str) -> ImportedMessage:
    """Return the message of a row."""
    number = fields.number_of(row)
    return spoken(
        role=fields.role(row.get("role")),
        content=fields.written(row.get("content")),
        base=ImportedMessage(
            session_key=session_key,
            client_id=row_id(STORE, number),
            position=number,
            may_change=True,
            role="",
            kind="notice",
            created_at=fields.moment(row.get("created_at")),
        ),
    )


def spoken(*, role: str, content: str | None, base: ImportedMessage) -> ImportedMessage:
    """Return `base` with what was said; calls and results, which channels keep as JSON text, are taken out of it."""
    kind = KINDS.get(role, "notice")
    told = _object(content) if role in {"assistant", "tool"} else {}
    if role == "assistant" and isinstance(calls := told.get("tool_calls"), list):
        return base.saying(
            role=role, kind=kind, content=fields.text(told, "content"),
            thinking=fields.text(told, "reasoning_content"), raw_tool_calls=calls,
        )  # fmt: skip
    call_id = fields.identifier(told.get("tool_call_id"), longest=fields.LONGEST_PATH)
    if role == "tool" and call_id is not None and "content" in told:
        result = told["content"]
        text = result if isinstance(result, str) else json.dumps(result)
        return base.saying(role=role, kind=kind, content=text, tool_call_id=call_id)
    return base.saying(role=role, kind=kind, content=content)


def metadata(row: JsonObject) -> dict[str, str]:
    """Return by which channel, room and sender a session came."""
    return {name: value for name in ROUTING if (value := fields.text(row, name))}


def _object(text: str | None) -> JsonObject:
    """Return the JSON object that a text is, an empty one when it is none."""
    if not text or not text.startswith("{"):
        return {}
    try:
        found = load_written(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
