"""Sessions that are stuck or lost, as the shell sees them."""

from datetime import datetime, timedelta
from typing import Any

from sessions import liveness
from sessions.models import Session
from sessions.models.session_rows import SessionQuerySet
from sessions.models.watched import ADRIFT
from sessions.templatetags.cleartext import on_one_line


def adrift() -> SessionQuerySet:
    """Return the sessions that the server concludes to be stuck or lost, the longest without progress first."""
    rows = Session.objects.active().running().filter(ADRIFT)
    ordered: SessionQuerySet = rows.order_by("progressed_at", "pk")
    return ordered


def silent_for(session: Session, now: datetime) -> timedelta:
    """Return how long nothing was heard of a session; one that was never heard from counts from its turn's start."""
    return now - (session.heard_at or session.turn_started_at or session.created_at)


def as_fields(session: Session, now: datetime) -> dict[str, Any]:
    """Return what a script wants to know of a session."""
    began = session.turn_started_at
    return {
        "id": str(session.uuid),
        "title": session.display_title,
        "agent_name": session.agent_name,
        "project_root": session.project_root,
        "source": session.source,
        "owner": session.owner.get_username(),
        "liveness": session.liveness,
        "needs": session.needs,
        "reason": liveness.explain(session, now),
        "turn_id": session.turn_id,
        "turn_secs": None if began is None else round((now - began).total_seconds(), 3),
        "silent_secs": round(silent_for(session, now).total_seconds(), 3),
    }


def as_line(session: Session, now: datetime) -> str:
    """Return a session as one line for people: its id, how it stands, for how long, and why."""
    began = session.turn_started_at
    turn = "-" if began is None else liveness.spell(now - began)
    silent = liveness.spell(silent_for(session, now))
    who = " ".join(filter(None, [session.agent_name, session.project_name]))
    state = session.needs or session.liveness
    words = on_one_line(f"{who}: {liveness.explain(session, now)}")  # agents wrote them: no escapes to a terminal
    return f"{session.uuid}  {state:<13}  turn {turn:<11}  silent {silent:<11}  {words}"


def count_of(count: int, noun: str = "session") -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
