"""Inbound: what a program may say over its socket, checked and done. Run on a writer's thread."""

import json
from datetime import datetime
from typing import Annotated, Any

from django.db import OperationalError
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sessions import commands, protocol
from sessions.exceptions import FieldError, InvalidRequest, NotFound, Unavailable
from sessions.live.frames import AckFrame
from sessions.models import Command, EventDraft, Session
from sessions.models.fields import clean_json, clean_text, require_name

MOST_EVENTS = 1_000
LONGEST_INTERVAL_SECONDS = 24 * 60 * 60

_ENVELOPE = frozenset({"type", "event_id", "at", "turn_id"})
_YEARS = range(1970, 9999)
"""Beyond these a change of zone leaves the calendar."""


def _require_name(value: str) -> str:
    try:
        return require_name("", value)
    except InvalidRequest as invalid:
        raise ValueError(invalid.errors[0].message) from None


def _require_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    raise ValueError("must be a time in RFC 3339, such as 2026-03-15T09:26:53.589793Z")


def _require_year(at: datetime) -> datetime:
    if at.year in _YEARS:
        return at
    raise ValueError("must lie between the years 1970 and 9999")


def _clean_event(body: Any) -> Any:
    """Clean what the agent wrote; the names of the envelope are not cleaned but refused."""
    if not isinstance(body, dict):
        return body
    written = {clean_text(str(name)): clean_json(value) for name, value in body.items() if name not in _ENVELOPE}
    return {**written, **{name: body[name] for name in _ENVELOPE if name in body}}


Name = Annotated[str, AfterValidator(_require_name)]
Time = Annotated[AwareDatetime, BeforeValidator(_require_text), AfterValidator(_require_year)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


class EventIn(BaseModel):
    """An engine event, flat; fields beside the envelope are kept as sent."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[Name, Field(min_length=1, max_length=100)]
    event_id: Annotated[Name, Field(min_length=1)] | None = None
    at: Time | None = None
    turn_id: Name | None = None

    def draft(self) -> EventDraft:
        """Return it as the verb takes it."""
        payload = self.__pydantic_extra__ or {}
        return EventDraft(type=self.type, payload=payload, event_id=self.event_id, at=self.at, turn_id=self.turn_id)


class HeartbeatIn(BaseModel):
    """A sign of life."""

    interval: Annotated[int, Field(strict=True, ge=1, le=LONGEST_INTERVAL_SECONDS)] | None = None
    progress: Count | None = None
    activity: Name | None = None
    expect_within: Annotated[float, Field(ge=0, le=10**9)] | None = None


class CommandAckIn(BaseModel):
    """What became of a command."""

    id: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    obeyed: Annotated[bool, Field(strict=True)]
    detail: str = ""


class FrameIn(BaseModel):
    """One frame: events, a heartbeat, or what became of a command. `id` comes back in the answer."""

    model_config = ConfigDict(extra="forbid")

    id: Any = None
    events: Annotated[list[Annotated[EventIn, BeforeValidator(_clean_event)]], Field(max_length=MOST_EVENTS)] | None = (
        None
    )
    heartbeat: HeartbeatIn | None = None
    command_ack: CommandAckIn | None = None


def parse(text: str) -> FrameIn:
    """Return the frame that `text` is. Raises `InvalidRequest` with all that is wrong."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("The frame is not JSON.") from None
    try:
        frame = FrameIn.model_validate(body)
    except ValidationError as invalid:
        errors = [
            FieldError(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
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
    """Return the `id` of a frame that could not be taken, when it has one that can be read."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body.get("id") if isinstance(body, dict) else None
