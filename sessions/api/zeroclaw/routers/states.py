"""Names and states; the sessions that run, and those that are stuck."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from sessions.api.problems import failing
from sessions.api.zeroclaw.backends import backend_for, backend_for_state
from sessions.api.zeroclaw.schemas import (
    LARGEST,
    Key,
    NameIn,
    NameOut,
    RunningSessionOut,
    RunningSessionsOut,
    StateIn,
    StateOut,
)
from sessions.models import Scope
from sessions.models.session_rows import SessionQuerySet

router = Router(tags=["States"])


@router.get(
    "/sessions/{zeroclaw_key:key}/name",
    response={200: NameOut, **failing(404)},
    operation_id="get_session_name",
    summary="Read the name",
)
def get_session_name(request: HttpRequest, key: Key) -> NameOut:
    """Return the name that the client or a person gave the session; null when nobody did."""
    return NameOut.of(backend_for(request, Scope.READ).get(key))


@router.put(
    "/sessions/{zeroclaw_key:key}/name",
    response={200: NameOut, **failing(400, 413, 415)},
    operation_id="set_session_name",
    summary="Set the name",
)
def set_session_name(request: HttpRequest, key: Key, body: NameIn) -> NameOut:
    """Give the session a name, or clear it with an empty one; an unknown session is not made, and that is no error."""
    return NameOut.of(backend_for(request, Scope.WRITE).set_name(key, body.name))


@router.get(
    "/sessions/{zeroclaw_key:key}/state",
    response={200: StateOut, **failing(404)},
    operation_id="get_session_state",
    summary="Read the state",
)
def get_session_state(request: HttpRequest, key: Key) -> StateOut:
    """Return state and turn; a new session is idle."""
    return StateOut.of(backend_for_state(request).get(key))


@router.put(
    "/sessions/{zeroclaw_key:key}/state",
    response={200: StateOut, **failing(400, 413, 415)},
    operation_id="set_session_state",
    summary="Set the state",
)
def set_session_state(request: HttpRequest, key: Key, body: StateIn) -> StateOut:
    """Set state and turn, whatever they were; an unknown session is not made, and that is no error."""
    return StateOut.of(backend_for(request, Scope.WRITE).set_state(key, body.state, turn_id=body.turn_id))


@router.get(
    "/running",
    response={200: RunningSessionsOut, **failing()},
    operation_id="list_running_sessions",
    summary="List running sessions",
)
def list_running_sessions(request: HttpRequest) -> RunningSessionsOut:
    """Return the sessions whose state is running, the newest start first."""
    return _listed(backend_for(request, Scope.READ).running())


@router.get(
    "/stuck",
    response={200: RunningSessionsOut, **failing()},
    operation_id="list_stuck_sessions",
    summary="List stuck sessions",
)
def list_stuck_sessions(
    request: HttpRequest, threshold_secs: Annotated[int, Field(ge=0, le=LARGEST)] = 300
) -> RunningSessionsOut:
    """Return the sessions whose turn began strictly longer ago than the threshold, the oldest start first."""
    return _listed(backend_for(request, Scope.READ).stuck(threshold_seconds=threshold_secs))


def _listed(sessions: SessionQuerySet) -> RunningSessionsOut:
    return RunningSessionsOut.model_construct(sessions=[RunningSessionOut.of(session) for session in sessions])
