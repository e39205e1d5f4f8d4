"""The log: what happened to a session, in order, with no gaps. It is the truth that screens follow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models

from sessions import redaction
from sessions.models.among import AmongTexts, in_json
from sessions.models.fields import WrittenJSONField, dump_json
from sessions.models.prepared import Place, prepared
from sessions.models.writing import born, insert

if TYPE_CHECKING:
    from sessions.models.session import Session

SERVER_PREFIX = "server."
"""Types of the server's own events begin with this; an agent may not send such a type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """An event before it has a `seq`.

    `payload` holds the fields as sent, without the envelope (`type`, `event_id`, `at`, `turn_id`).
    `part_lengths` holds the lengths in characters of the deltas that were joined into this one.
    `aliases` holds the event ids of the joined deltas after the first.
    """

    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    event_id: str | None = None
    at: datetime | None = None
    turn_id: str | None = None
    part_lengths: list[int] | None = None
    aliases: tuple[str, ...] = ()

    def cleaned(self) -> "EventDraft":
        """Return the event as it may be stored (KODA_REDACT).

        A secret of which one batch of deltas has the beginning and the next the end is not seen in them.
        """
        payload = redaction.clean(self.payload)
        if payload == self.payload:
            return self
        if self.part_lengths is None:
            return replace(self, payload=payload)
        # Joined deltas are told apart by the lengths of the words they had: now all of it is the first one's.
        whole = len(payload.get("text", ""))
        return replace(self, payload=payload, part_lengths=[whole, *[0] * (len(self.part_lengths) - 1)])


def is_conclusion(drafts: Sequence[EventDraft]) -> bool:
    """Say whether these change nothing of what anybody said: `updated_at`, by which clients choose, stays."""
    return bool(drafts) and all(draft.type in _CONCLUSIONS or _tells_of_a_made_title(draft) for draft in drafts)


def _tells_of_a_made_title(draft: EventDraft) -> bool:
    """Say whether this tells of nothing but a title that nobody gave (`TitledSession.title_made_anew`)."""
    is_made = draft.type == "server.session_edited" and "is_title_derived" in draft.payload
    return is_made and list(draft.payload["changes"]) == ["title"]


REMINDED = "server.reminded"
"""Tells that a person was reminded of what a session waits for."""
_READ_AT_ONCE = 20
_CONCLUSIONS = frozenset({
    "server.liveness_changed", REMINDED, "server.session_seen", "server.messages_purged", "server.events_purged",
    "server.session_recounted",
})  # fmt: skip


class EventQuerySet(models.QuerySet["Event"]):
    """Rows of the log."""

    def after(self, seq: "int | Place") -> "EventQuerySet":
        """Return the events of the log after `seq`, oldest first."""
        return self.filter(seq__gt=seq).order_by("seq")

    def told_by_agents(self) -> "EventQuerySet":
        """Return what agents told: all but the server's own events, which stay as long as their session."""
        return self.filter(
            ~models.Q(type__startswith=SERVER_PREFIX) | models.Q(type=f"{SERVER_PREFIX}activity_changed")
        )

    def changes(self) -> "EventQuerySet":
        """Return what moved `updated_at`: all but conclusions."""
        return self.exclude(type__in=_CONCLUSIONS)

    def liveness_changes(self) -> "EventQuerySet":
        """Return the events that the ribbon is drawn from."""
        return self.filter(type=f"{SERVER_PREFIX}liveness_changed")


_EventManager = models.Manager.from_queryset(EventQuerySet)


class EventManager(_EventManager["Event"]):
    """Birth of events; only `Session.record` calls it, under the session's lock."""

    def append(self, session: "Session", drafts: list[EventDraft], *, first_seq: int, now: datetime) -> list["Event"]:
        """Insert `drafts` with consecutive seqs from `first_seq` and return the rows."""
        events = [
            born(
                Event,
                session_id=session.pk,
                seq=first_seq + offset,
                type=draft.type,
                payload=draft.payload,
                event_id=draft.event_id or None,
                at=draft.at,
                turn_id=draft.turn_id,
                part_lengths=draft.part_lengths,
                received_at=now,
            )
            for offset, draft in enumerate(drafts)
        ]
        insert(events)
        insert(
            EventAlias(session=session, event_id=alias, seq=event.seq)
            for event, draft in zip(events, drafts, strict=True)
            for alias in draft.aliases
        )
        return events

    def told_after(self, session_id: int, seq: int) -> Iterator["Event"]:
        """Yield the events of a session's log after `seq`, the oldest first, a few read at a time: one may be large."""
        while events := _after(session_id, seq):
            yield from events
            if len(events) < _READ_AT_ONCE:
                return
            seq = events[-1].seq

    def forget(self, session: "Session", rows: "list[tuple[int, int, str | None]]") -> int:
        """Destroy events given as (pk, seq, event id), so that a repeat of their ids is still known; return how many.

        The caller holds the session's lock.
        """
        aliases = [EventAlias(session=session, event_id=event_id, seq=seq) for _, seq, event_id in rows if event_id]
        EventAlias.objects.bulk_create(aliases, ignore_conflicts=True)
        return self.filter(pk__in=[pk for pk, _, _ in rows]).delete()[0]

    def known_ids(self, session: "Session", event_ids: list[str]) -> dict[str, int]:
        """Return the seq of each of `event_ids` that this session already holds."""
        if not event_ids:
            return {}
        asked = session.pk, in_json(event_ids)
        return {str(event_id): seq for event_id, seq in (*_held(*asked), *_held_as_alias(*asked))}


