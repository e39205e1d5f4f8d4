"""What else a session keeps: metadata, the to-do list, files; and a copy of all that it keeps."""

from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from ninja import Router

from sessions import exports
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.native import paths  # noqa: F401 - registers what the routes say of keys
from sessions.api.native.schemas.records import (
    AddedOut,
    FileIn,
    FileOut,
    MetadataListOut,
    TodoIn,
    TodoOut,
    ValueIn,
    ValueOut,
)
from sessions.api.native.schemas.sessions import DeletedOut
from sessions.api.pagination import LIMIT, Cursor, Limit, PageOut, page
from sessions.api.problems import failing
from sessions.exceptions import NotFound
from sessions.exports import Format
from sessions.models import TODO_KEY, File, Metadata
from sessions.wire import Name

router = Router(tags=["Metadata, to-do, files"])
_FILES = {one.content_type: {"schema": {"type": "object" if one is Format.JSON else "string"}} for one in Format}


@router.get(
    "/sessions/{session_id}/metadata",
    response={200: MetadataListOut, **failing(404)},
    operation_id="list_metadata",
    summary="List metadata",
)
def list_metadata(request: HttpRequest, session_id: UUID) -> dict[str, Any]:
    """Return all metadata of a session, by key."""
    session = access.find_to_read(authenticate(request), session_id)
    return {"items": list(session.metadata.order_by("key"))}


@router.get(
    "/sessions/{session_id}/metadata/{metadata_key:key}",
    response={200: ValueOut, **failing(404)},
    operation_id="get_metadata",
    summary="Read metadata",
)
def get_metadata(request: HttpRequest, session_id: UUID, key: Name) -> ValueOut:
    """Return the value of a key; 404 when there is none."""
    value = Metadata.objects.read(access.find_to_read(authenticate(request), session_id), key)
    if value is None:
        raise NotFound("No metadata has this key.")
    return ValueOut(value=value)


@router.put(
    "/sessions/{session_id}/metadata/{metadata_key:key}",
    response={200: ValueOut, **failing(400, 404, 413, 415)},
    operation_id="set_metadata",
    summary="Set metadata",
)
def set_metadata(request: HttpRequest, session_id: UUID, key: Name, body: ValueIn) -> ValueOut:
    """Set the value of a key, replacing what was there."""
    session = access.find_to_write(authenticate(request), session_id)
    return ValueOut(value=Metadata.objects.put(session, key, body.value))


@router.delete(
    "/sessions/{session_id}/metadata/{metadata_key:key}",
    response={200: DeletedOut, **failing(404)},
    operation_id="delete_metadata",
    summary="Delete metadata",
)
def delete_metadata(request: HttpRequest, session_id: UUID, key: Name) -> DeletedOut:
    """Remove a key."""
    session = access.find_to_write(authenticate(request), session_id)
    return DeletedOut(deleted=Metadata.objects.drop(session, key))


@router.get(
    "/sessions/{session_id}/todo",
    response={200: TodoOut, **failing(404)},
    operation_id="get_todo",
    summary="Read the to-do list",
)
def get_todo(request: HttpRequest, session_id: UUID) -> TodoOut:
    """Return the agent's to-do list, a markdown checklist, or null."""
    session = access.find_to_read(authenticate(request), session_id)
    return TodoOut(content=Metadata.objects.read(session, TODO_KEY))


@router.put(
    "/sessions/{session_id}/todo",
    response={200: TodoOut, **failing(400, 404, 413, 415)},
    operation_id="set_todo",
    summary="Set the to-do list",
)
def set_todo(request: HttpRequest, session_id: UUID, body: TodoIn) -> TodoOut:
    """Replace the to-do list; null clears it."""
    session = access.find_to_write(authenticate(request), session_id)
    if body.content is None:
        Metadata.objects.drop(session, TODO_KEY)
        return TodoOut(content=None)
    return TodoOut(content=Metadata.objects.put(session, TODO_KEY, body.content))


@router.get(
    "/sessions/{session_id}/files",
    response={200: PageOut[FileOut], **failing(404)},
    operation_id="list_files",
    summary="List files",
)
def list_files(
    request: HttpRequest, session_id: UUID, cursor: Cursor | None = None, limit: Limit = LIMIT
) -> dict[str, Any]:
    """Return the files that the session created, in that order."""
    session = access.find_to_read(authenticate(request), session_id)
    found = page(session.files.all(), order="id", cursor=cursor, limit=limit)
    return {"items": found.items, "next_cursor": found.next_cursor}


@router.put(
    "/sessions/{session_id}/files",
    response={200: AddedOut, **failing(400, 404, 413, 415)},
    operation_id="add_file",
    summary="Note a file",
)
def add_file(request: HttpRequest, session_id: UUID, body: FileIn) -> AddedOut:
    """Note that the session created a file."""
    session = access.find_to_write(authenticate(request), session_id)
    return AddedOut(added=File.objects.own(session, body.path))


@router.delete(
    "/sessions/{session_id}/files",
    response={200: DeletedOut, **failing(400, 404, 413, 415)},
    operation_id="delete_file",
    summary="Forget a file",
)
def delete_file(request: HttpRequest, session_id: UUID, body: FileIn) -> DeletedOut:
    """Forget that the session created a file."""
    session = access.find_to_write(authenticate(request), session_id)
    return DeletedOut(deleted=File.objects.disown(session, body.path))


@router.get(
    "/sessions/{session_id}/export",
    response={200: Any, **failing(404)},
    operation_id="export_session",
    summary="Export a session",
    openapi_extra={"responses": {200: {"description": "A file", "content": _FILES}}},
)
def export_session(
    request: HttpRequest,
    session_id: UUID,
    format: Format = Format.JSON,  # noqa: A002 - a word of the query
) -> StreamingHttpResponse:
    """Return all that is kept of a session as a file, whole, however long it is."""
    caller = authenticate(request)
    session = access.find_to_read(caller, session_id)
    copy = exports.take(session, format, by=caller.name)
    pieces = copy.pieces(is_async=isinstance(request, ASGIRequest))
    headers = {"Content-Disposition": content_disposition_header(as_attachment=True, filename=copy.name)}
    return StreamingHttpResponse(pieces, content_type=copy.content_type, headers=headers)
