"""What a session does, as far as the end of its history tells: for agents that send nothing but their history.

Nothing is invented. A call without a result runs, or waits for an approval in the agent's own terminal; the contract
has no word for which (contracts/stakpak.md 2.5: results come with the next step's checkpoint). So nobody is asked here:
the session is running, `unknown` where others are live, and its open call is what it does.
"""

from datetime import datetime

from sessions.models import Outcome, Session, State, ToolCall
from sessions.projection import Ending


def infer(session: Session, ending: Ending, *, now: datetime) -> list[int]:
    """Set state, activity and calls of a locked session by how its history ends; return the calls that this closed.

    A call without a result is pending as long as nothing newer was said; then it was aborted. What was read from
    another store rests.
    """
    closed = _abort(session, [] if session.is_imported else [one.call_id for one in ending.asked], now=now)
    if session.is_imported or session.has_events or session.is_deleted:
        return closed
    if ending.is_at_rest:
        if session.is_running:
            session.move_to(State.IDLE, turn_id=None, now=now)
        return closed
    if not session.is_running or ending.role == "user":
        session.move_to(State.RUNNING, turn_id=None, now=now)
    session.stop_doing()
    if ending.asked:  # they are carried out in the order in which they were asked for (6.7)
        session.do(ending.asked[0].tool, detail=ending.asked[0].detail, now=now)
    return closed


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
