"""What a purge would destroy, in numbers and names; nothing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from sessions.models import CheckpointPiece, Event, Footprint, Message, Session, ToolCall
from sessions.models.among import Among
from sessions.models.message import octets_of
from sessions.retention.plans import Plan, plan
from sessions.retention.rows import size_of, table_of
from sessions.retention.rules import Policy, Rule

LARGEST = 10
"""Sessions that a preview names at most."""
SESSION_TABLES = (
    (Message, ("content", "thinking", "tool_calls")),
    (ToolCall, ()),
    (Event, ("payload",)),
    (CheckpointPiece, ("text",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A session that a purge takes something of: how much, in rows and bytes, and of when the newest of it is."""

    session: Session
    count: int
    size: int
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a purge would destroy at this moment.

    `counts` are rows by table. Of archived messages the log's copies go as well; only the receipt counts them. `kept`
    sessions are due, and stay because one below them stays. `session_ids` name the whole sessions that would go.
    `newest` and `oldest` are of what would go.
    """

    rule: Rule
    counts: dict[str, int]
    session_count: int
    size: int
    oldest: datetime | None
    newest: datetime | None
    kept: int
    session_ids: list[int]
    largest: list[Touched]

    @property
    def more(self) -> int:
        """Return how many sessions are not named."""
        return max(0, self.session_count - len(self.largest))

    @property
    def count(self) -> int:
        """Return how many things of the policy's own kind would go."""
        return self.counts.get(self.rule.policy.table, 0)


def preview(rule: Rule, *, now: datetime | None = None) -> Preview:
    """Return what `purge` would destroy now."""
    now = now or timezone.now()
    if rule.policy is Policy.COMPACTED:
        messages = rule.due_messages(now)
        calls = ToolCall.objects.filter(message__in=messages.order_by().values("pk"))
        counts = {"tool_calls": calls.count()}
        return _of_rows(rule, messages, "compacted_at", ("content", "thinking", "tool_calls"), counts)
    if rule.policy is Policy.EVENTS:
        return _of_rows(rule, rule.due_events(now), "received_at", ("payload",), {})
    return _of_sessions(rule, *_looked_at(rule, now=now), now=now)


def going(rule: Rule, *, now: datetime) -> Plan:
    """Return which sessions a rule destroys, those below first."""
    return _looked_at(rule, now=now)[0]


def _looked_at(rule: Rule, *, now: datetime) -> tuple[Plan, dict[int, int]]:
    """Return which sessions a rule destroys, and how many messages each has that is due.

    One that is not due itself goes with its parent when it is due but for the filters, or, below a deleted session,
    when a tool call of that began it: it is part of that session's work. Both must belong to the same person.
    """
    condition = rule.due_sessions(now)
    columns = ("pk", "message_count")
    due = dict(rule.sessions().filter(condition).order_by("last_activity_at", "pk").values_list(*columns))
    # As a range, and without an order, the index of parents is read, and not all sessions.
    below = Session.objects.filter(parent__gt=0).order_by()
    of_the_same = below.filter(owner=F("parent__owner"))
    follows = condition
    if rule.policy is Policy.DELETED:
        follows |= Q(parent_tool_call_id__isnull=False) & ~Q(state="running")
    following = dict(of_the_same.filter(follows).values_list(*columns))
    found = plan(list(due), dict(sorted(below.values_list("pk", "parent"))), follows=sorted(following))
    return found, {**following, **due}


def _of_rows(
    rule: Rule, rows: models.QuerySet[Any], at: str, columns: Sequence[str], counts: dict[str, int]
) -> Preview:
    """Return the preview of a purge that takes rows out of sessions."""
    size = models.Sum(octets_of(*columns), default=0)
    figures = {"count": models.Count("pk"), "size": size, "newest": models.Max(at)}
    found = rows.order_by().aggregate(sessions=models.Count("session", distinct=True), oldest=models.Min(at), **figures)
    by_session = rows.order_by().values("session").annotate(**figures).order_by("-count", "session")[:LARGEST]
    named = list(by_session)
    sessions = Session.objects.in_bulk([row["session"] for row in named])
    return Preview(
        rule=rule,
        counts={rule.policy.table: found["count"], **counts},
        session_count=found["sessions"],
        size=found["size"],
        oldest=found["oldest"],
        newest=found["newest"],
        kept=0,
        session_ids=[],
        largest=[
            Touched(session=sessions[row["session"]], count=row["count"], size=row["size"], at=row["newest"])
            for row in named
            if row["session"] in sessions
        ],
    )


def _of_sessions(rule: Rule, planned: Plan, messages: dict[int, int], *, now: datetime) -> Preview:
    """Return the preview of a purge of whole sessions: as many queries for one as for a hundred thousand."""
    ids = planned.going
    counts = {"sessions": len(ids), **{table_of(model): _rows(model, ids).count() for model, _ in SESSION_TABLES}}
    oldest, newest = _span(rule, planned, now=now)
    return Preview(
        rule=rule,
        counts=counts,
        session_count=len(ids),
        size=_size(ids),
        oldest=oldest,
        newest=newest,
        kept=len(planned.staying),
        session_ids=ids,
        largest=_largest(ids, messages),
    )


def _span(rule: Rule, planned: Plan, *, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return since when the first and the last of the sessions that go are due.

    By the rule itself, not by their numbers: PostgreSQL looks up a hundred thousand of these one by one.
    """
    due = rule.sessions().filter(rule.due_sessions(now)).order_by()
    if planned.staying:
        due = due.filter(~Q(Among("id", planned.staying)))
    at = "deleted_at" if rule.policy is Policy.DELETED else "last_activity_at"
    ends = {"oldest": models.Min(at), "newest": models.Max(at)}
    found = [due.aggregate(**ends)]
    if planned.following:
        found.append(Session.objects.filter(Among("id", planned.following)).aggregate(**ends))
    oldest = min((one["oldest"] for one in found if one["oldest"]), default=None)
    return oldest, max((one["newest"] for one in found if one["newest"]), default=None)


def _size(ids: Sequence[int]) -> int:
    """Return how large these sessions are: as they were measured, and those that never were by their records."""
    measured = Footprint.objects.filter(Among("session_id", ids))
    found = measured.aggregate(count=models.Count("pk"), size=models.Sum("size", default=0))
    size = int(found["size"])
    if found["count"] < len(ids):
        known = set(measured.values_list("pk", flat=True))
        rest = [pk for pk in ids if pk not in known]
        size += sum(size_of(_rows(model, rest), *columns) for model, columns in SESSION_TABLES if columns)
    return size


def _rows(model: type[models.Model], ids: Sequence[int]) -> models.QuerySet[Any]:
    """Return the rows that belong to these sessions."""
    rows: models.QuerySet[Any] = model._base_manager.filter(Among("session_id", ids))  # noqa: SLF001 - Django's own
    return rows


def _largest(ids: Sequence[int], messages: dict[int, int]) -> list[Touched]:
    """Return the sessions with the most messages, each measured."""
    first = nsmallest(LARGEST, ids, key=lambda pk: (-messages[pk], pk))
    found = Session.objects.in_bulk(first)
    return [
        Touched(
            session=session,
            count=session.message_count,
            size=size_of(session.messages.all(), "content", "thinking", "tool_calls")
            + size_of(session.events.all(), "payload"),
            at=session.deleted_at or session.last_activity_at,
        )
        for session in (found[pk] for pk in first if pk in found)
    ]
