"""Checkpoints: keep one, read them, and tell what changed between two."""

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from sessions import checkpoints, pool
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.json_format import answer
from sessions.api.native.schemas.checkpoints import (
    CheckpointIn,
    CheckpointOut,
    CheckpointRowOut,
    ComparisonOut,
    checkpoint_out,
    comparison_out,
)
from sessions.api.pagination import LIMIT, After, Before, Cursor, Limit, PageOut, span
from sessions.api.problems import failing
from sessions.comparing import compare
from sessions.exceptions import NotFound
from sessions.models import Checkpoint

router = Router(tags=["Checkpoints"])
EXACT = "checkpoints"
"""The name of the path whose bodies keep their numbers as they came."""


@router.get(
    "/sessions/{session_id}/checkpoints",
    response={200: PageOut[CheckpointRowOut], **failing(404)},
    operation_id="list_checkpoints",
    summary="List checkpoints",
    url_name=EXACT,
)
def list_checkpoints(
    request: HttpRequest,
    session_id: UUID,
    *,
    include_state: bool = False,
    after: After | None = None,
    before: Before | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> HttpResponse:
    """Return the checkpoints of a session by their number, the oldest first; `before` alone pages backwards."""
    session = access.find_to_read(authenticate(request), session_id)
    rows = Checkpoint.objects.of(session).select_related("parent")
    found = span(rows, by="seq", after=after, before=before, cursor=cursor, limit=limit)
    items = [checkpoint_out(row, session_id=session.uuid) for row in found.items]
    if include_state:
        for row, item in zip(found.items, items, strict=True):
            item["state"] = checkpoints.read(row)
    return answer({"items": items, "next_cursor": found.next_cursor})


@router.post(
    "/sessions/{session_id}/checkpoints",
    response={201: CheckpointOut, **failing(400, 404, 409, 413, 415)},
    operation_id="create_checkpoint",
    summary="Create a checkpoint",
    url_name=EXACT,
)
def create_checkpoint(request: HttpRequest, session_id: UUID, body: CheckpointIn) -> HttpResponse:
    """Keep the state of a session at a step; its transcript says from now on what this state says."""
    caller = authenticate(request)
    session = access.find_to_write(caller, session_id)
    state = checkpoints.State.of(body.state)
    made = checkpoints.add(session.pk, state, parent=body.parent_id, by=caller.name)
    return answer(checkpoint_out(made, session_id=session.uuid, state=state.value()), status=201)


@router.get(
    "/sessions/{session_id}/checkpoints/active",
    response={200: CheckpointOut, **failing(404)},
    operation_id="get_active_checkpoint",
    summary="Read the newest checkpoint",
)
def get_active_checkpoint(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Return the newest checkpoint with its state; 404 when the session has none."""
    session = access.find_to_read(authenticate(request), session_id)
    newest = Checkpoint.objects.of(session).select_related("parent").last()
    if newest is None:
        raise NotFound("This session has no checkpoint.")
    return answer(checkpoint_out(newest, session_id=session.uuid, state=checkpoints.read(newest)))


@router.get(
    "/checkpoints/{checkpoint_id}",
    response={200: CheckpointOut, **failing(404)},
    operation_id="get_checkpoint",
    summary="Read a checkpoint",
)
def get_checkpoint(request: HttpRequest, checkpoint_id: UUID) -> HttpResponse:
    """Return a checkpoint with its state, exactly as it was sent."""
    found = access.find_checkpoint(authenticate(request), checkpoint_id)
    return answer(checkpoint_out(found, session_id=found.session.uuid, state=checkpoints.read(found)))


@router.get(
    "/checkpoints/{checkpoint_id}/diff",
    response={200: ComparisonOut, **failing(404)},
    operation_id="compare_checkpoints",
    summary="Compare two checkpoints",
)
def compare_checkpoints(
    request: HttpRequest,
    checkpoint_id: UUID,
    against: Annotated[
        UUID | None, Query(), Field(description="The older one, of any session; else the one it goes on from.")
    ] = None,
) -> HttpResponse:
    """Return what changed from `against` to this checkpoint: messages added, removed and changed, and other fields."""
    caller = authenticate(request)
    after = access.find_checkpoint(caller, checkpoint_id)
    before = access.find_checkpoint(caller, against) if against is not None else after.continued()
    old, rest = (pool.read(before), before.rest) if before else ([], "{}")
    found = compare(old, pool.read(after), rest=(rest, after.rest))
    return answer(comparison_out(found, checkpoint=after, against=before))
