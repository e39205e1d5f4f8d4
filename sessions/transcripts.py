"""The conversation of a session: append to it, and read it back whole or as the model sees it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from sessions import liveness, redaction
from sessions.exceptions import FieldError, InvalidRequest
from sessions.models import (
    MAIN_AGENT,
    Command,
    Event,
    EventDraft,
    Message,
    MessageAlias,
    Request,
    Role,
    Session,
    TokenCounts,
    ToolCall,
    Turn,
    Usage,
)
from sessions.models.among import AmongTexts, in_json
from sessions.models.fields import require_content, require_name
from sessions.models.prepared import Place, known, prepared
from sessions.models.writing import born, insert
from sessions.pairing import pair_tools

_ROLES = tuple(Role.values)


class MessageDraft(NamedTuple):
    """A message before it is stored. `content` None and "" differ; `usage` None means nothing was reported.

    `outcome` is for a tool message whose sender knows how the call ended; else its text decides.
    """

    role: str
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    usage: TokenCounts | None = None
    agent_name: str | None = None
    model: str | None = None
    client_id: str | None = None
    created_at: datetime | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """One id a draft, in order; a duplicate gives the id that it already has. How many messages there are now."""

    ids: list[int]
    duplicates: int
    message_count: int


def append(
    session_id: int,
    drafts: Sequence[MessageDraft],
    *,
    now: datetime | None = None,
    any_role: bool = False,
    compacted_at: datetime | None = None,
) -> Appended:
    """Append messages to a session with all that follows from them, in one transaction, all or none.

    Opens and closes tool calls, keeps the token ledger and the counters, sets the title from the first
    prompt, moves `last_activity_at`, records one event. A draft whose `client_id` the session holds is not
    stored again. `any_role` lets importers and ZeroClaw keep what they find; `compacted_at` marks rows that
    came archived. Raises `NotFound`, or `InvalidRequest` naming the item.
    """
    now = now or timezone.now()
    _require_valid(drafts, any_role=any_role)
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        known = _known_ids(session, drafts)
        fresh = _first_of_each(drafts, known)
        if not fresh:
            ids = [known[str(draft.client_id)] for draft in drafts]
            return Appended(ids, len(drafts), session.message_count)
        messages = insert(_row(session, draft, now, compacted_at) for draft in fresh)
        known |= {str(row.client_id): row.pk for row in messages if row.client_id}
        noticed = pair_tools(session, messages, outcomes=[draft.outcome for draft in fresh])
        activity_at = session.activity_after([draft.created_at for draft in fresh], now=now)
        _count(session, messages)
        session.entitle(next((m.content for m in messages if m.role == Role.USER and (m.content or "").strip()), ""))
        # What another store kept did not happen in these minutes.
        session.hear(now, is_progress=True, event_count=0 if session.is_imported else 1)
        ids = [message.pk for message in messages]
        added = EventDraft(type="server.messages_added", payload={"message_ids": ids}, turn_id=session.turn_id)
        session.note_progress_at(session.last_seq + 1)
        session.record([added, *noticed, *liveness.settle(session, now)], now=now, activity_at=activity_at)
    nameless = iter(pk for row, pk in zip(messages, ids, strict=True) if row.client_id is None)
    return Appended(
        [known[draft.client_id] if draft.client_id else next(nameless) for draft in drafts],
        len(drafts) - len(fresh),
        session.message_count,
    )


def _require_valid(drafts: Sequence[MessageDraft], *, any_role: bool) -> None:
    """Raise `InvalidRequest` with every draft that cannot be stored."""
    errors: list[FieldError] = []
    for index, draft in enumerate(drafts):
        for field, text in (("content", draft.content), ("thinking", draft.thinking)):
            if text:
                require_content(f"messages.{index}.{field}", text)
        if draft.role not in _ROLES or draft.client_id or draft.tool_call_id:
            errors += _faults_of_names(draft, index, any_role=any_role)
    if errors:
        raise InvalidRequest("At least one message cannot be stored; none was.", errors=errors)


def _faults_of_names(draft: MessageDraft, index: int, *, any_role: bool) -> Iterator[FieldError]:
    """Yield what is wrong with the names that a draft, the one with this index, has."""
    if not any_role and draft.role not in _ROLES:
        yield FieldError(f"messages.{index}.role", f"must be one of {', '.join(_ROLES)}")
    for field in ("role", "client_id", "tool_call_id"):
        try:
            require_name(field, getattr(draft, field) or "")
        except InvalidRequest as invalid:
            yield FieldError(f"messages.{index}.{field}", invalid.errors[0].message)


def _known_ids(session: Session, drafts: Sequence[MessageDraft]) -> dict[str, int]:
    """Return the ids of the drafts that the session already holds, or held until a purge, by client id."""
    wanted = [draft.client_id for draft in drafts if draft.client_id]
    if not wanted:
        return {}
    held = {str(client_id): pk for client_id, pk in _held(session.pk, in_json(wanted))}
    return held | MessageAlias.objects.known_ids(session, set(wanted) - held.keys())


@prepared
def _held(session_id: Place, client_ids: Place) -> "QuerySet[Message, tuple[str | None, int]]":
    rows = Message.objects.filter(AmongTexts("client_id", client_ids), session=session_id)
    return rows.values_list("client_id", "pk")


def _first_of_each(drafts: Sequence[MessageDraft], known: dict[str, int]) -> list[MessageDraft]:
    """Return the drafts that are new, the first of each client id."""
    seen = set(known)
    fresh = []
    for draft in drafts:
        if draft.client_id in seen:
            continue
        if draft.client_id:
            seen.add(draft.client_id)
        fresh.append(draft)
    return fresh


def _row(session: Session, draft: MessageDraft, now: datetime, compacted_at: datetime | None) -> Message:
    """Return the row of a draft."""
    return born(
        Message,
        session_id=session.pk,
        role=draft.role,
        content=redaction.clean(draft.content),
        thinking=redaction.clean(draft.thinking),
        tool_calls=redaction.clean(draft.tool_calls),
        tool_call_id=redaction.clean(draft.tool_call_id),  # as in the call
        agent_name=draft.agent_name,
        model=draft.model,
        client_id=draft.client_id or None,
        turn_id=session.turn_id,
        created_at=draft.created_at or now,
        compacted_at=compacted_at,
        **(draft.usage.as_columns() if draft.usage else {}),
    )


def _count(session: Session, messages: Sequence[Message]) -> None:
    """Keep the counters and the ledger."""
    session.count_messages(len(messages))
    entries: dict[tuple[str, date], tuple[TokenCounts, int]] = {}
    for message in messages:
        if not message.is_model_call or message.usage is None:
            continue
        place = (message.agent_name or MAIN_AGENT, message.created_at.astimezone(UTC).date())
        counts, api_calls = entries.get(place, (TokenCounts(), 0))
        entries[place] = (counts + message.usage, api_calls + 1)
    for counts, api_calls in entries.values():
        session.count_usage(counts, api_calls=api_calls)
    Usage.objects.add(session, entries)


def note_usage(session_id: int, message_id: int, usage: TokenCounts, *, now: datetime | None = None) -> None:
    """Count the tokens of a message whose sender tells of them later; the message has none yet. Raises `NotFound`."""
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        message = session.messages.get(pk=message_id)
        message.take_usage(usage)
        session.count_usage(usage, api_calls=1)
        place = (message.agent_name or MAIN_AGENT, message.created_at.astimezone(UTC).date())
        Usage.objects.add(session, {place: (usage, 1)})
        noted = EventDraft(type="server.usage_noted", payload={"message_id": message_id})
        session.record([noted, *liveness.settle(session, now)], now=now)


def context(session: Session) -> list[Message]:
    """Return what Koda would load as context: the unarchived rows, pruned once, oldest first."""
    return prune(list(Message.objects.of(session.pk).unarchived()))


def hidden_ids(session: Session) -> list[int]:
    """Return the ids of the unarchived rows that pruning drops from the context; no content is read for it."""
    rows = _unarchived_calls(session)
    kept = {row.pk for row in prune(rows)}
    return [row.pk for row in rows if row.pk not in kept]


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a result: by Koda's rule, and call by call in the order in which they were asked for."""

    is_pending: bool
    call_ids: list[str]


