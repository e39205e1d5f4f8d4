"""What compactions archived, in figures; and rows that another store no longer has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, models, transaction
from django.utils import timezone

from sessions.models import Message, Session
from sessions.models.batching import batched
from sessions.models.search_index import hold
from sessions.retention.rows import MESSAGES_AT_ONCE, Tally, drop_messages


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
    rows = Message.objects.filter(session__owner=owner.pk).archived()
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


def drop_rows(session_id: int, *, message_ids: Sequence[int], by: str, now: datetime | None = None) -> int:
    """Destroy the named messages of a session, because another store no longer has them; return how many.

    Counts as a purge does: messages fewer, usage as before. Raises `NotFound`.
    """
    now = now or timezone.now()
    wanted, tally = sorted(message_ids), Tally()
    with transaction.atomic():
        hold(connection)
        session = Session.objects.locked(session_id)
        pieces = batched(wanted, MESSAGES_AT_ONCE)
        return sum(drop_messages(session, piece, tally, by=by, now=now) for piece in pieces)
