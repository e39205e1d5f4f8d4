"""Messages: append, read both ways, and what can be asked of them; tokens; compaction."""

from typing import Any, Literal
from uuid import UUID

from django.db.models import F
from django.http import HttpRequest
from ninja import Body, Router, Status

from sessions import transcripts
from sessions.api import access
from sessions.api.auth import authenticate
from sessions.api.native.schemas.messages import (
    AppendedOut,
    ContentOut,
    MessageOut,
    MessagesIn,
    OneOrMore,
    PendingOut,
    RoleWord,
    SessionUsageOut,
)
from sessions.api.pagination import LIMIT, After, Before, Cursor, Limit, PageOut, page, span
from sessions.api.problems import failing
from sessions.models import TOKEN_NAMES, Message, Usage
from sessions.models.message import MessageQuerySet

router = Router(tags=["Messages"])


@router.post(
    "/sessions/{session_id}/messages",
    response={201: AppendedOut, **failing(400, 404, 409, 413, 415)},
    operation_id="append_messages",
    summary="Append messages",
)
def append_messages(request: HttpRequest, session_id: UUID, body: Body[OneOrMore]) -> Status[Any]:
    """Append one message, or up to 1,000 as `{"messages": […]}`; all are stored or none."""
    session = access.find_to_write(authenticate(request), session_id)
    messages = body.messages if isinstance(body, MessagesIn) else [body]
    return Status(201, transcripts.append(session.pk, [message.draft() for message in messages]))


@router.get(
    "/sessions/{session_id}/messages",
    response={200: PageOut[MessageOut], **failing(404)},
    operation_id="list_messages",
    summary="Read messages",
)
def list_messages(
    request: HttpRequest,
    session_id: UUID,
    view: Literal["context", "all"] = "all",
    after: After | None = None,
    before: Before | None = None,
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> dict[str, Any]:
    """Return messages by id, the oldest first; `before` alone pages backwards.

    `all` is every message; `context` is what the model gets: without what a compaction archived, and without calls and
    results that do not match.
    """
    session = access.find_to_read(authenticate(request), session_id)
    rows = _with_session_id(Message.objects.of(session.pk))
    if view == "context":
        rows = rows.unarchived().exclude(pk__in=transcripts.hidden_ids(session))
    found = span(rows, by="id", after=after, before=before, cursor=cursor, limit=limit)
    return {"items": [MessageOut.of(message) for message in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/sessions/{session_id}/messages/last",
    response={200: ContentOut, **failing(404)},
    operation_id="get_last_message",
    summary="Read the last message",
)
def get_last_message(
    request: HttpRequest, session_id: UUID, role: Literal["assistant", "user"] = "assistant"
) -> ContentOut:
    """Return the newest text of a role, archived or not; empty when there is none."""
    session = access.find_to_read(authenticate(request), session_id)
    return ContentOut(content=Message.objects.of(session.pk).last_content(role) or "")


@router.get(
    "/messages/recent",
    response={200: PageOut[MessageOut], **failing()},
    operation_id="list_recent_messages",
    summary="Read recent messages",
)
def list_recent_messages(
    request: HttpRequest, role: RoleWord = "user", cursor: Cursor | None = None, limit: Limit = LIMIT
) -> dict[str, Any]:
    """Return the newest messages with words of one role, over all sessions that the key may read."""
    sessions = access.visible(authenticate(request)).active()
    rows = _with_session_id(Message.objects.filter(role=role, session__in=sessions)).with_words()
    found = page(rows, order="-id", cursor=cursor, limit=limit)
    return {"items": [MessageOut.of(message) for message in found.items], "next_cursor": found.next_cursor}


@router.get(
    "/sessions/{session_id}/pending-tool-calls",
    response={200: PendingOut, **failing(404)},
    operation_id="get_pending_tool_calls",
    summary="Read pending tool calls",
)
def get_pending_tool_calls(request: HttpRequest, session_id: UUID) -> PendingOut:
    """Return the tool calls that have no result yet."""
    pending = transcripts.pending(access.find_to_read(authenticate(request), session_id))
    return PendingOut(pending=pending.is_pending, tool_calls=pending.call_ids)


@router.get(
    "/sessions/{session_id}/usage",
    response={200: SessionUsageOut, **failing(404)},
    operation_id="get_usage",
    summary="Read tokens",
)
def get_usage(request: HttpRequest, session_id: UUID) -> dict[str, Any]:
    """Return the tokens that the session has used, in all and by agent."""
    session = access.find_to_read(authenticate(request), session_id)
    total = {name: getattr(session, name) for name in TOKEN_NAMES} | {"api_calls": session.api_call_count}
    agents = [{**row, "api_calls": row["api_call_count"]} for row in Usage.objects.by_agent(session)]
    return {"total": total, "by_agent": agents}


def _with_session_id(rows: MessageQuerySet) -> MessageQuerySet:
    """Load with each message the public id of its session."""
    annotated: MessageQuerySet = rows.annotate(session_uuid=F("session__uuid"))
    return annotated
