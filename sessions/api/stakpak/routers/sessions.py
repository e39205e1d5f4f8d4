"""Sessions: list, create, read, change, delete."""

from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Collate, Lower
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from sessions import checkpoints
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.json_format import answer, format_time
from sessions.api.stakpak.answers import find_to_read, find_to_write, shown
from sessions.api.stakpak.envelope import failing
from sessions.api.stakpak.schemas import (
    CAP,
    CreatedOut,
    CreateSessionIn,
    DeletedOut,
    ListSessionsIn,
    SessionAnswerOut,
    SessionsOut,
    UpdateSessionIn,
    checkpoint_out,
    session_summary_out,
    state_of,
)
from sessions.models import Scope, Session
from sessions.models.session_rows import LISTED, SessionQuerySet

router = Router(tags=["Sessions"])


@router.get(
    "/sessions", response={200: SessionsOut, **failing()}, operation_id="list_sessions", summary="List sessions"
)
def list_sessions(request: HttpRequest, filters: Query[ListSessionsIn]) -> HttpResponse:
    """Return the sessions of the key's user, last changed first."""
    caller = authenticate(request)
    caller.require(Scope.READ)
    rows = Session.objects.filter(LISTED, owner=caller.user).order_by("-updated_at", "-pk")
    rows = rows.annotate(
        checkpoint_uuid=F("active_checkpoint__uuid"), checkpoint_messages=F("active_checkpoint__message_count")
    )
    if filters.status != "ALL":
        rows = rows.filter(status=filters.status)
    if filters.visibility is not None:
        rows = rows.filter(visibility=filters.visibility)
    if filters.search:
        rows = _titled(rows, filters.search)
    page = rows[filters.offset : filters.offset + min(filters.limit, CAP)]
    return answer({"sessions": [session_summary_out(session) for session in page]})


def _titled(rows: SessionQuerySet, term: str) -> SessionQuerySet:
    """Return those whose title has `term` in it: ASCII letters in any case, `%` and `_` as plain characters.

    No text holds NUL: PostgreSQL refuses to look for it, and to SQLite a term ends there.
    """
    if "\0" in term:
        return rows.none()
    # SQLite folds ASCII alone; PostgreSQL does so only where it is told to know no language.
    title = Lower("title") if connection.vendor == "sqlite" else Lower(Collate("title", "C"))
    folded = "".join(character.lower() if character.isascii() else character for character in term)
    found: SessionQuerySet = rows.alias(folded_title=title).filter(
        is_title_derived=False, folded_title__contains=folded
    )
    return found


@router.post(
    "/sessions",
    response={201: CreatedOut, **failing(409, 413, 415)},
    operation_id="create_session",
    summary="Create a session",
)
def create_session(request: HttpRequest, body: CreateSessionIn) -> HttpResponse:
    """Create a session of the key's source with its first checkpoint."""
    caller = authenticate(request)
    caller.require(Scope.WRITE)
    state = state_of(body)
    made = checkpoints.begin(owner=caller.user, source=caller.source, state=state, by=caller.name, **body.facts())
    checkpoint = checkpoint_out(made, session=made.session, state=state.value())
    return answer({"session_id": str(made.session.uuid), "checkpoint": checkpoint}, status=201)


@router.get(
    "/sessions/{uuid:session_id}",
    response={200: SessionAnswerOut, **failing(404)},
    operation_id="get_session",
    summary="Read a session",
)
def get_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Return a session, deleted or not, with its newest checkpoint."""
    return answer({"session": shown(find_to_read(request, session_id))})


@router.patch(
    "/sessions/{uuid:session_id}",
    response={200: SessionAnswerOut, **failing(404, 413, 415)},
    operation_id="update_session",
    summary="Change a session",
)
def update_session(request: HttpRequest, session_id: UUID, body: UpdateSessionIn) -> HttpResponse:
    """Change title or visibility. An empty request changes nothing, not even the time."""
    caller, session = find_to_write(request, session_id)
    access.require_sight(caller, session)
    session.edit(by=caller.name, **body.model_dump(exclude_none=True))
    return answer({"session": shown(Session.objects.listed(session.uuid, user=caller.user))})


@router.delete(
    "/sessions/{uuid:session_id}",
    response={200: DeletedOut, **failing(404)},
    operation_id="delete_session",
    summary="Delete a session",
)
def delete_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Delete a session softly: lists leave it out, its id still reads. Again is no error."""
    caller, session = find_to_write(request, session_id)
    session.remove(by=caller.name)
    session.refresh_from_db(fields=["deleted_at"])
    assert session.deleted_at is not None
    return answer({"success": True, "deleted_at": format_time(session.deleted_at)})
