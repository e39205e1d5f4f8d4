"""Destroying rows of one session a batch at a time, with everything that repeats their words.

Each function is called in a transaction of its own that holds the session's lock, so that writers get through between
two batches, and an interruption leaves whole batches behind.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.apps import apps
from django.db import models
from django.db.models import Q

from sessions.models import (
    CheckpointPiece,
    CommandStatus,
    Delivery,
    Event,
    EventAlias,
    EventDraft,
    Footprint,
    Message,
    MessageAlias,
    PurgedCalls,
    PurgedMessages,
    RequestStatus,
    Role,
    SearchEntry,
    Session,
    StoredAnswer,
    ToolCall,
    Unindexed,
)
from sessions.models.event import EventQuerySet
from sessions.models.message import octets_of
from sessions.retention.plans import stretches

MESSAGES_AT_ONCE = 500
EVENTS_AT_ONCE = 1000
"""Rows of one transaction at most."""
_OF_A_CHECKPOINT = ("rest", "variants", "unread")
_OF_US = (EventAlias, Footprint, MessageAlias, PurgedCalls, PurgedMessages, Unindexed)
"""Tables of what was measured, counted or noted, which is no loss."""
BRINGERS = {"server.messages_added": ("message_ids",), "server.compacted": ("summary_message_id", "hint_message_id")}
"""Where the events that bring messages name them."""


@dataclass(slots=True)
class Tally:
    """What was destroyed: rows by table, and the bytes of UTF-8 that agents and people had written in them."""

    counts: Counter[str] = field(default_factory=Counter)
    size: int = 0
    _of: int | None = None
    _found_up_to: int = 0

    def begin(self, session: Session) -> None:
        """Note, with a session's first batch, how far its log reaches: what comes later is the purge's own."""
        if self._of != session.pk:
            self._of, self._found_up_to = session.pk, session.last_seq

    def leave_out_notes(self, events: EventQuerySet) -> None:
        """Take off, of events that are counted when they are destroyed, those which the purge itself noted before."""
        noted = events.filter(seq__gt=self._found_up_to)
        self.size -= size_of(noted, "payload")
        self.add(Event, -noted.count())

    def add(self, model: type[models.Model], count: int) -> None:
        """Count rows of one table."""
        self.counts[table_of(model)] += count
        if not self.counts[table_of(model)]:
            del self.counts[table_of(model)]

    def add_labels(self, deleted: dict[str, int]) -> None:
        """Count what Django says that it deleted of what agents and people had written."""
        for label, count in deleted.items():
            if (model := apps.get_model(label)) not in _OF_US:
                self.add(model, count)


def table_of(model: type[models.Model]) -> str:
    """Return the name by which receipts call a table."""
    return str(model._meta.verbose_name_plural).replace(" ", "_")  # noqa: SLF001 - public in all but name


def spell_rows(table: str, count: int) -> str:
    """Return a count of rows in words: `1 search entry`."""
    one = {table_of(model): str(model._meta.verbose_name) for model in apps.get_models()}  # noqa: SLF001 - public in all but name
    return f"{count:,} {one[table] if count == 1 else table.replace('_', ' ')}"


def size_of(rows: models.QuerySet[models.Model], *columns: str) -> int:
    """Return the bytes of these text columns."""
    return int(rows.order_by().aggregate(size=models.Sum(octets_of(*columns), default=0))["size"])


# --- Messages ----------------------------------------------------------------------------------------------


def drop_messages(session: Session, ids: Sequence[int], tally: Tally, *, by: str, now: datetime) -> int:
    """Destroy messages, given in growing order, with the tool calls that they made; return how many there were.

    Tokens stay counted, and a repeat of what an agent sent is still known as one. A title that one of them made is made
    anew.
    """
    rows = session.messages.filter(pk__in=ids)
    tally.size += size_of(rows, "content", "thinking", "tool_calls")
    kept = session.messages.filter(pk__range=(ids[0], ids[-1])).exclude(pk__in=ids).values_list("pk", flat=True)
    ranges = stretches(ids, list(kept))
    prompt = rows.filter(role=Role.USER).order_by("pk").values_list("pk", flat=True).first()
    tally.add(SearchEntry, SearchEntry.objects.of_messages(ids).delete()[0])
    calls = ToolCall.objects.filter(session=session, message__in=ids)
    PurgedCalls.objects.note(session, calls)
    tally.add_labels(calls.delete()[1])
    PurgedMessages.objects.note(session, rows)
    MessageAlias.objects.note(session, rows)
    count = rows.only("pk").delete()[1].get(Message._meta.label, 0)  # noqa: SLF001 - public in all but name
    tally.add(Message, count)
    if not count:
        return 0
    session.count_messages(-count)
    drafts = [EventDraft(type="server.messages_purged", payload={"count": count, "ranges": ranges, "by": by})]
    if prompt is not None and _lose_title(session, prompt=prompt):
        SearchEntry.objects.filter(session=session, message=None, tool_call=None).delete()
        drafts.append(EventDraft(type="server.session_edited", payload={**session.title_made_anew(), "by": by}))
    session.record(drafts, now=now)
    return count


def _lose_title(session: Session, *, prompt: int) -> bool:
    """Take the title anew if the first of a person's messages is gone, of which `prompt` was one; say if it changed."""
    left = session.messages.all().first_prompts()
    is_first_gone = not left or prompt < left[0][0]
    return is_first_gone and session.lose_prompts(left=[text for _, text in left])


# --- The log -----------------------------------------------------------------------------------------------


