"""The backend that a caller speaks to: the sessions of their user and source, and no others."""

from django.http import HttpRequest

from sessions.api.auth import authenticate
from sessions.backend import Backend
from sessions.exceptions import Forbidden
from sessions.models import Scope

AGENT = "zeroclaw"
"""The agent's name of sessions that begin here; the trait has none."""


def backend_for(request: HttpRequest, scope: str) -> Backend:
    """Return the backend of a caller who holds `scope`. Raises `Unauthorized` or `Forbidden`."""
    caller = authenticate(request)
    caller.require(scope)
    return Backend(owner=caller.user, source=caller.source, agent_name=AGENT, by=caller.name)


def backend_for_state(request: HttpRequest) -> Backend:
    """Return the backend of a caller who may read states: a key that may only write may, too (API.md section 1)."""
    caller = authenticate(request)
    if not caller.has(Scope.READ) and not caller.has(Scope.WRITE):
        raise Forbidden(f"This key lacks the scope {Scope.READ}.")
    return Backend(owner=caller.user, source=caller.source, agent_name=AGENT, by=caller.name)