class Event(models.Model):
    """One fact of a session. Points to records by the ids in its payload and never copies their text."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="events", db_index=False)
    seq = models.BigIntegerField(help_text="From 1 without gaps, per session.")
    type = models.CharField(max_length=100)
    payload = WrittenJSONField(default=dict)
    event_id = models.TextField(null=True, blank=True, help_text="The sender's own id.")
    at = models.DateTimeField(null=True, blank=True, help_text="The sender's clock; shown, never judged by.")
    turn_id = models.TextField(null=True, blank=True)
    part_lengths = WrittenJSONField(null=True, blank=True)
    received_at = models.DateTimeField()

    objects = EventManager()

    class Meta:
        """Every reader asks for one session's events after a seq; dedupe asks by the sender's id."""

        constraints = [
            models.UniqueConstraint(fields=["session", "seq"], name="event_seq_once"),
            models.UniqueConstraint(
                fields=["session", "event_id"], condition=models.Q(event_id__isnull=False), name="event_id_once"
            ),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="event_seq_from_one"),
            models.CheckConstraint(condition=~models.Q(type=""), name="event_has_type"),
        ]
        indexes = [
            # The ribbon of one session's liveness.
            models.Index(
                fields=["session", "seq"],
                condition=models.Q(type=f"{SERVER_PREFIX}liveness_changed"),
                name="event_liveness",
            ),
            # The sparkline of the wall and the purge by age.
            models.Index(fields=["received_at"], name="event_received_at"),
        ]

    def __str__(self) -> str:
        """Return seq and type."""
        return f"{self.seq} {self.type}"

    @property
    def output(self) -> str | None:
        """Return the output of a call that this event tells of, as text; None when it tells none."""
        output = self.payload.get("output")
        return output if isinstance(output, str) or output is None else dump_json(output)

    @property
    def is_from_server(self) -> bool:
        """Say whether the server itself recorded this."""
        return self.type.startswith(SERVER_PREFIX)

    def forget_reason(self) -> None:
        """Drop the reason of a change of liveness: it may quote what the agent did."""
        if self.payload.get("reason"):
            self.payload["reason"] = ""
            self.save(update_fields=["payload"])

    def parts(self) -> list[str]:
        """Return the text of a joined run of deltas as it was sent, part by part."""
        text = str(self.payload.get("text", ""))
        if not self.part_lengths:
            return [text]
        parts, start = [], 0
        for length in self.part_lengths:
            parts.append(text[start : start + length])
            start += length
        return parts


class EventAlias(models.Model):
    """A sender's id without an event of its own, kept so that a repeat is recognised.

    Of a delta that was joined into an earlier event, or of an event that a purge destroyed.
    """

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+", db_index=False)
    event_id = models.TextField()
    seq = models.BigIntegerField()

    class Meta:
        """Asked by session and id only."""

        constraints = [models.UniqueConstraint(fields=["session", "event_id"], name="event_alias_once")]

    def __str__(self) -> str:
        """Return the alias and its seq."""
        return f"{self.event_id} → {self.seq}"


@prepared
def _after(session_id: Place, seq: Place) -> EventQuerySet:
    return Event.objects.filter(session=session_id).after(seq)[:_READ_AT_ONCE]


@prepared
def _held(session_id: Place, event_ids: Place) -> "models.QuerySet[Event, tuple[str | None, int]]":
    return Event.objects.filter(AmongTexts("event_id", event_ids), session=session_id).values_list("event_id", "seq")


@prepared
def _held_as_alias(session_id: Place, event_ids: Place) -> "models.QuerySet[EventAlias, tuple[str, int]]":
    rows = EventAlias.objects.filter(AmongTexts("event_id", event_ids), session=session_id)
    return rows.values_list("event_id", "seq")
