"""Messages as agents send them, and what the tables then hold."""

from datetime import UTC, datetime

from sessions import transcripts
from sessions.models import Session
from sessions.transcripts import MessageDraft

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def user(content: str | None = "hello", **facts) -> MessageDraft:
    return MessageDraft(role="user", content=content, **facts)


def asking(*ids: str, **facts) -> MessageDraft:
    calls = [{"id": one, "function_name": "Bash", "arguments": '{"command": "ls"}'} for one in ids]
    return MessageDraft(role="assistant", tool_calls=calls, **facts)


def answering(call_id: str, content: str = "fine", **facts) -> MessageDraft:
    return MessageDraft(role="tool", tool_call_id=call_id, content=content, **facts)


def append(session: Session, *drafts: MessageDraft, **facts) -> transcripts.Appended:
    done = transcripts.append(session.pk, drafts, **{"now": NOW, **facts})
    session.refresh_from_db()
    return done


def calls_of(session: Session) -> list[tuple]:
    rows = session.tool_calls.order_by("id")
    return list(rows.values_list("call_id", "outcome", "message_id", "result_message_id"))


def tool_counts(session: Session) -> tuple[int, ...]:
    names = ("", "_success", "_failed", "_rejected", "_aborted")
    return tuple(getattr(session, f"tool{name}_count" if name else "tool_call_count") for name in names)
