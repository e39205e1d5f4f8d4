"""Where the stays of a ribbon come from: the log's changes of liveness and the requests that waited."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from sessions.models import Event, Liveness, Request, Session
from sessions.models.prepared import Place, prepared
from sessions.templatetags.cleartext import on_one_line
from sessions.web.ribbon import LONGEST, Ribbon, Stay, draw

NEWEST_CHANGES = 300


def ribbon_of(session: Session, *, now: datetime) -> Ribbon | None:
    """Return the ribbon of a session: up to now while it runs, else up to its last activity; None when it never ran.

    Two queries.
    """
    is_open = session.is_running or bool(session.needs)
    end = now if is_open else max(session.last_activity_at, session.liveness_since)
    changes = _changes(session.pk)[::-1]
    waits = _waits(_asked(session.pk, end - LONGEST), end=end)
    if not changes and not waits:
        return None
    known = [*(change.received_at for change in changes[:1]), *(wait.since for wait in waits[:1])]
    start = min([session.created_at, *known]) if len(changes) < NEWEST_CHANGES else changes[0].received_at
    stays = [*_stays(changes, start=start, end=end), *waits]
    return draw(stays, start=start, end=end)


@prepared
def _changes(session_id: Place) -> QuerySet[Event]:
    return Event.objects.filter(session=session_id).liveness_changes().order_by("-seq")[:NEWEST_CHANGES]


@prepared
def _asked(session_id: Place, since: Place) -> QuerySet[Request]:
    rows = Request.objects.filter(session=session_id, opened_at__gte=since)
    return rows.order_by("opened_at")[:NEWEST_CHANGES]


def _stays(changes: list[Event], *, start: datetime, end: datetime) -> list[Stay]:
    """Return what lies between the changes; before the first one it was what that one says it left."""
    state, since, reason = Liveness.RESTING.value, start, ""
    if changes:
        state = str(changes[0].payload.get("from", state))
    stays = []
    for change in changes:
        stays.append(Stay(state, since, change.received_at, reason))
        state, since = str(change.payload.get("to", Liveness.RESTING)), change.received_at
        reason = on_one_line(str(change.payload.get("reason", "")))
    return [*stays, Stay(state, since, max(end, since), reason)]


def _waits(requests: Iterable[Request], *, end: datetime) -> list[Stay]:
    return [
        Stay("needs", request.opened_at, request.closed_at or end, on_one_line(request.detail or request.tool_name))
        for request in requests
    ]