def pending(session: Session) -> Pending:
    """Return the tool calls of the context that have no result.

    Koda looks at the newest unarchived row alone: it is pending if that asks for tools, even for none ("[]").
    """
    rows = _unarchived_calls(session)
    answered = {row.tool_call_id for row in rows if row.role == Role.TOOL}
    asked = [call.get("id") for row in rows if row.role == Role.ASSISTANT for call in row.calls()]
    waiting = dict.fromkeys(call_id for call_id in asked if isinstance(call_id, str) and call_id not in answered)
    is_pending = bool(rows) and rows[-1].role == Role.ASSISTANT and rows[-1].tool_calls is not None
    return Pending(is_pending, list(waiting))


def _unarchived_calls(session: Session) -> list[Message]:
    """Return the unarchived rows, oldest first, without their texts."""
    return list(Message.objects.of(session.pk).unarchived().only("role", "tool_calls", "tool_call_id"))


def prune(messages: Iterable[Message]) -> list[Message]:
    """Drop calls and results that do not match, in one pass (contracts/koda.md 1.5).

    M is the symmetric difference of the call ids asked for and the ids answered. Tool rows whose id is in
    M go, and so do assistant rows with any call id in M, text included. One pass only: a result whose
    assistant row went for another call's sake stays, as in Koda.
    """
    rows = list(messages)
    asked = {call_id for row in rows if row.role == Role.ASSISTANT for call_id in _call_ids(row)}
    answered = {row.tool_call_id for row in rows if row.role == Role.TOOL and row.tool_call_id is not None}
    unmatched = asked ^ answered
    return [row for row in rows if not _is_unmatched(row, unmatched)]


