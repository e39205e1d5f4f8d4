"""Engine events before they have an effect: which are acceptable, and how runs of deltas become one.

Pure; the source of the rules is contracts/koda.md section 4 and API.md section 2.
"""

from collections.abc import Sequence
from dataclasses import replace

from sessions.exceptions import FieldError, InvalidRequest
from sessions.models import SERVER_PREFIX, EventDraft, TurnEnd
from sessions.models.fields import require_name

JOINED_TYPES = frozenset({"text_delta", "thinking_delta"})
"""Runs of these in one batch are stored as one event (API.md section 2, "Turns, events, commands")."""

NONE_STORED = "At least one event cannot be accepted; none was stored."

TYPE_BYTES = 100
"""Bytes that a type has at most."""

REQUIRED_TEXT: dict[str, tuple[str, ...]] = {
    "turn_start": ("turn_id",),
    "turn_end": ("turn_id",),
    "tool_call_start": ("id", "name"),
    "tool_call_result": ("id",),
    "approval_request": ("id",),
    "ask_user_request": ("id",),
    "text_delta": ("text",),
    "thinking_delta": ("text",),
}
"""Fields without which an event of this type means nothing; without them it is refused."""


def require_valid(drafts: Sequence[EventDraft]) -> None:
    """Raise `InvalidRequest` with every item that cannot be accepted."""
    errors: list[FieldError] = []
    for index, draft in enumerate(drafts):
        try:
            _require_valid_one(draft)
        except InvalidRequest as invalid:
            errors += invalid.within(f"events.{index}")
    if errors:
        raise InvalidRequest(NONE_STORED, errors=errors)


def _require_valid_one(draft: EventDraft) -> None:
    """Raise `InvalidRequest` when this event's names or the fields of its type are not what the table needs."""
    if not draft.type:
        raise InvalidRequest.field("type", "must not be empty")
    if draft.type.startswith(SERVER_PREFIX):
        raise InvalidRequest.field("type", f"must not begin with {SERVER_PREFIX!r}: those are the server's own")
    require_name("type", draft.type, longest_bytes=TYPE_BYTES)
    for name, given in {"event_id": draft.event_id, "turn_id": draft.turn_id}.items():
        require_name(name, given or "")
    for name in REQUIRED_TEXT.get(draft.type, ()):
        value = draft.turn_id if name == "turn_id" else draft.payload.get(name)
        if not isinstance(value, str) or (name in {"id", "turn_id"} and not value):
            raise InvalidRequest.field(name, "is required and must be text")
        if name != "text":
            require_name(name, value)
    if draft.type == "turn_end":
        end_of(draft)


def end_of(draft: EventDraft) -> tuple[str, str | None]:
    """Return kind and message of a turn_end's reason. Raises `InvalidRequest` when it has none of the three."""
    reason = draft.payload.get("reason")
    kind = reason.get("kind") if isinstance(reason, dict) else None
    if not isinstance(kind, str) or kind not in {TurnEnd.COMPLETE, TurnEnd.CANCELLED, TurnEnd.ERROR}:
        raise InvalidRequest.field("reason.kind", "must be complete, cancelled or error")
    message = reason.get("message") if isinstance(reason, dict) else None
    return kind, message if isinstance(message, str) else None


def join_deltas(drafts: Sequence[EventDraft]) -> list[EventDraft]:
    """Return `drafts` with each run of deltas of one type and turn joined into one event.

    The joined event keeps the lengths of its parts and the ids of all of them.
    """
    joined: list[EventDraft] = []
    for draft in drafts:
        if joined and _continues(joined[-1], draft):
            joined[-1] = _join(joined[-1], draft)
        else:
            joined.append(draft)
    return joined


def _continues(before: EventDraft, draft: EventDraft) -> bool:
    """Say whether `draft` goes on with the run of deltas that `before` is."""
    is_same = (before.type, before.turn_id) == (draft.type, draft.turn_id)
    return is_same and draft.type in JOINED_TYPES and before.payload.keys() == draft.payload.keys() == {"text"}


def _join(before: EventDraft, draft: EventDraft) -> EventDraft:
    """Return the two deltas as one."""
    earlier, later = str(before.payload["text"]), str(draft.payload["text"])
    return replace(
        before,
        payload={"text": earlier + later},
        part_lengths=[*(before.part_lengths or [len(earlier)]), len(later)],
        event_id=before.event_id or draft.event_id,
        aliases=(*before.aliases, draft.event_id) if before.event_id and draft.event_id else before.aliases,
    )
