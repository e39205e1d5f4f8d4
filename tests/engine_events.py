"""What an agent says in a turn, as it sends it, and what the tables then hold."""

from datetime import UTC, datetime, timedelta

from sessions.models import Session
from tests.factories import make_events, make_session

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

START = {"type": "turn_start", "turn_id": "t"}
CALL = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "ls"}, "turn_id": "t"}
RESULT = {"type": "tool_call_result", "id": "c", "name": "Bash", "output": "fine", "turn_id": "t"}
APPROVAL = {
    "type": "approval_request",
    "id": "a",
    "tool_name": "Bash",
    "detail": "rm x",
    "preview": {"kind": "DeleteFile"},
}
CAP = {"type": "loop_cap_reached", "cap": 200, "recent_tools": ["Bash", "Edit"]}
QUESTION = {"type": "ask_user_request", "id": "q", "question": "Which?", "options": ["a", "b"]}


def end(kind: str = "complete", *, turn_id: str = "t", **reason) -> dict:
    return {"type": "turn_end", "turn_id": turn_id, "reason": {"kind": kind, **reason}}


def after(*events: dict, session: Session | None = None, **facts) -> Session:
    """Return a session after these events, each in a batch of its own, a second apart."""
    session = session or make_session()
    for second, event in enumerate(events):
        make_events(session, event, now=NOW + timedelta(seconds=second))
    session.refresh_from_db()
    return session


def turns_of(session: Session) -> list[tuple]:
    return list(session.turns.order_by("id").values_list("turn_id", "reason"))


def calls_of(session: Session) -> list[tuple]:
    return list(session.tool_calls.order_by("id").values_list("call_id", "outcome"))


def requests_of(session: Session) -> list[tuple]:
    return list(session.requests.order_by("id").values_list("kind", "status"))
