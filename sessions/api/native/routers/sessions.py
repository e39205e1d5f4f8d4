"""Sessions: create, list, read, change, delete; those that run, and those that are stuck."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import Field

from sessions import forks, liveness
from sessions.api import access
from sessions.api.auth import Caller, authenticate
from sessions.api.native.schemas.sessions import (
    DeletedOut,
    ForkIn,
    RunningSessionOut,
    SessionIn,
    SessionListIn,
    SessionOut,
    SessionPatchIn,
)
from sessions.api.pagination import LIMIT, Cursor, Limit, PageOut, page
from sessions.api.problems import failing
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Checkpoint, Needs, Scope, Session
from sessions.models.session_rows import SessionQuerySet

router = Router(tags=["Sessions"])

LONGEST_THRESHOLD = 10**9
"""Seconds; thirty years, and still within the calendar."""


def with_ids(rows: SessionQuerySet, *, user: AbstractBaseUser) -> SessionQuerySet:
    """Load with each session the public ids of its parent, if `user` may see that, and of its active checkpoint."""
    parent = Session.objects.visible_to(user).filter(pk=OuterRef("parent")).values("uuid")
    annotated: SessionQuerySet = rows.annotate(
        parent_uuid=Subquery(parent), active_checkpoint_uuid=F("active_checkpoint__uuid")
    )
    return annotated


def _visible(request: HttpRequest) -> SessionQuerySet:
    """Return the sessions that the caller may read, as answers show them."""
    caller = authenticate(request)
    return with_ids(access.visible(caller), user=caller.user)


def _look(uuid: UUID, *, user: AbstractBaseUser) -> Session:
    return with_ids(Session.objects.visible_to(user), user=user).find(uuid)


@router.post(
    "/sessions",
    response={201: SessionOut, 200: SessionOut, **failing(400, 409, 413, 415)},
    operation_id="create_session",
    summary="Create a session",
    openapi_extra={"responses": {200: {"description": "An equal request has made it before"}}},
)
def create_session(request: HttpRequest, session: SessionIn) -> Status[SessionOut]:
    """Create a session of the key's source. A repeat with the same `id` answers 200 with the one that is there."""
    caller = authenticate(request)
    caller.require(Scope.WRITE)
    facts = session.facts()
    if session.parent_id is not None:
        facts["parent"] = _find_parent(caller, session.parent_id)
    started = Session.objects.start(
        owner=caller.user, source=caller.source, agent_name=session.agent_name, uuid=session.id, **facts
    )
    return Status(201 if started.is_new else 200, _shown(started.session, caller))


