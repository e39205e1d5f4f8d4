"""Rows of Koda's tables to records. Never raises: a value that cannot be is left out, and counted where it matters."""

import json

from sessions.importers import fields
from sessions.importers.changes import ImportedEvent
from sessions.importers.fields import JsonObject
from sessions.importers.records import (
    KINDS,
    ImportedMessage,
    ImportedSession,
    Tally,
    ToolCall,
    Usage,
    row_id,
)
from sessions.models.fields import load_written

STORE = "koda"
AGENT = "koda"


def session(row: JsonObject) -> ImportedSession:
    """Return the session of a row."""
    return ImportedSession(
        key=session_key(row.get("id")),
        agent_name=fields.identifier(row.get("agent_name")) or AGENT,
        project_root=fields.name(row.get("project_root")),
        title=fields.identifier(" ".join(str(row.get("title") or "").split()), longest=fields.LONGEST_TITLE),
        mode=fields.text(row, "mode"),
        created_at=fields.moment(row.get("created_at")),
        is_settled=True,
    )


def is_beginning(title: str, *, of: object) -> bool:
    """Say whether a title is the beginning of a prompt, cut or not: that is how Koda itself makes them."""
    words = title.removesuffix("…").removesuffix("...").rstrip()
    return bool(words) and " ".join(str(of or "").split()).startswith(words)


def session_key(session_id: object) -> str:
    """Return the key of a session; Koda takes any text for an id, and SQLite anything."""
    return fields.identifier(str(session_id)) or "?"


def message(row: JsonObject, *, session_key: str, tally: Tally) -> ImportedMessage:
    """Return the message of a row; its role stays as it is, also one that Koda itself would not know."""
    number = fields.number_of(row)
    found = calls(row, tally=tally)
    role = fields.role(row.get("role"))
    return ImportedMessage(
        session_key=session_key,
        client_id=row_id(STORE, number),
        position=number,
        role=role,
        kind=KINDS.get(role, "notice"),
        content=fields.written(row.get("content")),
        thinking=fields.written(row.get("thinking_content")),
        tool_calls=tuple(_plain(call) for call in found or [] if isinstance(call, dict)),
        raw_tool_calls=found,
        tool_call_id=fields.name(row.get("tool_call_id")),
        usage=_usage(row),
        agent_name=fields.identifier(row.get("agent_name")),
        created_at=fields.moment(row.get("created_at")),
    )


def calls(row: JsonObject, *, tally: Tally) -> list[object] | None:
    """Return the tool calls of a row as they stand there; null and [] differ. What is no array is none."""
    text = fields.written(row.get("tool_calls"))
    if text is None:
        return None
    try:
        found = load_written(text)
    except ValueError:
        found = None
    if isinstance(found, list):
        return found
    tally.passed_over["tool_calls that are no array"] += 1
    return None


def _plain(call: JsonObject) -> ToolCall:
    """Return a call in the shape that all readers share; old rows say `name` where others say `function_name`."""
    name = fields.text(call, "function_name") or fields.text(call, "name") or "?"
    arguments = call.get("arguments")
    told = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(id=fields.text(call, "id") or "", function_name=name, arguments=told)


def is_unfinished(row: JsonObject) -> bool:
    """Say whether the model was still speaking when the row was written; old versions write only what is whole."""
    return row.get("role") == "assistant" and "completed_at" in row and row["completed_at"] is None


def event(row: JsonObject) -> ImportedEvent:
    """Return the event of a row: its own text as a message, anything else whole, under the name that Koda gives it."""
    kind = fields.identifier(row.get("kind"), longest=64) or "event"
    payload = _json(fields.written(row.get("payload")))
    is_words = kind in {"info", "warn", "error"} and isinstance(payload, str)
    told: JsonObject = {"message": payload} if is_words else {"event": payload}
    parent = fields.text(row, "parent_tool_call_id")
    if parent is not None:
        told["parent_tool_call_id"] = parent
    return ImportedEvent(
        event_id=f"{STORE}:event:{fields.number_of(row)}",
        type=kind if is_words else f"{STORE}.{kind}",
        payload=told,
        at=fields.moment(row.get("created_at")),
    )


def values(found: dict[object, object]) -> dict[str, str]:
    """Return metadata with keys and values that can be stored."""
    named = {fields.identifier(key, longest=fields.LONGEST_PATH): fields.written(value) for key, value in found.items()}
    return {key: value for key, value in named.items() if key is not None and value is not None}


def paths(found: list[object]) -> tuple[str, ...]:
    """Return the paths that can be names."""
    named = (fields.identifier(path, longest=fields.LONGEST_PATH) for path in found)
    return tuple(dict.fromkeys(path for path in named if path is not None))


def _usage(row: JsonObject) -> Usage | None:
    """Return the five counts of a model call, None for a row that is none: prompt and completion are null."""
    if row.get("prompt_tokens") is None and row.get("completion_tokens") is None:
        return None
    return Usage(
        prompt_tokens=fields.count(row, "prompt_tokens"),
        completion_tokens=fields.count(row, "completion_tokens"),
        cache_read_tokens=fields.count(row, "cache_read_tokens"),
        cache_creation_tokens=fields.count(row, "cache_creation_tokens"),
        thinking_tokens=fields.count(row, "thinking_tokens"),
    )


def _json(text: str | None) -> object:
    """Return the object or array that the text is, else the text."""
    try:
        found = load_written(text or "")
    except ValueError:
        return text
    return found if isinstance(found, dict | list) else text
