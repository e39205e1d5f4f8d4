"""Messages: load, append, and what can be done to the newest and to all."""

from django.http import HttpRequest
from ninja import Router, Status

from sessions.api.problems import failing
from sessions.api.zeroclaw.backends import backend_for
from sessions.api.zeroclaw.schemas import (
    AppendedOut,
    AppendIn,
    ClearedOut,
    Key,
    MessageIn,
    MessageOut,
    MessagesOut,
    RemovedOut,
    UpdatedOut,
)
from sessions.models import Scope

router = Router(tags=["Messages"])


@router.delete(
    "/sessions/{zeroclaw_key:key}/messages/last",
    response={200: RemovedOut, **failing()},
    operation_id="remove_last",
    summary="Remove the newest message",
)
def remove_last(request: HttpRequest, key: Key) -> RemovedOut:
    """Destroy the newest message. The session stays, and its last activity too."""
    return RemovedOut(removed=backend_for(request, Scope.WRITE).remove_last(key))


@router.put(
    "/sessions/{zeroclaw_key:key}/messages/last",
    response={200: UpdatedOut, **failing(400, 413, 415)},
    operation_id="update_last",
    summary="Replace the newest message",
)
def update_last(request: HttpRequest, key: Key, message: MessageIn) -> UpdatedOut:
    """Let the newest message say something else; its time stays, the last activity moves."""
    backend = backend_for(request, Scope.WRITE)
    return UpdatedOut(updated=backend.update_last(key, role=message.role, content=message.content))


@router.get(
    "/sessions/{zeroclaw_key:key}/messages",
    response={200: MessagesOut, **failing()},
    operation_id="load",
    summary="Load all messages",
)
def load(request: HttpRequest, key: Key) -> MessagesOut:
    """Return all messages, by insertion; of an unknown session none."""
    found = backend_for(request, Scope.READ).load(key)
    messages = [MessageOut.model_construct(role=role, content=content) for role, content in found]
    return MessagesOut.model_construct(messages=messages)


@router.post(
    "/sessions/{zeroclaw_key:key}/messages",
    response={201: AppendedOut, **failing(400, 409, 413, 415)},
    operation_id="append",
    summary="Append a message",
)
def append(request: HttpRequest, key: Key, message: AppendIn) -> Status[AppendedOut]:
    """Append a message; the first one makes the session."""
    count = backend_for(request, Scope.WRITE).append(
        key, role=message.role, content=message.content, client_id=message.client_id
    )
    return Status(201, AppendedOut(message_count=count))


@router.delete(
    "/sessions/{zeroclaw_key:key}/messages",
    response={200: ClearedOut, **failing()},
    operation_id="clear_messages",
    summary="Clear all messages",
)
def clear_messages(request: HttpRequest, key: Key) -> ClearedOut:
    """Destroy all messages and keep the session with its name and state."""
    return ClearedOut(cleared=backend_for(request, Scope.WRITE).clear_messages(key))
