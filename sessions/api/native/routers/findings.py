"""What the server concluded: findings of one session, incidents of a source; and the release of what died."""

from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from sessions import findings, incidents, protocol
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.native.schemas.findings import FindingOut, FindingsOut, IncidentOut, IncidentsOut
from sessions.api.native.schemas.turns import StateOut
from sessions.api.problems import failing
from sessions.models import Session
from sessions.models.session_rows import confined_to

router = Router(tags=["Watch"])


@router.get(
    "/sessions/{session_id}/findings",
    response={200: FindingsOut, **failing(404)},
    operation_id="list_findings",
    summary="Read findings",
)
def list_findings(request: HttpRequest, session_id: UUID) -> FindingsOut:
    """Return loops, and calls, results and turns that do not fit together."""
    session = access.find_to_read(authenticate(request), session_id)
    return FindingsOut(items=[FindingOut.model_validate(finding) for finding in findings.find(session)])


@router.get("/incidents", response={200: IncidentsOut, **failing()}, operation_id="list_incidents", summary="Incidents")
def list_incidents(request: HttpRequest) -> IncidentsOut:
    """Return the installations of which most running sessions fell silent together."""
    caller = authenticate(request)
    rows = access.visible(caller).active()
    found = incidents.ongoing(confined_to(caller.user), now=timezone.now())
    pks = [pk for incident in found for pk in incident.sessions]
    ids = dict(rows.filter(pk__in=pks).values_list("pk", "uuid")) if pks else {}
    return IncidentsOut(
        items=[
            IncidentOut(
                source=incident.source, since=incident.since, count=incident.count, running=incident.running,
                sessions=[ids[pk] for pk in incident.sessions if pk in ids],
            )
            for incident in found
        ]
    )  # fmt: skip


@router.post(
    "/sessions/{session_id}/release",
    response={200: StateOut, **failing(404, 409)},
    operation_id="release_session",
    summary="Release a session whose agent went away",
)
def release_session(request: HttpRequest, session_id: UUID) -> Session:
    """End its open turns as abandoned and let it rest; 409 when nothing is open."""
    caller = authenticate(request)
    session = access.find_to_control(caller, session_id)
    return protocol.abandon(session.pk, by=caller.name)
