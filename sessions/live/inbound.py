"""Inbound: what a program may say over its socket, checked and done. Run on a writer's thread."""

import json
from typing import Annotated, Any

from django.db import OperationalError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sessions import commands, protocol, wire
from sessions.exceptions import FieldError, InvalidRequest, NotFound, Unavailable
from sessions.live.frames import AckFrame
from sessions.models import Command, Session
from sessions.wire import AckIn, EventList, HeartbeatIn


def _can_come_back(value: Any) -> bool:
    """Say whether a frame can hold this as its `id`: JSON knows no infinity, UTF-8 no half of a character."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _require_id(value: Any) -> Any:
    if not _can_come_back(value):
        raise ValueError("must not contain broken Unicode")
    return value


class CommandAckIn(AckIn):
    """What became of a command that the socket brought."""

    id: Annotated[int, Field(strict=True, ge=1, lt=2**63)]


class FrameIn(BaseModel):
    """One frame: events, a heartbeat, or what became of a command. `id` comes back in the answer."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[Any, AfterValidator(_require_id)] = None
    events: EventList | None = None
    heartbeat: HeartbeatIn | None = None
    command_ack: CommandAckIn | None = None


def parse(text: str) -> FrameIn:
    """Return the frame that `text` is. Raises `InvalidRequest` with all that is wrong."""
    body = wire.load(text.encode(errors="surrogatepass"))
    try:
        frame = FrameIn.model_validate(body)
    except ValidationError as invalid:
        errors = [
            FieldError(".".join(map(str, one["loc"])), wire.message_of(one))
            for one in invalid.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidRequest("The frame cannot be accepted; nothing of it was stored.", errors=errors) from None
    if sum(part is not None for part in (frame.events, frame.heartbeat, frame.command_ack)) != 1:
        raise InvalidRequest("A frame holds one of events, heartbeat and command_ack.")
    return frame


def obey(frame: FrameIn, *, session_id: int) -> AckFrame:
    """Do what a frame says to a session, in one transaction, and return the answer. Raises `KodaError`."""
    try:
        answer = _store(frame, session_id)
    except OperationalError as error:
        raise Unavailable("The store cannot answer now; nothing of the frame was stored.") from error
    if frame.id is not None:
        answer["id"] = frame.id
    return answer


def _store(frame: FrameIn, session_id: int) -> AckFrame:
    if frame.events is not None:
        done = protocol.ingest(session_id, [event.draft() for event in frame.events])
        return {"type": "ack", "stored": done.stored, "duplicates": done.duplicates, "last_seq": done.last_seq}
    if frame.command_ack is not None:
        return _acknowledge(frame.command_ack, session_id)
    beat = frame.heartbeat or HeartbeatIn()
    session = protocol.heartbeat(
        session_id,
        interval_seconds=beat.interval,
        progress=beat.progress,
        activity=beat.activity,
        expect_within_seconds=beat.expect_within,
    )
    return {"type": "ack", "last_seq": session.last_seq}


def _acknowledge(ack: CommandAckIn, session_id: int) -> AckFrame:
    if not Command.objects.filter(pk=ack.id, session=session_id).exists():
        raise NotFound("No such command.")
    commands.acknowledge(ack.id, is_obeyed=ack.obeyed, detail=ack.detail)
    last_seq = Session.objects.values_list("last_seq", flat=True).get(pk=session_id)
    return {"type": "ack", "last_seq": last_seq}


def id_of(text: str) -> Any:
    """Return the `id` of a frame that could not be taken, when it has one that can be read and sent back."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if _can_come_back(found) else None
