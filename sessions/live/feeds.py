"""Feeds: the log of one session after a place, read and put into frames. Run on a reader's thread.

Whoever stands at the same place and gets the same frames shares one reading, so a feed says in its fields all that
the frames depend on.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import Protocol

from django.utils import timezone

from sessions import liveness, transcripts
from sessions.asides import aside
from sessions.live import frames
from sessions.models import Event, Message, Session, ToolCall
from sessions.models.message import with_calls

EVENTS = 200
"""Events that one batch covers at most."""
_MESSAGES_A_READ = 10
_CALLS = 100
"""Calls in older messages that one batch renders again at most, the newest first."""
_BESIDE = frozenset(
    {
        "server.messages_added",
        "server.metadata_set",
        "server.metadata_dropped",
        "server.file_owned",
        "server.file_disowned",
        "turn_start",
        "turn_end",
    }
)
"""Events that may change what stands beside a transcript."""

_REVISIONS = frozenset({"server.message_removed", "server.message_replaced", "server.messages_cleared"})
"""Events that take back what was said."""
_REOPENING = _REVISIONS | {"server.checkpoint_added", "server.history_rewritten"}
"""Events that name calls by `tool_call_ids`."""
_ENTITLING = _REVISIONS | {"server.session_edited"}
"""Events after which a session may be called otherwise; its first messages do that, too."""
_FIRST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a session's log: after the event `seq`, and after `taken` messages that the next event brought."""

    seq: int
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What was found after a place: the frames, where one stands after them, and the session as it was then.

    `session` is None when it has been destroyed. It is read after the rest, so whoever may read it now may have
    the frames. Nothing new gives no frames and the place itself.
    """

    session: Session | None
    texts: tuple[str, ...]
    place: Place


class Feed(Protocol):
    """A way to put a log into frames."""

    def read(self, session_id: int, place: Place) -> Batch:
        """Return the batch after `place`."""


@dataclass(frozen=True, slots=True)
class ProgramFeed:
    """JSON: every event as it came."""

    def read(self, session_id: int, place: Place) -> Batch:
        """Return the events after `place`, each in one frame or more."""
        texts: list[str] = []
        size, seq = 0, place.seq
        for event in islice(Event.objects.told_after(session_id, place.seq), EVENTS):
            of_event = list(frames.event_texts(event))
            texts += of_event
            size += sum(map(len, of_event))
            seq = event.seq
            if size > frames.LIMIT_BYTES:
                break
        return Batch(Session.objects.at_present(session_id), tuple(texts), Place(seq))


@dataclass(frozen=True, slots=True)
class TranscriptFeed:
    """HTML: the fragments of the transcript that the events have changed."""

    can_change: bool

    def read(self, session_id: int, place: Place) -> Batch:
        """Return one batch of fragments, of at most `LIMIT_BYTES` unless a single one is larger."""
        events, session = _news(session_id, place)
        if session is None or not events:
            return Batch(session, (), place)
        draft = _Draft(session, self.can_change, place)
        is_whole = draft.add_messages(events[:EVENTS])
        covered = [event for event in events if event.seq <= draft.place.seq]
        draft.add_revisions(covered)
        draft.add_calls(covered)
        if is_whole and len(events) <= EVENTS:
            draft.add_present()
            draft.add_aside(events)
        draft.add_title(covered)
        return draft.finish()


@dataclass(frozen=True, slots=True)
class LogFeed:
    """HTML: the rows of the events tab."""

    can_change: bool

    def read(self, session_id: int, place: Place) -> Batch:
        """Return one row an event, and the verdict."""
        events, session = _news(session_id, place)
        if session is None or not events:
            return Batch(session, (), place)
        events = events[:EVENTS]
        draft = _Draft(session, self.can_change, Place(events[-1].seq))
        rows = [draft.render("event", event=event) for event in events]
        purged = [event.payload["up_to"] for event in events if event.type == "server.events_purged"]
        gone = [frames.purged_events(max(purged))] if purged else []
        draft.parts = [*gone, frames.appended("ol", "#events", rows)]
        draft.add_verdict()
        return draft.finish()


@dataclass(frozen=True, slots=True)
class VerdictFeed:
    """HTML: how the session is, and why, for who has the whole log; nothing is new but when it was heard of."""

    can_change: bool
    heard_at: datetime

    def read(self, session_id: int, place: Place) -> Batch:
        """Return the verdict; one stays at `place`."""
        session = Session.objects.at_present(session_id)
        if session is None:
            return Batch(None, (), place)
        draft = _Draft(session, self.can_change, place)
        draft.add_verdict()
        return draft.finish()


@dataclass(slots=True)
class _Draft:
    """A batch of fragments in the making."""

    session: Session
    can_change: bool
    place: Place
    now: datetime = field(default_factory=timezone.now)
    parts: list[str] = field(default_factory=list)
    message_ids: list[int] = field(default_factory=list)

    def render(self, name: str, *, oob: str = "", **objects: object) -> str:
        """Return a fragment of this session."""
        return frames.fragment(name, oob=oob, now=self.now, can_change=self.can_change, session=self.session, **objects)

    def add_messages(self, events: list[Event]) -> bool:
        """Append the messages that `events` brought while there is room; say whether all had it."""
        wanted = [(event.seq, index, pk) for event in events for index, pk in enumerate(brought_by(event))]
        wanted = wanted[self.place.taken :]
        shown: list[str] = []
        room = frames.LIMIT_BYTES
        for start in range(0, len(wanted), _MESSAGES_A_READ):
            chunk = wanted[start : start + _MESSAGES_A_READ]
            rows = {row.pk: row for row in Message.objects.shown(pk for _, _, pk in chunk)}
            with_calls(list(rows.values()))
            for seq, index, pk in chunk:
                html = self.render("message", message=rows[pk]) if pk in rows else ""
                room -= len(html.encode())
                if room < 0 and shown:
                    return self._stop(shown, Place(seq - 1, index))
                self.message_ids.append(pk)
                shown += [html] if html else []
        self._stop(shown, Place(events[-1].seq))
        return True

    def _stop(self, shown: list[str], place: Place) -> bool:
        self.parts.append(frames.appended("div", "#transcript", shown))
        self.place = place
        return False

    def add_revisions(self, events: list[Event]) -> None:
        """Take out the messages that `events` destroyed, before others come; render again what they replaced."""
        gone = [event.payload["message_id"] for event in events if event.type == "server.message_removed"]
        parts = [frames.removed_message(pk) for pk in gone]
        purged = [event.payload.get("ranges", []) for event in events if event.type == "server.messages_purged"]
        parts += [frames.purged_messages([*chain.from_iterable(purged)])] if purged else []
        if any(event.type == "server.messages_cleared" for event in events):
            parts = [frames.emptied("transcript")]
        self.parts = [*parts, *self.parts]
        archived = [event.payload["archived_ids"] for event in events if event.type == "server.history_rewritten"]
        self.parts = [*(frames.removed_message(pk) for pks in archived for pk in pks), *self.parts]
        changed = {event.payload["message_id"] for event in events if event.type == "server.message_replaced"}
        if not changed:
            return
        rows = Message.objects.of(self.session.pk).for_transcript().filter(pk__in=changed.difference(self.message_ids))
        self.parts += [self.render("message", oob="morph", message=row) for row in with_calls(list(rows))]

    def add_calls(self, events: list[Event]) -> None:
        """Render the calls again that `events` changed and that stand in a message which the page has already."""
        named = {str(e.payload.get("id")) for e in events if e.type in {"tool_call_start", "tool_call_result"}}
        turns = [event.received_at for event in events if event.type in {"turn_start", "turn_end"}]
        reopened = [pk for event in events if event.type in _REOPENING for pk in event.payload.get("tool_call_ids", ())]
        calls = ToolCall.objects.changed(
            self.session, names=named, ids=reopened, results=self.message_ids, aborted_since=min(turns, default=None),
            limit=_CALLS,
        )  # fmt: skip
        self.parts += [self.render("tool", oob="morph", call=call) for call in calls]

    def add_present(self) -> None:
        """Render what is so now, at the end of the log."""
        self.parts.append(self.render("now", oob="morph", present=transcripts.present(self.session)))
        self.add_verdict()

    def add_verdict(self) -> None:
        """Render how the session is, and why."""
        self.parts.append(self.render("verdict", oob="morph"))
        why = liveness.explain(self.session, self.now)
        self.parts.append(self.render("reason", oob="morph", reason=why))

    def add_title(self, events: list[Event]) -> None:
        """Render what the session is called, when `events` may have changed it."""
        if any(event.type in _ENTITLING or event.seq <= _FIRST_EVENTS for event in events):
            self.parts.append(self.render("title", oob="true"))

    def add_aside(self, events: list[Event]) -> None:
        """Render what stands beside the transcript, when `events` may have changed it."""
        if any(event.type in _BESIDE for event in events):
            found = aside(self.session, can_change=self.can_change)
            self.parts.append(self.render("aside", oob="morph", aside=found))

    def finish(self) -> Batch:
        """Return the batch, with the session as it is after all was read."""
        html = "\n".join([*filter(None, self.parts), frames.cursor(self.place.seq)])
        return Batch(Session.objects.at_present(self.session.pk), (html,), self.place)


def brought_by(event: Event) -> list[int]:
    """Return the ids of the messages that an event tells of, in order."""
    if event.type == "server.messages_added":
        return [int(pk) for pk in event.payload["message_ids"]]
    if event.type == "server.history_rewritten":
        return [int(pk) for pk in event.payload["restored_ids"]]
    if event.type == "server.compacted":
        rows = (event.payload.get("summary_message_id"), event.payload.get("hint_message_id"))
        return [int(pk) for pk in rows if pk is not None]
    return []


def _news(session_id: int, place: Place) -> tuple[list[Event], Session | None]:
    """Return the events after `place`, one more than a batch covers if there are as many, and the session.

    In this order: what the events changed must be seen in the session, or the page would pass it.
    """
    events = list(islice(Event.objects.told_after(session_id, place.seq), EVENTS + 1))
    return events, Session.objects.at_present(session_id)
