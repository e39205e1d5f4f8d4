"""Compaction: archive all but the last n messages of a context and leave a summary. Nothing is destroyed.

The source of the rules is contracts/koda.md 1.7, quirks included.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from sessions import liveness, redaction
from sessions.exceptions import Conflict, InvalidRequest
from sessions.models import Event, EventDraft, Message, Role, Session
from sessions.models.batching import batched
from sessions.models.fields import require_content

HINT = (
    "The conversation so far was shortened to make room; the message before this one sums it up. "
    "Go on from there as if nothing had happened, and do not speak of it."
)
"""What the assistant's row after a summary says."""


def plan(active_ids: Sequence[int], *, preserve_count: int) -> list[int]:
    """Return which of the unarchived ids, oldest first, a compaction archives: all but the last `preserve_count`.

    Counts rows, not turns: tool rows, earlier summaries and rows that pruning hides count too.
    """
    return list(active_ids[: max(0, len(active_ids) - preserve_count)])


def compact(
    session_id: int,
    *,
    summary: str,
    preserve_count: int,
    by: str,
    archived_count: int | None = None,
    now: datetime | None = None,
) -> int:
    """Archive all but the last `preserve_count` rows and append the summary and its hint; return how many.

    With nothing to archive nothing is inserted and 0 comes back. The two new rows come after the kept tail and
    do not move `last_activity_at`. `archived_count` is how many were archived when somebody decided this. Raises
    `NotFound`, `InvalidRequest` for a negative count, `TooLarge`, `Conflict` when another number is archived now.
    """
    if preserve_count < 0:
        raise InvalidRequest.field("preserve_count", "must not be negative")
    require_content("summary", summary)
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        history = Message.objects.of(session.pk)
        if archived_count is not None and history.archived().count() != archived_count:
            raise Conflict("Other messages are archived by now than when this was asked; nothing more was archived.")
        active = list(history.unarchived().values_list("pk", flat=True))
        archived = plan(active, preserve_count=preserve_count)
        if not archived:
            return 0
        history.unarchived().filter(pk__lte=archived[-1]).archive(now)
        rows = [
            Message(session=session, role=role, content=text, turn_id=session.turn_id, created_at=now)
            for role, text in ((Role.SYSTEM, redaction.clean(summary)), (Role.ASSISTANT, HINT))
        ]
        summary_row, hint_row = Message.objects.bulk_create(rows)
        session.count_messages(len(rows))
        session.hear(now, is_progress=True)
        done = {
            "archived": len(archived),
            "summary_message_id": summary_row.pk,
            "hint_message_id": hint_row.pk,
            "by": by,
        }
        event = EventDraft(type="server.compacted", payload=done, turn_id=session.turn_id)
        session.record([event, *liveness.settle(session, now)], now=now)
    return len(archived)


def note_border(
    session_id: int,
    *,
    trigger: str,
    pre_tokens: int | None = None,
    at: datetime | None = None,
    event_id: str | None = None,
    now: datetime | None = None,
) -> int:
    """Record that the agent has compacted its conversation here by itself; return how many messages that archived.

    For agents that write their own summary as a message: all unarchived rows leave the context, none is added and
    none deleted. `trigger` is the agent's word (auto, manual), `pre_tokens` the size of the context before, `at` the
    agent's clock. A repeat of `event_id` changes nothing and returns 0. Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        if event_id is not None and Event.objects.known_ids(session, [event_id]):
            return 0
        archived = Message.objects.of(session.pk).unarchived().archive(at or now)
        done = {"archived": archived, "trigger": trigger, "pre_tokens": pre_tokens, "by": "agent"}
        event = EventDraft(type="server.compacted", payload=done, event_id=event_id, at=at, turn_id=session.turn_id)
        session.record([event, *liveness.settle(session, now)], now=now)
    return archived


def archive_rows(
    session_id: int, *, client_ids: Sequence[str], at: datetime, by: str, now: datetime | None = None
) -> int:
    """Archive the named messages as of `at`, because another store did so; return how many were not archived yet.

    Summary and hint are messages of that store and come as such. With nothing to archive nothing is recorded.
    Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        rows = Message.objects.of(session.pk).unarchived()
        archived = sum(rows.filter(client_id__in=batch).archive(at) for batch in batched(client_ids))
        if archived:
            event = EventDraft(type="server.compacted", payload={"archived": archived, "by": by}, at=at)
            session.record([event, *liveness.settle(session, now)], now=now)
    return archived
