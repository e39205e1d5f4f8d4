"""Frames: what goes over a socket, as text. JSON for programs and for control, HTML for pages.

Each shape of JSON has its TypedDict; docs/live.md describes them. A frame with `seq` is an event of the log, one
without is the server's own word.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions.exceptions import InvalidRequest, KodaError, RateLimited, Unavailable
from sessions.models import Command, Event, Session

LIMIT_BYTES = 200_000
"""A batch is closed before it grows beyond this; one fragment that is larger goes alone."""
PIECE_CHARACTERS = 48_000
"""JSON text that one piece of a large event holds: at most 192 kB, however its characters are written."""


class HelloFrame(TypedDict):
    """First frame of every socket. `session` and `last_seq` on sockets of one session, `seq` on those of pages."""

    type: Literal["hello"]
    at: str
    session: NotRequired[str]
    last_seq: NotRequired[int]
    seq: NotRequired[int]


class PingFrame(TypedDict):
    """A sign of life that a page can see, at least every 20 s."""

    type: Literal["ping"]
    at: str


class AckFrame(TypedDict):
    """What became of a program's frame. `id` is the frame's own."""

    type: Literal["ack"]
    id: NotRequired[Any]
    stored: NotRequired[int]
    duplicates: NotRequired[int]
    last_seq: int


class CommandFrame(TypedDict):
    """Something that a person asks of the agent; `command` is an EngineCommand."""

    type: Literal["command"]
    id: int
    command: dict[str, Any]
    created_at: str | None


class FieldErrorFrame(TypedDict):
    """One thing wrong with one field."""

    field: str
    message: str


class ErrorFrame(TypedDict):
    """Why a program's frame was not taken; nothing of it was stored."""

    type: Literal["error"]
    id: NotRequired[Any]
    code: str
    detail: str
    errors: NotRequired[list[FieldErrorFrame]]
    retry_after: NotRequired[int]


class PieceFrame(TypedDict):
    """A part of an event that is too large for one frame; the `json` of all pieces, joined, is the event."""

    seq: int
    type: str
    piece: int
    pieces: int
    json: str
    part: NotRequired[int]


class PulseFrame(TypedDict):
    """A session has changed. With `gone` it is out of the caller's sight and nothing more is told."""

    type: Literal["pulse"]
    session: str
    gone: NotRequired[bool]
    last_seq: NotRequired[int]
    source: NotRequired[str]
    agent_name: NotRequired[str]
    title: NotRequired[str | None]
    state: NotRequired[str]
    turn_id: NotRequired[str | None]
    turn_started_at: NotRequired[str | None]
    liveness: NotRequired[str]
    needs: NotRequired[str]
    message_count: NotRequired[int]
    updated_at: NotRequired[str | None]


# --- JSON ---------------------------------------------------------------------------------------------------


def encode(frame: Any) -> str:
    """Return a frame as JSON text."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def rfc3339(at: datetime | None) -> str | None:
    """Return a time as the API writes it, in UTC with microseconds."""
    return None if at is None else at.isoformat(timespec="microseconds")


def now_text() -> str:
    """Return the server's time."""
    return timezone.now().isoformat(timespec="microseconds")


def hello(session: Session | None = None) -> HelloFrame:
    """Return the first frame for a program."""
    frame: HelloFrame = {"type": "hello", "at": now_text()}
    if session is not None:
        frame |= {"session": str(session.uuid), "last_seq": session.last_seq}
    return frame


def ping() -> PingFrame:
    """Return a sign of life."""
    return {"type": "ping", "at": now_text()}


def command_of(command: Command) -> CommandFrame:
    """Return the frame that hands a command over."""
    return {
        "type": "command",
        "id": command.pk,
        "command": command.body,
        "created_at": rfc3339(command.created_at),
    }


