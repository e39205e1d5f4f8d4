"""What a session does, inferred from how its history ends: for agents that tell nothing but their history.

Nothing is invented: such a session is `unknown` where others are live, and what a person must do is an inference that
says so (contracts/stakpak.md 9.7).
"""

from datetime import datetime

from sessions.models import Needs, Outcome, Request, Session, State, ToolCall
from sessions.projection import Asked, Ending


def infer(session: Session, ending: Ending, *, now: datetime) -> list[int]:
    """Set state, requests and calls of a locked session by how its history ends; return the calls that this closed.

    A call without a result is pending as long as nothing newer was said; then it was aborted. What was read from
    another store rests.
    """
    closed = _abort(session, [] if session.is_imported else [one.call_id for one in ending.asked], now=now)
    if session.is_imported or session.has_events or session.is_deleted:
        return closed
    _let_ask(session, {one.call_id: one for one in ending.asked if one.waits_for_person}, now=now)
    if ending.is_at_rest:
        if session.is_running:
            session.move_to(State.IDLE, turn_id=None, now=now)
    elif not session.is_running or ending.role == "user":
        session.move_to(State.RUNNING, turn_id=None, now=now)
    return closed


def _let_ask(session: Session, waiting: dict[str, Asked], *, now: datetime) -> None:
    """Let the session wait for a person on account of these calls, and of no others any more."""
    known: set[str] = set()
    if session.needs:
        Request.objects.filter(session=session).exclude(request_id__in=waiting).expire(now)
        known = set(Request.objects.filter(session=session).open().values_list("request_id", flat=True))
    for one in waiting.values():
        if one.call_id not in known:
            Request.objects.open_one(
                session, kind=Needs.APPROVAL, request_id=one.call_id, tool_name=one.tool, detail=one.detail,
                turn_id=None, opened_seq=session.last_seq + 1, now=now,
            )  # fmt: skip
    if waiting or session.needs:
        Request.objects.let_need(session, now=now)


def _abort(session: Session, pending: list[str], *, now: datetime) -> list[int]:
    """Close the open calls that are not pending any more; return which."""
    if session.tool_call_count == _closed_count(session):
        return []
    closed = []
    for call in ToolCall.objects.filter(session=session).open().exclude(call_id__in=pending):
        call.close(Outcome.ABORTED, now=now)
        closed.append(call.pk)
    session.count_tool_calls(outcomes={Outcome.ABORTED.value: len(closed)})
    return closed


def _closed_count(session: Session) -> int:
    return sum(getattr(session, f"tool_{outcome}_count") for outcome in Outcome.values)
