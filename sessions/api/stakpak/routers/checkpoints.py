"""Checkpoints: list, create, read."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from sessions import checkpoints
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.json_format import answer
from sessions.api.stakpak.answers import find_to_read, find_to_write, shown_checkpoint
from sessions.api.stakpak.envelope import failing
from sessions.api.stakpak.schemas import (
    CAP,
    CheckpointAnswerOut,
    CheckpointsOut,
    CreateCheckpointIn,
    ListCheckpointsIn,
    checkpoint_out,
    checkpoint_summary_out,
    state_of,
)
from sessions.models import Checkpoint

router = Router(tags=["Checkpoints"])


@router.get(
    "/sessions/{uuid:session_id}/checkpoints",
    response={200: CheckpointsOut, **failing(404)},
    operation_id="list_checkpoints",
    summary="List checkpoints",
)
def list_checkpoints(request: HttpRequest, session_id: UUID, query: Query[ListCheckpointsIn]) -> HttpResponse:
    """Return the checkpoints of a session, the oldest first, with `include_state` as long as they were sent."""
    session = find_to_read(request, session_id)
    rows = Checkpoint.objects.of(session).select_related("parent")
    page = rows[query.offset : query.offset + min(query.limit, CAP)]
    items = [checkpoint_summary_out(row, session=session) for row in page]
    if query.include_state:
        for row, item in zip(page, items, strict=True):
            item["state"] = checkpoints.read(row)
    return answer({"checkpoints": items})


@router.post(
    "/sessions/{uuid:session_id}/checkpoints",
    response={201: CheckpointAnswerOut, **failing(404, 409, 413, 415)},
    operation_id="create_checkpoint",
    summary="Create a checkpoint",
)
def create_checkpoint(request: HttpRequest, session_id: UUID, body: CreateCheckpointIn) -> HttpResponse:
    """Keep the state of a session at a step. `parent_id` is kept as given; it must be of this session."""
    caller, session = find_to_write(request, session_id)
    state = state_of(body)
    made = checkpoints.add(session.pk, state, parent=body.parent_id, by=caller.name)
    return answer({"checkpoint": checkpoint_out(made, session=session, state=state.value())}, status=201)


@router.get(
    "/sessions/checkpoints/{uuid:checkpoint_id}",
    response={200: CheckpointAnswerOut, **failing(404)},
    operation_id="get_checkpoint",
    summary="Read a checkpoint",
)
def get_checkpoint(request: HttpRequest, checkpoint_id: UUID) -> HttpResponse:
    """Return a checkpoint with its state, exactly as it was sent."""
    found = access.find_checkpoint(authenticate(request), checkpoint_id)
    return answer({"checkpoint": shown_checkpoint(found, session=found.session)})