def _is_unmatched(row: Message, unmatched: set[str]) -> bool:
    """Say whether this row is to be dropped."""
    if row.role == Role.TOOL:
        return row.tool_call_id in unmatched
    return row.role == Role.ASSISTANT and not unmatched.isdisjoint(_call_ids(row))


def _call_ids(row: Message) -> set[str]:
    """Return the text ids of the calls that a row asks for."""
    return {call["id"] for call in row.calls() if isinstance(call.get("id"), str)}


SPOKEN_TYPES = ("text_delta", "thinking_delta")
PRESENT_EVENTS = 400
"""Events that `present` looks back over at most."""
PRESENT_CALLS = 20
"""Tool calls that `present` shows at most."""
PRESENT_COMMANDS = 5
"""Commands that `present` shows at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What a session has said, called and asked since its last message: the end of the transcript."""

    text: str
    thinking: str
    calls: list[ToolCall]
    requests: list[Request]
    commands: list[Command]


def present(session: Session) -> Present:
    """Return the present of a session, in five bounded queries.

    `calls` are those of the newest turn that no message has asked for; `requests` wait for a person; `commands`
    are what people asked for in this turn, and what no agent has taken yet.
    """
    spoken: dict[str, list[str]] = {kind: [] for kind in SPOKEN_TYPES}
    for event in _newest_said(session.pk, session.last_seq - PRESENT_EVENTS):
        if event.type not in SPOKEN_TYPES:
            break
        spoken[event.type].append(str(event.payload.get("text", "")))
    turn_id = session.turn_id or _newest_turn.first(session.pk)
    return Present(
        text="".join(reversed(spoken["text_delta"])),
        thinking="".join(reversed(spoken["thinking_delta"])),
        calls=_calls_without_message(session.pk, *known(turn_id))[::-1],
        requests=Request.objects.open_in([session.pk]),
        commands=_told(session.pk, *known(session.turn_id))[::-1],
    )


@prepared
def _newest_said(session_id: Place, after_seq: Place) -> QuerySet[Event]:
    kinds = (*SPOKEN_TYPES, "server.messages_added", "turn_start", "response_start")
    return Event.objects.filter(session=session_id, type__in=kinds, seq__gt=after_seq).order_by("-seq")


@prepared
def _newest_turn(session_id: Place) -> QuerySet[Turn, str]:
    return Turn.objects.filter(session=session_id).order_by("-id").values_list("turn_id", flat=True)[:1]


@prepared
def _calls_without_message(session_id: Place, turn_id: Place | None = None) -> QuerySet[ToolCall]:
    calls = ToolCall.objects.filter(session=session_id, message=None, turn_id=turn_id)
    return calls.with_outputs().order_by("-id")[:PRESENT_CALLS]


@prepared
def _told(session_id: Place, turn_id: Place | None = None) -> QuerySet[Command]:
    return Command.objects.told(session_id, turn_id)[:PRESENT_COMMANDS]