def error_of(error: KodaError, *, frame_id: Any) -> ErrorFrame:
    """Return what to tell the program whose frame could not be taken."""
    frame: ErrorFrame = {"type": "error", "code": error.code, "detail": error.detail}
    if frame_id is not None:
        frame["id"] = frame_id
    if isinstance(error, InvalidRequest) and error.errors:
        frame["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
    if isinstance(error, RateLimited | Unavailable):
        frame["retry_after"] = error.retry_after_seconds
    return frame


def event_texts(event: Event) -> Iterator[str]:
    """Yield an event's frames: one, or one for each delta that was joined into it, in pieces where one is too large.

    All bear the event's `seq`; who has seen the last of them has the event.
    """
    own = {
        "seq": event.seq,
        "type": event.type,
        "event_id": event.event_id,
        "at": rfc3339(event.at),
        "turn_id": event.turn_id,
        "received_at": rfc3339(event.received_at),
    }
    row = {**event.payload, **own}
    if not event.part_lengths:
        yield from _in_pieces(event, encode(row))
        return
    parts = event.parts()
    for index, text in enumerate(parts):
        part = {**row, "text": text, "part": index, "parts": len(parts)}
        yield from _in_pieces(event, encode(part), part=index)


def _in_pieces(event: Event, text: str, *, part: int | None = None) -> Iterator[str]:
    """Yield `text`, or the pieces of it when it is longer than one piece."""
    if len(text) <= PIECE_CHARACTERS:
        yield text
        return
    starts = range(0, len(text), PIECE_CHARACTERS)
    for index, start in enumerate(starts):
        piece: PieceFrame = {
            "seq": event.seq,
            "type": event.type,
            "piece": index,
            "pieces": len(starts),
            "json": text[start : start + PIECE_CHARACTERS],
        }
        if part is not None:
            piece["part"] = part
        yield encode(piece)


def pulse(session: Session) -> PulseFrame:
    """Return the small frame that tells of a change."""
    return {
        "type": "pulse",
        "session": str(session.uuid),
        "last_seq": session.last_seq,
        "source": session.source,
        "agent_name": session.agent_name,
        "title": session.title,
        "state": session.state,
        "turn_id": session.turn_id,
        "turn_started_at": rfc3339(session.turn_started_at),
        "liveness": session.liveness,
        "needs": session.needs,
        "message_count": session.message_count,
        "updated_at": rfc3339(session.updated_at),
    }


def gone_pulse(session: Session) -> PulseFrame:
    """Return the frame that tells that a session is out of sight."""
    return {"type": "pulse", "session": str(session.uuid), "gone": True}


# --- HTML ---------------------------------------------------------------------------------------------------


def fragment(name: str, **context: Any) -> SafeString:
    """Render `templates/sessions/_<name>.html`, the very fragment that the page includes."""
    return SafeString(render_to_string(f"sessions/_{name}.html", {"oob": "", **context}).strip())


def appended(tag: str, selector: str, fragments: list[str]) -> SafeString:
    """Return an element `tag` whose rendered `fragments` go to the end of what `selector` finds; empty for none."""
    if not fragments:
        return SafeString("")
    inside = SafeString("\n".join(fragments))
    return format_html('<{0} hx-swap-oob="beforeend:{1}">{2}</{0}>', SafeString(tag), selector, inside)


def removed_row(pk: int) -> SafeString:
    """Return what takes a session's row out of the page."""
    return format_html('<li id="session-{}" hx-swap-oob="delete"></li>', pk)


def removed_message(pk: int) -> SafeString:
    """Return what takes a message out of the page."""
    return format_html('<article id="message-{}" hx-swap-oob="delete"></article>', pk)


def purged_messages(ranges: list[list[int]]) -> SafeString:
    """Return what takes all messages between two ids out of the page, however many there were; `link.js` does it."""
    spans = " ".join(f"{first}-{last}" for first, last in ranges)
    return format_html('<i data-purged="message" data-spans="{}"></i>', spans)


def purged_events(up_to: int) -> SafeString:
    """Return what takes all that the agent told up to an event out of the log's page."""
    return format_html('<i data-purged="event" data-spans="0-{}"></i>', up_to)


def emptied(element_id: str) -> SafeString:
    """Return what takes everything out of an element before the rest of the batch comes; `link.js` does it."""
    return format_html('<i data-emptied="{}"></i>', element_id)


def cursor(number: int) -> SafeString:
    """Return the end of a batch: what the page acknowledges, and where it goes on when it comes back."""
    return format_html('<i id="cursor" hidden data-seq="{}" hx-swap-oob="true"></i>', number)