@router.get(
    "/sessions",
    response={200: PageOut[SessionOut], **failing()},
    operation_id="list_sessions",
    summary="List sessions",
)
def list_sessions(
    request: HttpRequest, filters: Query[SessionListIn], cursor: Cursor | None = None, limit: Limit = LIMIT
) -> dict[str, Any]:
    """Return the sessions that the caller may read, a page at a time."""
    user = authenticate(request).user
    rows = _visible(request).filter(_condition(filters, user=user)).filtered(q=filters.q or "")
    found = page(rows, order=filters.order, cursor=cursor, limit=limit)
    return {"items": [SessionOut.of(session) for session in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/sessions/running",
    response={200: PageOut[RunningSessionOut], **failing()},
    operation_id="list_running_sessions",
    summary="List running sessions",
)
def list_running_sessions(request: HttpRequest, cursor: Cursor | None = None, limit: Limit = LIMIT) -> dict[str, Any]:
    """Return the sessions whose agents said that they work, the newest start first."""
    rows = _visible(request).active().running()
    return _running(rows, order="-turn_started_at", cursor=cursor, limit=limit)


@router.get(
    "/sessions/stuck",
    response={200: PageOut[RunningSessionOut], **failing()},
    operation_id="list_stuck_sessions",
    summary="List stuck sessions",
)
def list_stuck_sessions(
    request: HttpRequest,
    threshold_secs: Annotated[int, Field(ge=0, le=LONGEST_THRESHOLD)] = 300,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> dict[str, Any]:
    """Return the sessions that have run for longer than the threshold, the oldest start first.

    This is the contracts' literal rule; `liveness` is what the server concludes from all that it knows.
    """
    rows = _visible(request).active().stuck(threshold=timedelta(seconds=threshold_secs), now=timezone.now())
    return _running(rows, order="turn_started_at", cursor=cursor, limit=limit)


@router.get(
    "/sessions/{session_id}",
    response={200: SessionOut, **failing(404)},
    operation_id="get_session",
    summary="Read a session",
)
def get_session(request: HttpRequest, session_id: UUID) -> SessionOut:
    """Return one session, a deleted one too."""
    return SessionOut.of(access.find_to_read(authenticate(request), session_id, look=_look))


@router.patch(
    "/sessions/{session_id}",
    response={200: SessionOut, **failing(400, 404, 413, 415)},
    operation_id="update_session",
    summary="Change a session",
)
def update_session(request: HttpRequest, session_id: UUID, changes: SessionPatchIn) -> SessionOut:
    """Change title, visibility, mode, model, provider or the threshold of the watch; what is not sent stays."""
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    access.require_sight(caller, session)
    said = changes.model_dump(exclude_unset=True)
    with transaction.atomic():
        if "stuck_after_secs" in said:
            liveness.set_patience(session.pk, said.pop("stuck_after_secs"), by=caller.name)
        return _shown(session.edit(by=caller.name, **said), caller)


@router.delete(
    "/sessions/{session_id}",
    response={200: DeletedOut, **failing(404)},
    operation_id="delete_session",
    summary="Delete a session",
)
def delete_session(
    request: HttpRequest,
    session_id: UUID,
    permanent: Annotated[  # noqa: FBT002 - a word of the query
        bool, Field(description="Remove it and all below it for good; needs the scope control.")
    ] = False,
) -> DeletedOut:
    """Delete a session softly: lists leave it out, its id still reads."""
    caller = authenticate(request)
    if not permanent:
        return DeletedOut(deleted=access.find_to_write(caller, session_id).remove(by=caller.name))
    access.find_to_control(caller, session_id).destroy(by=caller.name)
    return DeletedOut(deleted=True)


@router.post(
    "/sessions/{session_id}/fork",
    response={201: SessionOut, **failing(400, 404, 409, 413, 415)},
    operation_id="fork_session",
    summary="Fork a session",
)
def fork_session(request: HttpRequest, session_id: UUID, body: ForkIn) -> Status[SessionOut]:
    """Begin a session with the history of this one up to a message or a checkpoint; it is this one's child.

    Without either it begins with the newest checkpoint, or, of a session that has none, with all messages.
    """
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    access.require_sight(caller, session)
    if body.message_id is not None:
        made = forks.fork_messages(session, by=caller.name, up_to=body.message_id, title=body.title)
    elif body.checkpoint_id is not None:
        made = forks.fork(_checkpoint(session, body.checkpoint_id), by=caller.name, title=body.title)
    else:
        made = forks.fork_whole(session, by=caller.name, title=body.title)
    return Status(201, _shown(made, caller))


def _checkpoint(session: Session, uuid: UUID) -> Checkpoint:
    """Return a checkpoint of the session to go on from. Raises `InvalidRequest`."""
    found = Checkpoint.objects.of(session).select_related("session__owner").filter(uuid=uuid).first()
    if found is None:
        raise InvalidRequest.field("checkpoint_id", "not a checkpoint of this session")
    return found


def _shown(session: Session, caller: Caller) -> SessionOut:
    """Return a session as it now stands in the store."""
    return SessionOut.of(with_ids(Session.objects.filter(pk=session.pk), user=caller.user).get())


def _running(rows: SessionQuerySet, *, order: str, cursor: str | None, limit: int) -> dict[str, Any]:
    """Return a page of running sessions with their age."""
    found, now = page(rows, order=order, cursor=cursor, limit=limit), timezone.now()
    items = [RunningSessionOut.at(session, now) for session in found.items]
    return {"items": items, "next_cursor": found.next_cursor}


def _find_parent(caller: Caller, parent_id: UUID) -> Session:
    """Return the session that a new one is a child of. Deleting it for good deletes the child: it must be ours."""
    try:
        return access.find_to_write(caller, parent_id)
    except NotFound:
        raise InvalidRequest.field("parent_id", "there is no such session") from None


def _condition(filters: SessionListIn, *, user: AbstractBaseUser) -> Q:
    """Return the condition for what the filters say."""
    exact = filters.model_dump(
        exclude_none=True, include={"agent_name", "key", "source", "state", "liveness", "visibility"}
    )
    condition = Q(**exact)
    if filters.parent_id is not None:
        condition &= Q(parent__in=Session.objects.visible_to(user).filter(uuid=filters.parent_id))
    if filters.status != "ALL":
        condition &= Q(status=filters.status)
    if filters.project_root is not None:
        condition &= Q(project_root=filters.project_root) | Q(project_root=None)
    match filters.needs:
        case None:
            return condition
        case "any":
            return condition & ~Q(needs=Needs.NOTHING)
        case "none":
            return condition & Q(needs=Needs.NOTHING)
    return condition & Q(needs=filters.needs)
