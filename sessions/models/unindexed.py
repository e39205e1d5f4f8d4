"""What was written and is not in the search index yet. A queue: rows are taken out by their number, none is skipped.

A cursor over the log would not do: on PostgreSQL a lower number may be committed after a higher one.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.db import models

from sessions.models.prepared import prepared
from sessions.models.search_entry import SearchEntry
from sessions.models.writing import born, insert

if TYPE_CHECKING:
    from sessions.models.event import Event
    from sessions.models.session import Session

_OF_MESSAGES = ("message_ids", "message_id", "summary_message_id", "hint_message_id")
"""Where the payload of the server's own events names messages."""
_OF_THE_SESSION = frozenset({"server.session_created", "server.session_edited", "server.messages_cleared"})
_OF_CALLS = "tool_call_result"
_NEWBORN = frozenset({"server.messages_added", "server.compacted"})
"""Events that name messages nobody can have found yet."""
_REPEATED = frozenset({"owner_id", "visibility", "project_root", "source", "agent_name"})
"""Columns of a session that every entry of it repeats, for the filters."""


class UnindexedManager(models.Manager["Unindexed"]):
    """The queue as a whole."""

    def oldest(self, limit: int) -> list["Unindexed"]:
        """Return the next rows, locked; what another process has in its hands is passed over."""
        return _oldest(limit=limit)

    def is_waiting(self) -> bool:
        """Say whether anything waits, without a lock."""
        return bool(_newest_id())

    def message_count(self) -> int:
        """Return how many messages wait, or a little more: the ids of a stretch may have gaps."""
        return int(_message_count.first() or 0)

    def note(self, session: "Session", events: Sequence["Event"], *, changed: Collection[str] | None) -> None:
        """Queue what these new events of a session changed, one row at most, in their transaction.

        `changed` names the columns that got another value with them; None: the session is new.
        """
        calls = [event.seq for event in events if event.type == _OF_CALLS]
        is_renamed = changed is None or "title" in changed
        is_touched = is_renamed or any(event.type in _OF_THE_SESSION for event in events)
        messages: list[int] = []
        for event in events:
            named = _messages_in(event) if event.is_from_server else []
            messages += named
            if named and event.type not in _NEWBORN:
                SearchEntry.objects.of_messages(named).delete()  # What it said before must not be found any more.
        if changed is not None and not _REPEATED.isdisjoint(changed):
            self._queue_all(session)
        elif messages or calls or is_touched:
            row = born(
                Unindexed, session_id=session.pk, is_of_session=is_touched,
                first_message=min(messages, default=0), last_message=max(messages, default=0),
                first_seq=min(calls, default=0), last_seq=max(calls, default=0),
            )  # fmt: skip
            insert([row])

    def requeue(self, session: "Session") -> None:
        """Forget what the index says of a session and queue all of it, in the caller's transaction."""
        SearchEntry.objects.filter(session=session).delete()
        self._queue_all(session)

    def _queue_all(self, session: "Session") -> None:
        """Queue all of a session in one row; what the index says of it stays until it is said anew."""
        span = session.messages.aggregate(first=models.Min("pk"), last=models.Max("pk"))
        self.create(
            session=session, first_message=span["first"] or 0, last_message=span["last"] or 0,
            first_seq=1, last_seq=session.last_seq,
        )  # fmt: skip


def _messages_in(event: "Event") -> list[int]:
    """Return the ids of the messages whose text an event of the server brought."""
    found: list[int] = []
    for name in _OF_MESSAGES:
        value = event.payload.get(name)
        found += value if isinstance(value, list) else [value] if isinstance(value, int) else []
    return found


class Unindexed(models.Model):
    """A stretch of one session: messages by id, and calls by the seq of the event that brought their result.

    0 means none.
    """

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+")
    first_message = models.BigIntegerField(default=0)
    last_message = models.BigIntegerField(default=0)
    first_seq = models.BigIntegerField(default=0)
    last_seq = models.BigIntegerField(default=0)
    # A default of the database: an older server may still write while a newer one migrates.
    is_of_session = models.BooleanField(
        db_default=True, help_text="Whether by what the session itself is found may have changed."
    )

    objects = UnindexedManager()

    class Meta:
        """Read from the oldest on."""

        verbose_name_plural = "unindexed"

    def __str__(self) -> str:
        """Return the stretch."""
        return f"session {self.session_id}: messages {self.first_message} to {self.last_message}"


@prepared
def _oldest(*, limit: int) -> "models.QuerySet[Unindexed]":
    return Unindexed.objects.select_for_update(skip_locked=True).order_by("pk")[:limit]


@prepared
def _newest_id() -> "models.QuerySet[Unindexed, int]":
    return Unindexed.objects.order_by("-pk").values_list("pk", flat=True)[:1]


@prepared
def _message_count() -> "models.QuerySet[Unindexed, int]":
    count = models.Sum(models.F("last_message") - models.F("first_message") + 1)
    waiting = Unindexed.objects.filter(last_message__gt=0).values(of=models.Value("all")).annotate(count=count)
    return waiting.values_list("count", flat=True)
