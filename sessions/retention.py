"""What may be purged, and purging it: one preview and one purge for every door.

A purge lowers message counts, never usage. It goes session by session, each in a transaction of its own, so that
writers get through and an interruption leaves whole sessions behind; running it again goes on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import models, transaction
from django.utils import timezone

from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import EventDraft, Message, Session, State, ToolCall
from sessions.models.message import MessageQuerySet
from sessions.models.session_rows import SessionQuerySet

IDS_AT_ONCE = 500
"""Ids that one query names at most."""
LONGEST_TTL_HOURS = 10**6
"""A time to live is cut to this: a century, and still within the calendar. Nothing is older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedStats:
    """What compactions archived and nobody purged.

    `size_bytes` as Koda counts it (characters; a row without content adds nothing); `true_size_bytes` in bytes.
    `oldest` is when the oldest of them was archived.
    """

    message_count: int
    session_count: int
    size_bytes: int
    true_size_bytes: int
    oldest: datetime | None


def archived_stats(owner: AbstractBaseUser) -> ArchivedStats:
    """Return the figures of the archived messages in all sessions that `owner` owns."""
    rows = _archived(owner)
    figures = rows.aggregate(
        messages=models.Count("pk"),
        sessions=models.Count("session", distinct=True),
        oldest=models.Min("compacted_at"),
    )
    return ArchivedStats(
        message_count=figures["messages"],
        session_count=figures["sessions"],
        size_bytes=rows.koda_size(),
        true_size_bytes=rows.true_size(),
        oldest=figures["oldest"],
    )


def purge_archived(
    owner: AbstractBaseUser, *, min_age_days: int, by: str, is_dry_run: bool = False, now: datetime | None = None
) -> int:
    """Destroy messages archived strictly longer ago than `min_age_days`; 0 means all archived. Return how many.

    The age counts from the compaction (contracts/koda.md 1.7). Raises `InvalidRequest` for a negative age.
    """
    if not 0 <= min_age_days <= timedelta.max.days // 2:
        raise InvalidRequest.field("min_age_days", "must be a number of days that is not negative")
    now = now or timezone.now()
    before = now - timedelta(days=min_age_days) if min_age_days else None
    rows = _archived(owner, before=before)
    if is_dry_run:
        return rows.count()
    session_ids = rows.order_by("session_id").values_list("session_id", flat=True).distinct()
    return sum(_purge_one(session_id, before=before, by=by, now=now) for session_id in list(session_ids))


def _archived(owner: AbstractBaseUser, *, before: datetime | None = None) -> MessageQuerySet:
    """Return the archived messages of what `owner` owns."""
    return Message.objects.filter(session__owner=owner.pk).archived(before=before)


def _purge_one(session_id: int, *, before: datetime | None, by: str, now: datetime) -> int:
    """Destroy the archived messages of one session with their tool calls; return how many messages."""
    with transaction.atomic():
        try:
            session = Session.objects.locked(session_id)
        except NotFound:
            return 0
        return _destroy(session, Message.objects.filter(session=session).archived(before=before), by=by, now=now)


def drop_rows(session_id: int, *, message_ids: Sequence[int], by: str, now: datetime | None = None) -> int:
    """Destroy the named messages of a session, because another store no longer has them; return how many.

    Counts as a purge does: messages fewer, usage as before. Raises `NotFound`.
    """
    now = now or timezone.now()
    with transaction.atomic():
        session = Session.objects.locked(session_id)
        pieces = (message_ids[start : start + IDS_AT_ONCE] for start in range(0, len(message_ids), IDS_AT_ONCE))
        return sum(_destroy(session, session.messages.filter(pk__in=piece), by=by, now=now) for piece in pieces)


def _destroy(session: Session, rows: MessageQuerySet, *, by: str, now: datetime) -> int:
    """Destroy messages of a locked session with the tool calls that they made; return how many messages."""
    ToolCall.objects.filter(session=session, message__in=rows).delete()
    count = rows.count()
    rows.delete()
    if count:
        session.count_messages(-count)
        event = EventDraft(type="server.messages_purged", payload={"count": count, "by": by})
        session.record([event], now=now)
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleSessions:
    """What a purge of stale sessions destroyed, or would destroy: the longest idle first, without their descendants."""

    sessions: list[Session]
    message_count: int


def purge_stale(
    sessions: SessionQuerySet,
    *,
    ttl_hours: int,
    include_running: bool = False,
    is_dry_run: bool = False,
    now: datetime | None = None,
) -> StaleSessions:
    """Destroy for good, with all below them, those of `sessions` that were last active strictly longer ago.

    A session below which a younger one stands is kept, and so is one that runs, unless `include_running`, and all above
    it. Each goes in a transaction of its own and is looked at again in it. Raises `InvalidRequest` for a negative age.
    """
    if ttl_hours < 0:
        raise InvalidRequest.field("ttl_hours", "must not be negative")
    before = (now or timezone.now()) - timedelta(hours=min(ttl_hours, LONGEST_TTL_HOURS))
    stale = sessions.filter(_is_stale(before, include_running=include_running))
    kept = _above_what_stays(before, include_running=include_running)
    found = [session for session in stale.order_by("last_activity_at", "pk") if session.pk not in kept]
    if not is_dry_run:
        found = [session for session in found if _purge_session(session, before, include_running=include_running)]
    return StaleSessions(sessions=found, message_count=sum(session.message_count for session in found))


def _is_stale(before: datetime, *, include_running: bool) -> models.Q:
    """Return the condition of sessions that have outlived their time."""
    is_stale = models.Q(last_activity_at__lt=before)
    return is_stale if include_running else is_stale & ~models.Q(state=State.RUNNING)


def _above_what_stays(before: datetime, *, include_running: bool) -> set[int]:
    """Return the ids of all sessions below which one is not stale; one query a generation."""
    staying = Session.objects.exclude(_is_stale(before, include_running=include_running)).exclude(parent=None)
    above: set[int] = set()
    generation = set(staying.values_list("parent", flat=True).distinct())
    while generation := generation - above:
        above |= generation
        parents = Session.objects.filter(pk__in=generation).exclude(parent=None)
        generation = set(parents.values_list("parent", flat=True).distinct())
    return above


def _purge_session(stale: Session, before: datetime, *, include_running: bool) -> bool:
    """Destroy one session if it and all below it are still stale; say whether it was destroyed."""
    with transaction.atomic():
        try:
            session = Session.objects.locked(stale.pk)
        except NotFound:
            return False
        ids = [one.pk for one in session.with_descendants()]
        fit = Session.objects.filter(_is_stale(before, include_running=include_running), pk__in=ids)
        if fit.count() != len(ids):
            return False
        session.destroy()
    return True
