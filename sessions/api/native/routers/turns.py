"""The turn protocol: events in and out, turns, the state, heartbeats."""

from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from ninja import Router, Status

from sessions import commands, protocol
from sessions.api import access
from sessions.api.auth import Caller, authenticate
from sessions.api.native.schemas.commands import HandedOverOut
from sessions.api.native.schemas.turns import (
    CommandsOut,
    EventOut,
    EventsIn,
    IngestedOut,
    StateIn,
    StateOut,
    TurnOut,
)
from sessions.api.pagination import LIMIT, After, Before, Cursor, Limit, PageOut, page, span
from sessions.api.problems import failing
from sessions.models import Scope, Session, Turn
from sessions.wire import HeartbeatIn

router = Router(tags=["Turns and events"])


@router.post(
    "/sessions/{session_id}/events",
    response={201: IngestedOut, **failing(400, 404, 409, 413, 415)},
    operation_id="ingest_events",
    summary="Send events",
)
def ingest_events(request: HttpRequest, session_id: UUID, body: EventsIn) -> Status[Any]:
    """Store up to 1,000 engine events and let each have its effect; all of it or nothing."""
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    ingested = protocol.ingest(session.pk, [event.draft() for event in body.events])
    counts = {"stored": ingested.stored, "duplicates": ingested.duplicates, "last_seq": ingested.last_seq}
    return Status(201, {**counts, "commands": _handed_over(caller, session)})


@router.get(
    "/sessions/{session_id}/events",
    response={200: PageOut[EventOut], **failing(404)},
    operation_id="list_events",
    summary="Read the log",
)
def list_events(
    request: HttpRequest,
    session_id: UUID,
    after: After | None = None,
    before: Before | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> dict[str, Any]:
    """Return events by seq, for catching up; the server's own among them."""
    session = access.find_to_read(authenticate(request), session_id)
    found = span(session.events.all(), by="seq", after=after, before=before, cursor=cursor, limit=limit)
    return {"items": [EventOut.of(event) for event in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/sessions/{session_id}/turns",
    response={200: PageOut[TurnOut], **failing(404)},
    operation_id="list_turns",
    summary="Read turns",
)
def list_turns(
    request: HttpRequest, session_id: UUID, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> dict[str, Any]:
    """Return the turns of a session in the order in which they were first heard of."""
    session = access.find_to_read(authenticate(request), session_id)
    found = page(session.turns.all(), order="id", cursor=cursor, limit=limit)
    tools = _outcomes(session, found.items)
    items = [TurnOut.of(turn, tools=tools[turn.turn_id]) for turn in found.items]
    return {"items": items, "next_cursor": found.next_cursor}


@router.put(
    "/sessions/{session_id}/state",
    response={200: StateOut, **failing(400, 404, 413, 415)},
    operation_id="set_state",
    summary="Set the state",
)
def set_state(request: HttpRequest, session_id: UUID, body: StateIn) -> Session:
    """Say that the agent is idle, running or in error, without the turn protocol."""
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    return protocol.set_state(session.pk, body.state, turn_id=body.turn_id, by=caller.name)


@router.get(
    "/sessions/{session_id}/state",
    response={200: StateOut, **failing(404)},
    operation_id="get_state",
    summary="Read the state",
)
def get_state(request: HttpRequest, session_id: UUID) -> Session:
    """Return what the agent said of itself; a write key may ask it of its own source."""
    return access.find_to_ask(authenticate(request), session_id)


@router.post(
    "/sessions/{session_id}/heartbeat",
    response={200: CommandsOut, **failing(400, 404, 409, 413, 415)},
    operation_id="send_heartbeat",
    summary="Send a sign of life",
)
def send_heartbeat(request: HttpRequest, session_id: UUID, body: HeartbeatIn) -> dict[str, Any]:
    """Say that the agent lives, and what it is doing; a bare one adds nothing to the log."""
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    protocol.heartbeat(
        session.pk,
        interval_seconds=body.interval,
        progress=body.progress,
        activity=body.activity,
        expect_within_seconds=body.expect_within,
    )
    return {"commands": _handed_over(caller, session)}


def _handed_over(caller: Caller, session: Session) -> list[HandedOverOut]:
    """Return what the session's agent should do, if the caller is that agent."""
    if not (caller.has(Scope.WRITE) and access.is_own(caller, session)):
        return []
    return [HandedOverOut.of(command) for command in commands.take(session.pk)]


def _outcomes(session: Session, turns: list[Turn]) -> dict[str, Counter[str]]:
    """Return how many calls of each turn ended how, those that a purge destroyed among them; one query."""
    ended = Q(turn_id__in=[turn.turn_id for turn in turns], outcome__isnull=False)
    living = session.tool_calls.filter(ended).order_by().values_list("turn_id", "outcome")
    gone = session.purged_calls.filter(ended).order_by().values_list("turn_id", "outcome")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for turn_id, outcome, count in living.annotate(calls=Count("pk")).union(
        gone.annotate(calls=Sum("count")), all=True
    ):
        counts[str(turn_id)][str(outcome)] += int(count)
    return counts
