"""Writes records through the verbs that every door uses. What is there already is not written again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.utils import timezone

from sessions import compaction, transcripts
from sessions.exceptions import Conflict
from sessions.importers.changes import Change, ImportedCheckpoint, ImportedLines, ImportedRemoval
from sessions.importers.known import KnownMessages
from sessions.importers.mirror import fitting, is_moot, is_other_life, mirror, rewrite
from sessions.importers.records import (
    ImportedCompaction,
    ImportedLink,
    ImportedMessage,
    ImportedSession,
    Record,
    Usage,
)
from sessions.importers.written import BY, Written
from sessions.models import Checkpoint, Mode, Outcome, PurgedMessages, PurgedSession, Session, Status, TokenCounts

if TYPE_CHECKING:
    from django.contrib.auth.models import User

BATCH_SIZE = 200


@dataclass(slots=True)
class _Place:
    """One session of this import: its row, what it holds, and the messages that are not written yet.

    Of each the store's own record is kept, too: others may write a part of it first. `newest` is the last message that
    was there when it was asked what the session holds, or that was written from here.
    """

    session: Session
    newest: int
    known: KnownMessages
    pending: list[tuple[ImportedMessage, transcripts.MessageDraft]] = field(default_factory=list)
    clock: datetime | None = None


class Store:
    """Writes the records of one import, for one owner and source.

    Call `flush` after each file or piece of one; until then up to `BATCH_SIZE` messages a session wait. Stopping in
    between loses nothing: the next import writes what is missing.
    """

    def __init__(
        self, *, owner: "User", source: str, written: Written | None = None, brings_back: bool = False
    ) -> None:
        """Begin; what is written is added to `written`, which several stores may share.

        One that `brings_back` makes sessions again that were destroyed here.
        """
        self.written = written or Written()
        self._brings_back = brings_back
        self._owner = owner
        self._source = source
        self._places: dict[str, _Place] = {}
        self._links: dict[str, ImportedLink] = {}

    def write(self, records: Iterable[Record | Change]) -> None:
        """Take records in order."""
        for record in records:
            if isinstance(record, ImportedSession):
                self._write_session(record)
            elif isinstance(record, ImportedMessage):
                self._write_message(record)
            elif isinstance(record, ImportedCompaction):
                self._write_compaction(record)
            elif isinstance(record, ImportedLink):
                self._write_link(record)
            else:
                self._write_change(record)

    def flush(self) -> None:
        """Write all messages that wait."""
        for place in self._places.values():
            self._append(place)

    def forget(self) -> None:
        """Drop what waits and what is known of the sessions: after a failure the tables are asked again."""
        self._places.clear()

    def _write_session(self, record: ImportedSession) -> None:
        """Create the session, or let the one that is there learn what is new."""
        place = self._places.get(record.key)
        session = place.session if place else self._find(record.key, of=record)
        if session is not None and is_other_life(session, record):
            self._end_life(session, record)
            place = session = None
        if session is not None:
            self._update(session, record)
        elif not record.is_empty and record.key not in self.written.deleted_sessions | self.written.foreign_sessions:
            session = self._create(record)
        if session is not None and place is None:
            self._places[record.key] = _Place(session, _newest_of(session), _known_of(session))

    def _find(self, key: str, *, of: ImportedSession | None = None) -> Session | None:
        """Return the session with this key; one that a person deleted is noted and stays deleted, destroyed or not.

        So is one that an agent keeps here itself, where the record owns its key: it stays as it is. A record that has
        an id finds its session by that, whatever its key and source.
        """
        if of is not None and of.uuid is not None:
            known = Session.objects.filter(owner=self._owner, uuid=of.uuid).first()
            if known is not None and known.is_deleted:
                self.written.deleted_sessions.add(key)
            if known is not None:
                return None if known.is_deleted else known
        session = Session.objects.with_key(owner=self._owner, source=self._source, key=key).first()
        if session is None:
            if self._is_deleted(key, of=of):
                self.written.deleted_sessions.add(key)
        elif of is not None and of.owns_key and not session.is_imported:
            self.written.foreign_sessions.add(key)
            return None
        return session

    def _is_deleted(self, key: str, *, of: ImportedSession | None) -> bool:
        """Say whether the session was deleted here, softly or for good; a key may have had other lives before."""
        since = of.created_at if of is not None and of.is_one_life else None
        rows = Session.objects.filter(owner=self._owner, source=self._source, key=key, status=Status.DELETED)
        if (rows if since is None else rows.filter(created_at__gte=since)).exists():
            return True
        uuid = of.uuid if of is not None else None
        return not self._brings_back and PurgedSession.objects.has(
            owner=self._owner, source=self._source, key=key, uuid=uuid, since=since
        )

    def _end_life(self, session: Session, record: ImportedSession) -> None:
        """Delete the session, softly, for one that began under its key later; an older one is left out."""
        self._places.pop(record.key, None)
        if record.created_at is not None and record.created_at < session.created_at:
            self.written.deleted_sessions.add(record.key)
        else:
            self.written.removed_sessions += self._remove(session)

    @staticmethod
    def _remove(session: Session) -> bool:
        return session.remove(by=BY)

    def _create(self, record: ImportedSession) -> Session | None:
        """Create a session, and its parent before it when that has not been read yet.

        One that somebody else has made meanwhile is looked up again.
        """
        link = self._links.get(record.key)
        parent_key = link.parent_key if link else record.parent_key
        facts: dict[str, Any] = {
            "key": record.key,
            "project_root": record.project_root,
            "title": record.title,
            "is_title_derived": record.is_title_derived and record.title is not None,
            "model": record.model,
            "parent": self._parent(parent_key, record) if parent_key else None,
            "parent_tool_call_id": record.parent_tool_call_id or (link.parent_tool_call_id if link else None),
            "created_at": record.created_at,
            "mode": Mode.named(record.mode or ""),
            "visibility": record.visibility,
            "uuid": record.uuid,
            "is_imported": True,
        }
        agent_name = (link.agent_name if link else None) or record.agent_name
        said = {name: value for name, value in facts.items() if value is not None}
        try:
            started = Session.objects.start(owner=self._owner, source=self._source, agent_name=agent_name, **said)
        except Conflict:
            other = self._find(record.key, of=record)
            if other is None and record.key not in self.written.deleted_sessions | self.written.foreign_sessions:
                raise
            return other
        self.written.sessions += started.is_new
        return started.session

    def _parent(self, key: str, child: ImportedSession) -> Session | None:
        """Return the parent of `child`, created with what the child knows of it when its own file comes later."""
        session = self._find(key)
        if session is not None or key in self.written.deleted_sessions:
            return session
        return self._create(
            ImportedSession(
                key=key, agent_name=self._source, project_root=child.project_root, created_at=child.created_at
            )
        )

    def _update(self, session: Session, record: ImportedSession) -> None:
        """Let the session have a better title, another model, its parent call; a title that a person gave stays."""
        changes: dict[str, Any] = {}
        edited = session
        is_other = record.title not in {None, session.title}
        is_named = bool(record.title or session.title) and (is_other or not session.is_title_derived)
        is_unnamed = record.is_title_derived and is_named
        is_better = is_other and not record.is_title_derived
        if record.is_settled and (is_unnamed or is_better) and not _was_renamed(session):
            if is_unnamed:
                edited = session.unname(prompt=_first_prompt(session, record), by=BY)
            else:
                changes["title"] = record.title
        if record.is_settled and record.model not in {None, session.model}:
            changes["model"] = record.model
        mode = Mode.named(record.mode or "")
        if mode is not None and session.trusted_at_most(mode) != session.mode:
            changes["mode"] = mode
        if record.parent_tool_call_id is not None and session.parent_tool_call_id is None:
            changes["parent_tool_call_id"] = record.parent_tool_call_id
        if changes:
            edited = edited.edit(by=BY, is_title_derived=record.is_title_derived, **changes)
        if record.key in self._places:
            self._places[record.key].session = edited

    def _write_link(self, link: ImportedLink) -> None:
        """Tie a session to its call, now or when it comes."""
        self._links[link.session_key] = link
        session = self._find(link.session_key)
        if session is not None and session.parent_tool_call_id is None:
            session.edit(by=BY, parent_tool_call_id=link.parent_tool_call_id)

    def _write_message(self, message: ImportedMessage) -> None:
        """Keep the message, or what of it is new, for the next batch."""
        place = self._places.get(message.session_key)
        if place is None:
            return
        place.clock = message.created_at or place.clock or place.session.created_at
        is_newest = place.known.is_newest(message)
        fresh = place.known.take(message)
        if fresh is None:
            self.written.known_messages += 1
            if message.may_change and is_newest:
                self._append(place)
                self.written.changed_messages += self._rewrite(place.session, message)
            return
        place.pending.append((message, _draft(fresh, at=place.clock)))
        if len(place.pending) >= BATCH_SIZE:
            self._append(place)

    @staticmethod
    def _rewrite(session: Session, message: ImportedMessage) -> bool:
        """Let a message that is here say what it says there; say whether it said something else."""
        return rewrite(session, message)

    def _append(self, place: _Place) -> None:
        """Write the messages of one session that wait, in one transaction, but for what others wrote meanwhile."""
        if not place.pending:
            return
        with transaction.atomic():
            if Session.objects.locked(place.session.pk).messages.filter(pk__gt=place.newest).exists():
                self._take_again(place)
            appended = transcripts.append(place.session.pk, [draft for _, draft in place.pending], any_role=True)
        self.written.messages += len(appended.ids) - appended.duplicates
        self.written.known_messages += appended.duplicates
        place.newest = max([place.newest, *appended.ids])
        place.pending.clear()

    def _take_again(self, place: _Place) -> None:
        """Keep of the messages that wait what is new now that others have written to the session."""
        waiting, place.pending = place.pending, []
        place.known = _known_of(place.session)
        for message, draft in waiting:
            fresh = place.known.take(message)
            if fresh is None:
                self.written.known_messages += 1
            else:
                place.pending.append((message, _draft(fresh, at=draft.created_at or place.session.created_at)))

    def _write_compaction(self, record: ImportedCompaction) -> None:
        """Archive what came before; the summary follows as a message of its own."""
        place = self._places.get(record.session_key)
        if place is None:
            return
        self._append(place)
        archived = compaction.note_border(
            place.session.pk,
            trigger=record.trigger,
            pre_tokens=record.pre_tokens,
            at=record.at,
            event_id=record.client_id,
        )
        self.written.compactions += archived > 0

    def _write_change(self, change: Change) -> None:
        """Mirror a change of what was written before; a session that is not here has nothing to change."""
        place = self._places.get(change.session_key)
        if place is not None and not is_moot(place.session, change):
            self._append(place)
            mirror(place.session, change, written=self.written)
            if isinstance(change, ImportedLines):
                place.known = _known_of(place.session)  # lines that are gone may come anew
        if isinstance(change, ImportedRemoval):
            self._places.pop(change.session_key, None)


class DryStore(Store):
    """Counts what a `Store` would write, and writes nothing."""

    @staticmethod
    def _remove(_session: Session) -> bool:
        return True

    @staticmethod
    def _rewrite(_session: Session, _message: ImportedMessage) -> bool:
        return False

    def _create(self, record: ImportedSession) -> Session:
        self.written.sessions += 1
        return Session(owner=self._owner, source=self._source, key=record.key, created_at=timezone.now())

    def _update(self, session: Session, record: ImportedSession) -> None:
        """Leave the session as it is."""

    def _write_link(self, link: ImportedLink) -> None:
        """Leave the session as it is."""

    def _append(self, place: _Place) -> None:
        self.written.messages += len(place.pending)
        place.pending.clear()

    def _write_compaction(self, record: ImportedCompaction) -> None:
        """Archive nothing."""

    def _write_change(self, change: Change) -> None:
        """Mirror nothing; count the checkpoints that are not here."""
        if isinstance(change, ImportedCheckpoint) and change.session_key in self._places:
            self.written.checkpoints += not Checkpoint.objects.filter(uuid=change.uuid).exists()


def _newest_of(session: Session) -> int:
    """Return the last message that the session holds."""
    return Session.objects.filter(pk=session.pk).aggregate(newest=models.Max("messages"))["newest"] or 0


def _known_of(session: Session) -> KnownMessages:
    """Return which messages the session holds, and which it held."""
    return KnownMessages(_client_ids(session), purged=PurgedMessages.objects.ids_of(session))


def _client_ids(session: Session) -> Iterator[str]:
    """Yield the client ids of the messages that the session holds."""
    if session.pk is not None:
        ids = session.messages.exclude(client_id=None).values_list("client_id", flat=True)
        yield from (str(client_id) for client_id in ids.iterator())


def _draft(message: ImportedMessage, *, at: datetime) -> transcripts.MessageDraft:
    """Return the message as the verb takes it."""
    return transcripts.MessageDraft(
        role=message.role,
        content=message.content and fitting(message.content),
        thinking=message.thinking and fitting(message.thinking),
        tool_calls=message.raw_tool_calls if message.raw_tool_calls is not None else list(message.tool_calls) or None,
        tool_call_id=message.tool_call_id,
        usage=_counts(message.usage) if message.usage else None,
        agent_name=message.agent_name,
        model=message.model,
        client_id=message.client_id,
        created_at=at,
        outcome=_outcome(message),
    )


def _counts(usage: Usage) -> TokenCounts:
    """Return the five counts as the verb takes them."""
    return TokenCounts(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_creation_tokens=usage.cache_creation_tokens,
        thinking_tokens=usage.thinking_tokens,
    )


def _outcome(message: ImportedMessage) -> str | None:
    """Return how the call ended that this message answers, None when the store does not say: its text decides."""
    if message.is_error is None:
        return None
    if message.is_rejected:
        return Outcome.REJECTED.value
    return Outcome.FAILED.value if message.is_error else Outcome.SUCCESS.value


def _first_prompt(session: Session, record: ImportedSession) -> str:
    """Return the prompt by which the session is called: one that was purged here is not told any more."""
    if not session.purged_messages.exists():
        return record.title or ""
    return next((text for _, text in session.messages.all().first_prompts()), "")


def _was_renamed(session: Session) -> bool:
    """Say whether somebody else than an importer has set the title; a purge that makes it anew has not."""
    payloads = session.events.filter(type="server.session_edited").values_list("payload", flat=True)
    given = (payload for payload in payloads if "is_title_derived" not in payload)
    return any("title" in payload.get("changes", {}) and payload.get("by") != BY for payload in given)
