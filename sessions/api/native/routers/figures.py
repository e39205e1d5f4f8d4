"""Figures over everything that the caller may see."""

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from sessions import stats
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.native.schemas.figures import FiguresOut
from sessions.api.problems import failing
from sessions.api.session_stats import SessionStatsOut
from sessions.models import Scope, Session
from sessions.tool_stats import stats_of
from sessions.wire import Name

router = Router(tags=["Figures"])
Days = Annotated[int, Query(ge=1, le=stats.LONGEST_DAYS, description="How many days (UTC), today among them.")]


@router.get("/stats", response={200: FiguresOut, **failing()}, operation_id="stats", summary="Figures of a period")
def figures(
    request: HttpRequest, *, days: Days = 30, agent_name: Name = "", project_root: Name = "", source: Name = ""
) -> FiguresOut:
    """Return tokens by day, agent and project, tools by outcome, lengths of turns, and time spent waiting for people.

    No purge of messages or events lowers them. A turn, call or request belongs to the day on which it began.
    """
    caller = authenticate(request)
    caller.require(Scope.READ)
    period = stats.Period.of_days(days, now=timezone.now())
    narrow = stats.Filters(agent_name=agent_name, project_root=project_root, source=source)
    return FiguresOut.of(stats.figures(caller.user, period=period, filters=narrow))


@router.get(
    "/sessions/{session_id}/stats",
    response={200: SessionStatsOut, **failing(404)},
    operation_id="get_session_stats",
    summary="Statistics of a session",
)
def get_session_stats(request: HttpRequest, session_id: UUID) -> SessionStatsOut:
    """Return the tool calls of one session, by tool, with the names of Stakpak's SessionStats."""
    session = access.find_to_read(authenticate(request), session_id)
    return SessionStatsOut.of(stats_of(Session.objects.filter(pk=session.pk)))
