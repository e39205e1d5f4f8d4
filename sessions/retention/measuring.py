"""Measuring one session: what came since the last time is added to what was there, however long the session is.

An agent's session is measured every few seconds while it works, so that must cost by what it adds. The log tells what
else happened: after an event that does more than add, all records of the session are read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.db import models
from django.db.models import Count, Exists, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import JSONObject

from sessions.models import Checkpoint, CheckpointPiece, Event, Footprint, Message, Session
from sessions.models.event import SERVER_PREFIX
from sessions.models.message import octets_of

_CHECKPOINT_ADDED = f"{SERVER_PREFIX}checkpoint_added"
_ADDING = {_CHECKPOINT_ADDED} | {
    f"{SERVER_PREFIX}{name}"
    for name in (
        "activity_changed", "command_acknowledged", "command_requested", "commands_delivered", "file_disowned",
        "file_owned", "liveness_changed", "loop_noticed", "messages_added", "metadata_dropped", "metadata_set",
        "reminded", "session_edited", "session_seen", "state_changed", "turn_abandoned", "usage_noted",
    )
}  # fmt: skip
"""The server's own events after which messages, events and checkpoints are what they were, and some more.

So are all that agents send. What is not named here may have taken something away.
"""

_PAYLOAD = octets_of("payload")
_WORDS = octets_of("content", "thinking", "tool_calls")
_IS_ARCHIVED = Q(compacted_at__isnull=False)
_OF_EVENTS = {"seq_to": Max("seq"), "log_size": Sum(_PAYLOAD)}
_OF_MESSAGES = {
    "message_to": Max("pk"), "messages": Count("pk"), "log_size": Sum(_WORDS),
    "archived": Count("pk", filter=_IS_ARCHIVED), "archived_size": Sum(_WORDS, filter=_IS_ARCHIVED, default=0),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What is there of one session; sizes are bytes of text. Messages and events together are `log_size`."""

    messages: int = 0
    archived: int = 0
    archived_size: int = 0
    log_size: int = 0
    checkpoints: int = 0
    checkpoint_size: int = 0

    def plus(self, more: Mapping[str, int]) -> "Amounts":
        """Return these and what is given by name."""
        return replace(self, **{name: getattr(self, name) + count for name, count in more.items()})


@dataclass(slots=True)
class _Measured:
    """What is there up to a message and the event with this seq."""

    message_to: int = 0
    seq_to: int = 0
    amounts: Amounts = field(default_factory=Amounts)

    def add(self, found: Mapping[str, int]) -> None:
        """Go on: to the places that are among `found`, and by all else that is."""
        more = dict(found)
        self.message_to = more.pop("message_to", self.message_to)
        self.seq_to = more.pop("seq_to", self.seq_to)
        self.amounts = self.amounts.plus(more)


def footprints(ids: Sequence[int]) -> list[Footprint]:
    """Return the footprints that some sessions have now, not saved, in six queries at most."""
    found: dict[int, _Measured] = {}
    grown = []
    for row in _since(ids):
        if row.amounts is None or row.is_deleted or row.is_touched:
            continue
        found[row.pk] = one = _Measured(row.message_to or 0, row.seq_to or 0, Amounts(**row.amounts))
        one.add(row.events or {})
        one.add(row.messages or {})
        if row.has_checkpoints:
            grown.append(row.pk)
    return _footprints(ids, found, grown)


def footprints_anew(ids: Sequence[int]) -> list[Footprint]:
    """Return the same from all records, whatever was measured before."""
    return _footprints(ids, {}, [])


def _since(ids: Sequence[int]) -> Iterable[Any]:
    """Return the footprints of these sessions, with what was told and written since they were measured.

    One that is being destroyed loses records without a word; nobody goes on from its footprint.
    """
    told = Event.objects.filter(session=OuterRef("pk"), seq__gt=OuterRef("seq_to")).order_by()
    written = Message.objects.filter(session=OuterRef("pk"), pk__gt=OuterRef("message_to")).order_by()
    return Footprint.objects.filter(pk__in=ids).annotate(
        is_touched=Exists(told.filter(type__startswith=SERVER_PREFIX).exclude(type__in=_ADDING)),
        has_checkpoints=Exists(told.filter(type=_CHECKPOINT_ADDED)),
        events=Subquery(told.values("session").annotate(found=JSONObject(**_OF_EVENTS)).values("found")),
        messages=Subquery(written.values("session").annotate(found=JSONObject(**_OF_MESSAGES)).values("found")),
    )


def _footprints(ids: Sequence[int], known: Mapping[int, _Measured], grown: Sequence[int]) -> list[Footprint]:
    """Measure the rest from the first record; of those in `grown`, all checkpoints.

    Events are read before what they tell of, so that what happens meanwhile is told the next time.
    """
    found: dict[int, _Measured] = defaultdict(_Measured, known)
    anew = [pk for pk in ids if pk not in known]
    if anew:
        for model, figures in ((Event, _OF_EVENTS), (Message, _OF_MESSAGES)):
            _add(found, model, anew, **figures)
    for pk in grown:  # The newest piece of what checkpoints share is written again as it grows.
        found[pk].amounts = replace(found[pk].amounts, checkpoints=0, checkpoint_size=0)
    if anew or grown:
        _add(found, Checkpoint, [*anew, *grown], checkpoints=Count("pk"), checkpoint_size=Sum(octets_of("rest")))
        _add(found, CheckpointPiece, [*anew, *grown], checkpoint_size=Sum(octets_of("text")))
    sessions = Session.objects.filter(pk__in=ids).only("owner_id", "source", "project_root", "status", "created_at")
    return [_footprint(session, found[session.pk]) for session in sessions]


def _add(found: Mapping[int, _Measured], model: type[models.Model], ids: Sequence[int], **figures: Any) -> None:
    """Add the figures of all rows that these sessions have of a model."""
    rows: Any = model._base_manager.filter(session__in=ids).order_by().values("session")  # noqa: SLF001 - Django's own
    for row in rows.annotate(**figures):
        found[row["session"]].add({name: row[name] for name in figures})


def _footprint(session: Session, measured: _Measured) -> Footprint:
    amounts = measured.amounts
    return Footprint(
        session=session,
        owner_id=session.owner_id,
        source=session.source,
        project_root=session.project_root or "",
        is_deleted=session.is_deleted,
        message_count=amounts.messages,
        archived_count=amounts.archived,
        checkpoint_count=amounts.checkpoints,
        size=amounts.log_size + amounts.checkpoint_size,
        archived_size=amounts.archived_size,
        born_at=session.created_at,
        message_to=measured.message_to,
        seq_to=measured.seq_to,
        amounts=asdict(amounts),
    )
