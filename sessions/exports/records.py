"""For programs: every record of a session, as lines of JSON or as one JSON object."""

from collections.abc import Iterator
from typing import Any

import orjson
from django.db.models import F, QuerySet

from sessions.models import CheckpointPiece, Session
from sessions.wire import dump

VERSION = 1
"""Of the format; it grows when a reader would have to change."""
_AT_ONCE = 200
"""Rows that are held in memory."""

_SESSION = (
    "source", "key", "agent_name", "project_root", "title", "visibility", "status", "mode", "model", "provider",
    "state", "created_at", "updated_at", "last_activity_at", "deleted_at", "last_seq", "message_count", "turn_count",
    "tool_call_count", "prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_creation_tokens",
    "thinking_tokens", "api_call_count", "context_used", "context_max",
)  # fmt: skip
_OURS = {"session_id", "answered_by_id"}
"""Columns that mean something in this database only."""


def lines_of(session: Session) -> Iterator[bytes]:
    """Yield the lines of an export, each with its line end: first the session, then its parts, each in its order.

    Every line is an object whose `record` says what it is: session, turn, message, tool_call, request, usage, metadata,
    file, checkpoint, checkpoint_piece, event. Ids of messages and tool calls are those by which other lines name them.
    """
    yield _dump({"record": "session", **_facts(session)}) + b"\n"
    for record, rows in _parts(session):
        for row in _rows(rows):
            yield _dump({"record": record, **row}) + b"\n"


def object_of(session: Session) -> Iterator[bytes]:
    """Yield one JSON object in pieces: the same records, each kind an array under its name; a record a line."""
    yield b'{"session":' + _dump(_facts(session))
    for record, rows in _parts(session):
        yield b',\n"' + record.encode() + b'":['
        for number, row in enumerate(_rows(rows)):
            yield (b",\n" if number else b"\n") + _dump(row)
        yield b"]"
    yield b"}\n"


def _facts(session: Session) -> dict[str, Any]:
    return {"version": VERSION, "id": session.uuid, **{name: getattr(session, name) for name in _SESSION}}


def _parts(session: Session) -> Iterator[tuple[str, QuerySet[Any, Any]]]:
    yield "turn", session.turns.order_by("pk").values()
    yield "message", session.messages.order_by("pk").values()
    yield "tool_call", session.tool_calls.order_by("pk").values()
    yield "request", session.requests.order_by("pk").values()
    yield "usage", session.usage.order_by("pk").values()
    yield "metadata", session.metadata.order_by("pk").values()
    yield "file", session.files.order_by("pk").values()
    checkpoints = session.checkpoints.order_by("seq").annotate(parent_seq=F("parent__seq"))
    yield (
        "checkpoint",
        checkpoints.values("uuid", "seq", "parent_seq", "message_count", "spans", "variants", "rest", "created_at"),
    )
    pieces = CheckpointPiece.objects.filter(session=session).order_by("first")
    yield "checkpoint_piece", pieces.values("first", "end", "text")
    events = session.events.order_by("seq")
    yield "event", events.values("seq", "type", "payload", "event_id", "at", "turn_id", "received_at")


def _rows(rows: QuerySet[Any, Any]) -> Iterator[dict[str, Any]]:
    for row in rows.iterator(chunk_size=_AT_ONCE):
        yield {name: value for name, value in row.items() if name not in _OURS}


def _dump(value: Any) -> bytes:
    return dump(value, option=orjson.OPT_UTC_Z)
