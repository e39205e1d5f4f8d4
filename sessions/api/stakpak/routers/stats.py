"""Statistics with the names of the trait's SessionStats: of one session, and of all that the key's user has."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from sessions.api.auth import authenticate
from sessions.api.session_stats import SessionStatsOut
from sessions.api.stakpak.answers import find_to_read
from sessions.api.stakpak.envelope import failing
from sessions.models import Scope, Session
from sessions.tool_stats import stats_of

router = Router(tags=["Statistics"])


@router.get(
    "/sessions/stats",
    response={200: SessionStatsOut, **failing()},
    operation_id="get_stats",
    summary="Read the statistics of all sessions",
)
def get_stats(request: HttpRequest) -> SessionStatsOut:
    """Return the tool calls of all sessions of the key's user that are not deleted, of every agent."""
    caller = authenticate(request)
    caller.require(Scope.READ)
    return SessionStatsOut.of(stats_of(Session.objects.active().filter(owner=caller.user)))


@router.get(
    "/sessions/{uuid:session_id}/stats",
    response={200: SessionStatsOut, **failing(404)},
    operation_id="get_session_stats",
    summary="Read the statistics of a session",
)
def get_session_stats(request: HttpRequest, session_id: UUID) -> SessionStatsOut:
    """Return the tool calls of one session, by tool."""
    session = find_to_read(request, session_id)
    return SessionStatsOut.of(stats_of(Session.objects.filter(pk=session.pk)))
