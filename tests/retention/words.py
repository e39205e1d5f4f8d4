"""A session whose words stand in every place where they can, and a look into every place there is."""

import json
from datetime import UTC, datetime, timedelta

from django.db import connection

from sessions import commands, indexing, protocol
from sessions.models import Session
from sessions.transcripts import MessageDraft
from tests.factories import make_events
from tests.message_drafts import append, user

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def speak(session: Session, word: str, *, at: datetime) -> None:
    """Let a session go through a turn in which everything says `word`; the turn ends, the agent rests."""
    said = f"the {word} again"
    args = {"command": f"cat {word}.txt"}
    turn_id = f"turn-{session.turn_count}"
    tell(session, {"type": "turn_start", "turn_id": turn_id}, at=at)
    append(session, user(said), now=at)
    tell(
        session,
        {"type": "thinking_delta", "text": said, "event_id": f"{turn_id}-thought"},
        {"type": "text_delta", "text": said},
        {"type": "tool_call_start", "id": f"{turn_id}-call", "name": "Bash", "args": args},
        {"type": "tool_call_start", "id": f"{turn_id}-lone", "name": "Grep", "args": {"pattern": word}},
        {"type": "tool_call_result", "id": f"{turn_id}-lone", "name": "Grep", "output": said},
        {"type": "approval_request", "id": f"{turn_id}-ask", "tool_name": "Bash", "detail": said, "preview": [said]},
        at=at,
    )
    answer = {"decision": "reject_with_feedback", "feedback": said}
    commands.ask(
        session.pk, {"type": "approval_response", "id": f"{turn_id}-ask", "decision": answer}, by=session.owner, now=at
    )
    commands.take(session.pk, now=at)
    protocol.heartbeat(session.pk, activity=said, now=at)
    tell(session, {"type": "tool_call_result", "id": f"{turn_id}-call", "name": "Bash", "output": said}, at=at)
    call = {"id": f"{turn_id}-call", "function_name": "Bash", "arguments": json.dumps(args)}
    append(
        session,
        MessageDraft(role="assistant", content=said, thinking=said, tool_calls=[call]),
        MessageDraft(role="tool", content=said, tool_call_id=call["id"]),
        now=at,
    )
    tell(session, {"type": "turn_end", "reason": {"kind": "complete"}, "turn_id": turn_id}, at=at)
    indexing.catch_up(seconds=5)
    session.refresh_from_db()


def tell(session: Session, *events: dict, at: datetime) -> None:
    make_events(session, *events, now=at)


def places_of(word: str) -> set[str]:
    """Return the tables in which `word` stands, in whichever column, the search index's own included."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                if any(says(value, word) for value in row):
                    found.add(table.removeprefix("koda_sessions_"))
    return found


def says(value: object, word: str) -> bool:
    if isinstance(value, bytes | memoryview):
        return word[3:].encode() in bytes(value)  # of neighbours an index keeps only where they differ
    return isinstance(value, str) and word in value.lower()
