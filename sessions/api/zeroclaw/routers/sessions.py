"""Sessions: list, search, read, delete, compact; and the cleanup of those that nobody has used for long."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from sessions.api.problems import failing
from sessions.api.zeroclaw.backends import backend_for
from sessions.api.zeroclaw.schemas import (
    LARGEST,
    CleanupIn,
    CleanupOut,
    DeletedOut,
    Key,
    KeysOut,
    OkOut,
    SessionOut,
    SessionsOut,
)
from sessions.backend import LIMIT
from sessions.models import Scope

router = Router(tags=["Sessions"])


@router.get(
    "/sessions",
    response={200: SessionsOut | KeysOut, **failing()},
    operation_id="list_sessions",
    summary="List or search sessions",
)
def list_sessions(
    request: HttpRequest,
    keyword: Annotated[
        str | None, Field(description="Words of which one must stand in a message or the key; blank finds nothing.")
    ] = None,
    limit: Annotated[int, Field(ge=0, le=LARGEST, description="Sessions; without a keyword it says nothing.")] = LIMIT,
    keys_only: Annotated[bool, Field(description='Answer `{"keys": […]}`.')] = False,  # noqa: FBT002 - of the query
) -> SessionsOut | KeysOut:
    """Return all sessions, newest activity first; with a keyword those that match, the oldest match first."""
    found = backend_for(request, Scope.READ).search(keyword, limit=limit)
    if keys_only:
        return KeysOut.model_construct(keys=[session.key for session in found])
    return SessionsOut.model_construct(sessions=[SessionOut.of(session) for session in found])


@router.post(
    "/cleanup",
    response={200: CleanupOut, **failing(400, 409, 413, 415)},
    operation_id="cleanup_stale",
    summary="Remove stale sessions",
)
def cleanup_stale(request: HttpRequest, body: CleanupIn) -> CleanupOut:
    """Destroy for good the sessions that were last active strictly longer ago. Needs the scope control."""
    keys = backend_for(request, Scope.CONTROL).cleanup_stale(
        ttl_hours=body.ttl_hours,
        include_running=body.include_running,
        is_dry_run=body.dry_run,
        is_forced=body.force,
    )
    return CleanupOut(removed=len(keys), keys=keys)


@router.post(
    "/sessions/{zeroclaw_key:key}/compact",
    response={200: OkOut, **failing(409)},
    operation_id="compact",
    summary="Put a session in order",
)
def compact(request: HttpRequest, key: Key) -> OkOut:
    """Count its messages anew and index it anew; nothing is shortened. An unknown session is no error."""
    backend_for(request, Scope.WRITE).compact(key)
    return OkOut(ok=True)


# The paths of single sessions come last: an unencoded slash may stand in a key.
single = Router(tags=["Sessions"])


@single.get(
    "/sessions/{zeroclaw_key:key}",
    response={200: SessionOut, **failing(404)},
    operation_id="get_session_metadata",
    summary="Read a session",
)
def get_session_metadata(request: HttpRequest, key: Key) -> SessionOut:
    """Return the metadata of one session."""
    return SessionOut.of(backend_for(request, Scope.READ).get(key))


@single.delete(
    "/sessions/{zeroclaw_key:key}",
    response={200: DeletedOut, **failing()},
    operation_id="delete_session",
    summary="Delete a session",
)
def delete_session(request: HttpRequest, key: Key) -> DeletedOut:
    """Delete a session; the next append with this key makes a new one."""
    return DeletedOut(deleted=backend_for(request, Scope.WRITE).delete(key))