def border_of(session: Session, message_id: int) -> int:
    """Return the seq up to which the log tells of nothing younger than this message.

    That is up to where the first later message came: agents stream a message's words before it, and after it, too.
    """
    border = session.last_seq
    told = session.events.filter(type__in=BRINGERS).order_by("-seq").values_list("seq", "type", "payload")
    for seq, kind, payload in told.iterator(chunk_size=200):
        named = [payload.get(name) for name in BRINGERS[kind]]
        ids = [pk for value in named for pk in (value if isinstance(value, list) else [value]) if pk is not None]
        if ids and min(ids) <= message_id:
            break
        if ids:
            border = seq - 1
    return border


def forget_log(session: Session, tally: Tally, *, up_to: int, by: str, now: datetime) -> bool:
    """Destroy a batch of what agents told up to the event `up_to`, the oldest first; say whether more is left.

    Turns, figures and the server's own events stay, and a repeat of what was told is still known as one. What copies
    the words goes first: an interruption must not leave a copy whose origin is gone.
    """
    live = session.events.told_by_agents().filter(seq__lte=up_to).order_by("seq")
    rows = list(live.values_list("pk", "seq", "event_id")[: EVENTS_AT_ONCE + 1])
    is_more = len(rows) > EVENTS_AT_ONCE
    rows = rows[:EVENTS_AT_ONCE]
    if not rows:
        return False
    last = rows[-1][1] if is_more else up_to
    _blank(session, tally, up_to=last)
    tally.size += size_of(Event.objects.filter(pk__in=[row[0] for row in rows]), "payload")
    count = Event.objects.forget(session, rows)
    tally.add(Event, count)
    purged = EventDraft(type="server.events_purged", payload={"count": count, "up_to": last, "by": by})
    session.record([purged], now=now)
    return is_more


def forget_answers(session: Session, tally: Tally, *, now: datetime) -> None:
    """Destroy the answers that are kept for repeated requests and tell of the session: some repeat its words."""
    tally.add_labels(StoredAnswer.objects.forget([session], now=now))


def _blank(session: Session, tally: Tally, *, up_to: int) -> None:
    """Take out of the tables the words of the log up to an event; the rows stay, for they are figures."""
    calls = ToolCall.objects.filter(session=session, message=None, outcome__isnull=False)
    calls = calls.filter(Q(start_seq__lte=up_to) | Q(result_seq__lte=up_to)).exclude(args=None, detail="")
    tally.add(
        SearchEntry, SearchEntry.objects.filter(tool_call__in=list(calls.values_list("pk", flat=True))).delete()[0]
    )
    calls.update(args=None, detail="")
    closed = session.requests.filter(opened_seq__lte=up_to).exclude(status=RequestStatus.OPEN)
    closed.update(detail="", preview=None, options=None, answer=None)
    Delivery.objects.filter(session=session, seq__lte=up_to, next_attempt_at=None).delete()
    newest = session.events.filter(seq__lte=up_to).order_by("-seq").values_list("received_at", flat=True).first()
    for command in session.commands.filter(created_at__lte=newest).exclude(status=CommandStatus.REQUESTED):
        command.forget()
    for event in session.events.liveness_changes().filter(seq__lte=up_to):
        event.forget_reason()


# --- Whole sessions ----------------------------------------------------------------------------------------


def is_large(session: Session) -> bool:
    """Say whether one transaction would hold up writers for too long."""
    most = EVENTS_AT_ONCE + MESSAGES_AT_ONCE
    tables = (session.events, session.messages, CheckpointPiece.objects.filter(session=session))
    return sum(rows.order_by().values("pk")[:most].count() for rows in tables) >= most


def shrink(session: Session, tally: Tally, *, by: str, now: datetime) -> None:
    """Destroy a batch of a large session.

    It is deleted softly first: an interruption leaves no half of one in lists.
    """
    if not session.is_deleted:
        session.remove(by=by, now=now)
        return
    ids = list(session.messages.order_by("id").values_list("pk", flat=True)[:MESSAGES_AT_ONCE])
    if ids:
        drop_messages(session, ids, tally, by=by, now=now)
    elif session.events.told_by_agents().exists():
        forget_log(session, tally, up_to=session.last_seq, by=by, now=now)
    else:
        _drop_rest(session, tally)


def _drop_rest(session: Session, tally: Tally) -> None:
    """Destroy a batch of what nobody but the session's own end refers to.

    No checkpoint outlives the messages that it is made of. The newest one goes last: until then the session reads and
    goes on, afterwards it is one without a checkpoint.
    """
    for rows, columns in (
        (session.checkpoints, _OF_A_CHECKPOINT),
        (CheckpointPiece.objects.filter(session=session), ("text",)),
        (session.events, ("payload",)),
    ):
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:EVENTS_AT_ONCE])
        if ids:
            batch = rows.filter(pk__in=ids)
            tally.size += size_of(batch, *columns)
            if isinstance(batch, EventQuerySet):
                tally.leave_out_notes(batch)
            tally.add_labels(batch.delete()[1])
            return


def destroy(session: Session, tally: Tally, *, now: datetime) -> None:
    """Destroy what is left of a session, and the answers to repeated requests that may still tell of it."""
    for rows, columns in (
        (session.messages, ("content", "thinking", "tool_calls")),
        (session.events, ("payload",)),
        (CheckpointPiece.objects.filter(session=session), ("text",)),
        (session.checkpoints, _OF_A_CHECKPOINT),
    ):
        tally.size += size_of(rows, *columns)  # type: ignore[arg-type]
    tally.leave_out_notes(session.events.all())
    tally.add_labels(session.destroy(now=now))
