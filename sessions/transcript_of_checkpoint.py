"""The transcript of a session that is kept in checkpoints: its messages are those of the newest one.

A history that grows appends. A rewritten one takes what it has no more out of the context (nothing is deleted), and
brings back what stood there before.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sessions import calls_of_checkpoint, transcripts
from sessions.likeness import places_of
from sessions.models import Checkpoint, EventDraft, Message, Role, Session, ToolCall
from sessions.models.among import Among
from sessions.models.batching import batched
from sessions.models.message import MessageQuerySet
from sessions.pool import Placed
from sessions.projection import ending_of, tell

_STORE = "checkpoint"


def write(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    placed: Placed,
    *,
    newest: Checkpoint | None,
    at: datetime | None,
    is_copy: bool,
    now: datetime,
) -> None:
    """Let the transcript of a locked session say what a new checkpoint says; tokens of a copy are not counted."""
    places = list(places_of(placed.spans))
    if placed.is_grown:
        kept = newest.message_count if newest else 0
        if placed.late is not None:
            rows = Message.objects.filter(session=checkpoint.session_id, client_id=_client_id(places[placed.late]))
            _note_usage(rows.first(), texts[placed.late], now=now)
        fresh = list(zip(map(_client_id, places[kept:]), texts[kept:], strict=True))
        counted = frozenset(client_id for client_id, _ in fresh) if is_copy else frozenset()
        _append(checkpoint, fresh, at=at, now=now, counted=counted)
    else:
        told = _rewrite(checkpoint, places, texts, before=placed.before, at=at, now=now)
        if placed.late is not None:
            _note_usage(Message.objects.get(pk=told[placed.late]), texts[placed.late], now=now)


def _client_id(place: int) -> str:
    return f"{_STORE}:{place}"


def _append(
    checkpoint: Checkpoint,
    fresh: Iterable[tuple[str, str]],
    *,
    at: datetime | None,
    now: datetime,
    counted: frozenset[str] = frozenset(),
) -> list[int]:
    """Append messages by client id, return their rows; the tokens of `counted` ones were counted when they came."""
    drafts = []
    for client_id, text in fresh:
        told = tell(text)
        drafts.append(
            transcripts.MessageDraft(
                role=told.role, content=told.content, tool_calls=told.tool_calls, tool_call_id=told.tool_call_id,
                usage=None if client_id in counted else told.usage, client_id=client_id, created_at=at,
                outcome=told.outcome,
            )
        )  # fmt: skip
    answered = {draft.tool_call_id for draft in drafts if draft.role == Role.TOOL and draft.tool_call_id}
    session = Session.objects.locked(checkpoint.session_id) if answered else None
    is_rewritten = len(checkpoint.spans) > 1  # else all results are in the context
    may_wait = session is not None and (session.tool_aborted_count or is_rewritten)
    if session is not None and may_wait and calls_of_checkpoint.open_again(session, answered):
        session.record([], now=now)
    return transcripts.append(checkpoint.session_id, drafts, now=now, any_role=True).ids if drafts else []


def _note_usage(row: Message | None, text: str, *, now: datetime) -> None:
    """Count the tokens of a message that came without and tells of them now."""
    usage = tell(text).usage
    if usage is not None and row is not None and row.usage is None:
        transcripts.note_usage(row.session_id, row.pk, usage, now=now)


def _rewrite(
    checkpoint: Checkpoint,
    places: Sequence[int],
    texts: Sequence[str],
    *,
    before: Sequence[int | None],
    at: datetime | None,
    now: datetime,
) -> list[int]:
    """Take out what is no more, bring back what was, append what is new; return the row of each message.

    A transcript is in order of its ids, so a message that now stands behind younger ones is told anew: then its calls
    are tied to the new row. One that a purge has destroyed is told anew, too, and counts no second time.
    """
    own = Message.objects.of(checkpoint.session_id).filter(client_id__startswith=f"{_STORE}:")
    rows = _by_place(own)
    kept = _kept(places, rows)
    is_archived = {pk: archived for found in rows.values() for pk, archived in found}
    restored = [pk for pk in kept if is_archived[pk]]
    gone = sorted(pk for pk, archived in is_archived.items() if not archived and pk not in set(kept))
    own.filter(Among("pk", [*restored, *gone])).lock_in_order()
    _move(own, restored, to=None)
    _move(own, gone, to=at or now)
    left = list(zip(places, before, texts, strict=True))[len(kept) :]
    stood = [rows.get(_client_id(at), []) if at is not None else None for _, at, _ in left]
    _untie(checkpoint, {pk for found in stood for pk, _ in found or ()})
    fresh = [
        (_client_id(place) if at is None else f"{_client_id(place)}:{checkpoint.seq}", text) for place, at, text in left
    ]
    counted = frozenset(client_id for (client_id, _), found in zip(fresh, stood, strict=True) if found is not None)
    alike = {
        pk: row for place, row in zip(places, kept, strict=False) for pk, _ in rows[_client_id(place)] if pk != row
    }
    calls_of_checkpoint.tie(checkpoint.session_id, alike)
    session = Session.objects.locked(checkpoint.session_id)
    awaited = set() if session.is_imported else {one.call_id for one in ending_of(texts).asked}
    changed = calls_of_checkpoint.settle(session, own, awaited=awaited)
    if gone or restored or changed:
        payload = {"archived_ids": gone, "restored_ids": restored, "tool_call_ids": changed}
        session.record([EventDraft(type="server.history_rewritten", payload=payload, at=at)], now=now)
    told = _append(checkpoint, fresh, at=at, now=now, counted=counted)
    if purged := [pk for pk, found in zip(told, stood, strict=True) if found == []]:
        session = Session.objects.locked(checkpoint.session_id)
        calls_of_checkpoint.count_no_more(session, Message.objects.filter(pk__in=purged))
        session.record([], now=now)
    return [*kept, *told]


def _by_place(rows: MessageQuerySet) -> dict[str, list[tuple[int, bool]]]:
    """Return by the client id of its place each row and whether it is archived, the oldest first."""
    found: dict[str, list[tuple[int, bool]]] = {}
    for pk, client_id, compacted_at in rows.values_list("pk", "client_id", "compacted_at"):
        found.setdefault(":".join(str(client_id).split(":")[:2]), []).append((pk, compacted_at is not None))
    return found


def _kept(places: Sequence[int], rows: dict[str, list[tuple[int, bool]]]) -> list[int]:
    """Return the rows that tell the first of these places in their order, as many as there are."""
    kept: list[int] = []
    for place in places:
        later = [pk for pk, _ in rows.get(_client_id(place), ()) if not kept or pk > kept[-1]]
        if not later:
            break
        kept.append(later[0])
    return kept


def _move(rows: MessageQuerySet, pks: Sequence[int], *, to: datetime | None) -> None:
    for batch in batched(pks):
        rows.filter(pk__in=batch).update(compacted_at=to)


def _untie(checkpoint: Checkpoint, told_before: set[int]) -> None:
    """Let calls go from the rows of messages that are told anew."""
    for batch in batched(sorted(told_before)):
        calls = ToolCall.objects.filter(session=checkpoint.session_id)
        calls.filter(message__in=batch).update(message=None)
        calls.filter(result_message__in=batch).update(result_message=None)
