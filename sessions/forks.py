"""Forks: a new session that goes on from a point in the history of another one.

It belongs to the same owner and source, is private, and has the other session, deleted or not, as its parent. Nobody
works in it until an agent goes on, and its tokens are its own: those of the history were counted where they were spent.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from sessions import checkpoints, pool, transcripts
from sessions.exceptions import InvalidRequest
from sessions.models import Action, AuditEntry, Checkpoint, EventDraft, Message, Role, Session, ToolCall
from sessions.models.batching import batched
from sessions.models.fields import NAME_BYTES
from sessions.models.message import MessageQuerySet

_AT_ONCE = 200
"""Messages that are copied at once."""


@dataclass(frozen=True, slots=True)
class _Border:
    """Where the part of a history ends that is copied, as it was when the fork began: others go on writing."""

    last: int | None
    """The id of its last message."""
    newest: datetime | None
    """The newest time that one of its messages bears."""
    summaries: dict[datetime, int | None]
    """By the moment of each archiving the id of the summary that it left, in the part or behind it, if any."""

    @classmethod
    def of(cls, origin: Session, rows: MessageQuerySet) -> "_Border":
        """Return the border of these rows of a session.

        On PostgreSQL each query sees its own moment, so the end is read first, and summaries after what they sum up.
        """
        ends = rows.aggregate(last=Max("pk"), newest=Max("created_at"))
        moments = rows.archived().order_by().values_list("compacted_at", flat=True).distinct()
        summaries: dict[datetime, int | None] = dict.fromkeys(moment for moment in moments if moment is not None)
        left = Message.objects.of(origin.pk).filter(role=Role.SYSTEM, created_at__in=moments)
        summaries.update((at, pk) for at, pk in left.values_list("created_at", "pk") if at in summaries)
        return cls(**ends, summaries=summaries)

    def within(self, rows: MessageQuerySet) -> MessageQuerySet:
        """Return those of these rows that stand before the border."""
        return rows.none() if self.last is None else rows.filter(pk__lte=self.last)

    def archived_at(self, row: Message) -> datetime | None:
        """Return when a row was archived, None when it was not yet, or is not at all.

        A summary stands where the compaction came, whatever times the clients gave their messages. Of an archiving
        that left none another store told, by the clock of its messages.
        """
        if row.compacted_at is None or self.last is None or self.newest is None:
            return None
        if row.compacted_at not in self.summaries:  # somebody compacts at this moment
            return None
        summary = self.summaries[row.compacted_at]
        came_before = row.compacted_at <= self.newest if summary is None else summary <= self.last
        return row.compacted_at if came_before else None


def fork(checkpoint: Checkpoint, *, by: str, title: str | None = None, now: datetime | None = None) -> Session:
    """Begin a session whose only checkpoint has the state of this one, exactly; return it. Raises `NotFound`."""
    with transaction.atomic():
        origin = Session.objects.held(checkpoint.session_id)
        made = checkpoints.begin(
            by=by, now=now, is_copy=True, state=checkpoints.State(tuple(pool.read(checkpoint)), checkpoint.rest),
            **_facts(origin, title),
        )  # fmt: skip
        _note(origin, made.session, by=by, now=now)
    return made.session


def fork_whole(origin: Session, *, by: str, title: str | None = None, now: datetime | None = None) -> Session:
    """Begin a session that goes on from the newest checkpoint of this one, else with all its messages.

    Raises `NotFound` when it has gone.
    """
    newest = Checkpoint.objects.of(origin).select_related("session__owner").last()
    if newest is not None:
        return fork(newest, by=by, title=title, now=now)
    return fork_messages(origin, by=by, title=title, now=now)


def fork_messages(
    origin: Session, *, by: str, up_to: int | None = None, title: str | None = None, now: datetime | None = None
) -> Session:
    """Begin a session with the messages of this one, as far as the one with the id `up_to` or all; return it.

    Messages keep their words, their times, and how their calls ended; calls that had no result there have none here.
    What a compaction archived is archived, unless the compaction came after all that is copied: then it is context
    again. Raises `NotFound` when the session has gone, and `InvalidRequest` when `up_to` is no message of it; then
    nothing is made. Its agent goes on writing meanwhile.
    """
    now = now or timezone.now()
    with transaction.atomic():
        origin = Session.objects.held(origin.pk)
        rows = Message.objects.of(origin.pk)
        if up_to is not None:
            if not rows.filter(pk=up_to).exists():
                raise InvalidRequest.field("message_id", "not a message of this session")
            rows = rows.filter(pk__lte=up_to)
        border = _Border.of(origin, rows)
        made = Session.objects.start(now=now, **_facts(origin, title)).session
        count = 0
        for batch in batched(border.within(rows).iterator(chunk_size=_AT_ONCE), _AT_ONCE):
            count += len(batch)
            outcomes = _outcomes(origin, batch)
            for archived_at, group in groupby(batch, key=border.archived_at):
                drafts = [_draft(row, outcomes.get(row.pk)) for row in group]
                transcripts.append(made.pk, drafts, now=now, any_role=True, compacted_at=archived_at)
        ToolCall.objects.count_as_copies(made)
        made = Session.objects.locked(made.pk)
        # Its parent tells of which, to who may see that: the log goes to everybody who may read the fork.
        copied = {"up_to_message_id": up_to, "message_count": count, "by": by}
        made.record([EventDraft(type="server.history_copied", payload=copied)], now=now, activity_at=now)
        _note(origin, made, by=by, now=now)
    return made


def _note(origin: Session, made: Session, *, by: str, now: datetime | None) -> None:
    AuditEntry.objects.note(Action.FORKED, by=by, subject=str(origin.uuid), now=now, made=str(made.uuid))


def _facts(origin: Session, title: str | None) -> dict[str, Any]:
    """Return what a fork is born with."""
    named = {
        "title": title or _fitted(f"Fork of {origin.display_title}"),
        "is_title_derived": True if origin.is_title_derived and not title else None,
        "project_root": origin.project_root,
        "model": origin.model,
        "provider": origin.provider,
        "mode": origin.mode,
    }
    return {
        "owner": origin.owner, "source": origin.source, "agent_name": origin.agent_name, "parent": origin,
        **{name: value for name, value in named.items() if value is not None},
    }  # fmt: skip


def _fitted(title: str) -> str:
    return title.encode()[:NAME_BYTES].decode(errors="ignore")


def _outcomes(origin: Session, batch: list[Message]) -> dict[int | None, str | None]:
    """Return how the calls ended of which these are the results, by message id."""
    closed = ToolCall.objects.filter(session=origin, result_message__in=[row.pk for row in batch]).exclude(outcome=None)
    return dict(closed.values_list("result_message_id", "outcome"))


def _draft(row: Message, outcome: str | None) -> transcripts.MessageDraft:
    """Return a row as it is told again, without tokens and without its sender's id: it is not sent again."""
    return transcripts.MessageDraft(
        role=row.role, content=row.content, thinking=row.thinking, tool_calls=row.tool_calls,
        tool_call_id=row.tool_call_id, agent_name=row.agent_name, model=row.model, created_at=row.created_at,
        outcome=outcome,
    )  # fmt: skip
