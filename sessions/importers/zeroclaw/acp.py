"""An acp-sessions.db to records: sessions of ZeroClaw's coding mode, with thinking, calls and results.

A turn is written whole, in one transaction, after its end; so there is nothing to tell of turns that run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sessions.importers import fields
from sessions.importers.changes import Change, ImportedEvent, ImportedEvents, ImportedMetadata, ImportedRemoval
from sessions.importers.database import DatabaseReader
from sessions.importers.fields import JsonObject
from sessions.importers.records import KINDS, ImportedMessage, ImportedSession, Record, row_id
from sessions.importers.zeroclaw.database import AcpDatabase
from sessions.models.fields import load_written

PAGE = 500
STORE = "acp"
AGENT = "zeroclaw"

Pulled = Iterator[Record | Change]


@dataclass(slots=True)
class _Seen:
    """What was handed over of one session."""

    key: str
    record: ImportedSession | None = None
    last_row: int = 0
    values: dict[str, str] | None = None


class AcpReader(DatabaseReader[AcpDatabase]):
    """Reads one database, again and again."""

    opens = AcpDatabase

    def begin(self) -> None:
        """Stand before the first row."""
        self._seen: dict[object, _Seen] = {}
        self._newest_event = 0

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Pulled:
        """Yield what is new. Raises `OSError` when the file is not there, `InvalidRequest` when it cannot be read."""
        database = self.opened()
        sessions, newest = database.sessions(), database.newest_messages()
        events = database.events(after=self._newest_event)
        empty = 0
        for row in sessions:
            session_id = row["id"]
            if session_id not in newest and session_id not in self._seen:
                empty += 1
                continue
            seen = self._seen.setdefault(session_id, _Seen(_key(row)))
            yield from self._session(row, seen)
            if newest.get(session_id, 0) > seen.last_row:
                yield from self._messages(database, session_id, seen)
            if found := events.get(session_id):
                self._newest_event = max(self._newest_event, *map(fields.number_of, found))
                yield ImportedEvents(session_key=seen.key, events=tuple(map(_event, found)))
        known = {row["id"] for row in sessions}
        for session_id in [session_id for session_id in self._seen if session_id not in known]:
            yield ImportedRemoval(session_key=self._seen.pop(session_id).key)
        self.pass_over(**{"session in which nothing was said": empty})
        progress(self.path.stat().st_size)

    def _session(self, row: JsonObject, seen: _Seen) -> Pulled:
        """Yield the session and what stands beside its messages, where they are new."""
        record = ImportedSession(
            key=seen.key,
            agent_name=fields.identifier(row.get("agent_alias")) or AGENT,
            project_root=fields.identifier(row.get("workspace_dir"), longest=fields.LONGEST_PATH),
            created_at=fields.moment(row.get("created_at")),
            is_settled=True,
        )
        if record != seen.record:
            seen.record = record
            yield record
        values = _values(row)
        if values != (seen.values or {}):
            seen.values = values
            yield ImportedMetadata(session_key=seen.key, values=values)

    def _messages(self, database: AcpDatabase, session_id: object, seen: _Seen) -> Pulled:
        """Yield the rows that are new, each with its calls, and after it the results that hang on it."""
        while page := database.messages(session_id, after=seen.last_row, limit=PAGE):
            first, last = fields.number_of(page[0]), fields.number_of(page[-1])
            calls = database.calls(first=first, last=last)
            for row in page:
                told = calls.get(row["id"], [])
                yield _message(row, [call for call in told if call.get("event_kind") != "out"], key=seen.key)
                yield from (_result(call, key=seen.key) for call in told if call.get("event_kind") == "out")
                self.tally.lines += 1
            seen.last_row = last


def _key(row: JsonObject) -> str:
    return fields.identifier(str(row.get("session_uuid"))) or "?"


def _message(row: JsonObject, calls: list[JsonObject], *, key: str) -> ImportedMessage:
    """Return the message of a row with the calls that hang on it."""
    number, role = fields.number_of(row), fields.role(row.get("role"))
    asked = [
        {"id": _call_id(call), "function_name": fields.text(call, "tool_name") or "unknown",
         "arguments": fields.written(call.get("payload")) or "{}"}
        for call in calls
    ]  # fmt: skip
    return ImportedMessage(
        session_key=key,
        client_id=row_id(STORE, number),
        position=number,
        role=role,
        kind=KINDS.get(role, "notice"),
        content=fields.written(row.get("content")),
        thinking=fields.text(row, "reasoning_content"),
        raw_tool_calls=asked or None,
        created_at=fields.moment(row.get("created_at")),
    )


def _result(call: JsonObject, *, key: str) -> ImportedMessage:
    """Return the result of a call as the message that a tool would have written; its number is of another table."""
    return ImportedMessage(
        session_key=key,
        client_id=f"{STORE}-result:{fields.number_of(call)}",
        role="tool",
        kind="result",
        content=fields.written(call.get("payload")),
        tool_call_id=_call_id(call),
        created_at=fields.moment(call.get("created_at")),
    )


def _call_id(call: JsonObject) -> str:
    return fields.identifier(call.get("tool_call_id"), longest=fields.LONGEST_PATH) or f"call-{call['id']}"


def _values(row: JsonObject) -> dict[str, str]:
    """Return the plan as a to-do list, when the session was killed, and how many tokens it counted."""
    found = {"todo": _plan(fields.text(row, "plan_json")), "killed_at": fields.text(row, "killed_at")}
    if tokens := fields.count(row, "token_count"):
        found["token_count"] = str(tokens)
    return {name: value for name, value in found.items() if value}


def _plan(text: str | None) -> str:
    """Return a plan as a checklist."""
    try:
        steps = load_written(text or "[]")
    except ValueError:
        return ""
    marks = {"completed": "x", "in_progress": "~"}
    return "\n".join(
        f"- [{marks.get(str(step.get('status')), ' ')}] {' '.join(str(step.get('content') or '').split())}"
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
    )


def _event(row: JsonObject) -> ImportedEvent:
    """Return the event of a row."""
    action = fields.identifier(row.get("action"), longest=64) or "event"
    payload = fields.written(row.get("payload"))
    try:
        told = load_written(payload or "null")
    except ValueError:
        told = payload
    return ImportedEvent(
        event_id=f"{STORE}:event:{fields.number_of(row)}",
        type=f"{AGENT}.{action}",
        payload={"outcome": fields.text(row, "outcome"), "event": told},
        at=fields.moment(row.get("created_at")),
    )
