"""Writes changes of what was imported before, each through the verb that is made for it; a repeat changes nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from sessions import checkpoints, compaction, protocol, redaction, retention, revisions
from sessions.exceptions import InvalidRequest, TooLarge
from sessions.importers.changes import (
    Change,
    ImportedArchive,
    ImportedCheckpoint,
    ImportedDate,
    ImportedEvents,
    ImportedExtent,
    ImportedFiles,
    ImportedLines,
    ImportedMetadata,
    ImportedRemoval,
    ImportedTurn,
)
from sessions.importers.fields import cut
from sessions.importers.known import row_number
from sessions.importers.records import ImportedMessage, ImportedSession
from sessions.importers.written import BY, Written
from sessions.models import Checkpoint, EventDraft, File, Metadata, PurgedMessages, Session
from sessions.models.exact_json import load_exact
from sessions.models.fields import clean_text

FAILED = "The program did not say why."
"""The message of a turn that its store calls failed and says no more of."""


def is_moot(session: Session, change: Change) -> bool:
    """Say whether `change` ends a turn that does not run here: of history that is so with all of them."""
    if not isinstance(change, ImportedTurn) or change.step == "starts":
        return False
    return not session.is_running or change.turn_id not in {None, session.turn_id}


def is_other_life(session: Session, record: ImportedSession) -> bool:
    """Say whether the store has used the session's key again, for one that began at another time."""
    return record.is_one_life and record.created_at is not None and record.created_at != session.created_at


def rewrite(session: Session, message: ImportedMessage) -> bool:
    """Let the message that came from this row say what the row says now; say whether it said something else."""
    row = session.messages.filter(client_id=message.client_id).first()
    if row is None or (row.role, row.content) == (message.role, message.content and _as_stored(message.content)):
        return False
    content = message.content and fitting(message.content)
    return revisions.replace(session.pk, message_id=row.pk, role=message.role, content=content, by=BY)


def fitting(text: str) -> str:
    """Return a text cut to what one content of this server may have."""
    return cut(text, longest=settings.KODA_MAX_CONTENT)


def _as_stored(text: str) -> str:
    """Return a text as the tables keep it, to compare it with what they hold."""
    stored: str = redaction.clean(clean_text(fitting(text)))
    return stored


def mirror(session: Session, change: Change, *, written: Written) -> None:
    """Let `session` be as its own store has it, all its messages being written; count what that changes."""
    if isinstance(change, ImportedArchive):
        archived = compaction.archive_rows(session.pk, client_ids=change.client_ids, at=change.at, by=BY)
        written.compactions += archived > 0
    elif isinstance(change, ImportedExtent | ImportedLines):
        written.removed_messages += _drop_what_is_gone(session, change)
    elif isinstance(change, ImportedCheckpoint):
        _keep_checkpoint(session, change, written=written)
    elif isinstance(change, ImportedRemoval):
        written.removed_sessions += session.remove(by=BY)
    else:
        _PLAIN[type(change)](session, change)


def _drop_what_is_gone(session: Session, left: ImportedExtent | ImportedLines) -> int:
    """Destroy the messages that came from rows or lines which are no longer there; return how many.

    Lines that are gone may come anew, also those that were purged here before.
    """
    known = session.messages.exclude(client_id=None).values_list("pk", "client_id")
    gone = [pk for pk, client_id in known.iterator() if _is_gone(str(client_id), left)]
    count = retention.drop_rows(session.pk, message_ids=gone, by=BY) if gone else 0
    if isinstance(left, ImportedLines):
        with transaction.atomic():
            PurgedMessages.objects.keep_only(Session.objects.locked(session.pk), left.client_ids)
    return count


def _is_gone(client_id: str, left: ImportedExtent | ImportedLines) -> bool:
    """Say whether a message came from the store that tells what is left, and is not in it."""
    if isinstance(left, ImportedLines):
        return client_id.startswith(left.prefix) and client_id not in left.client_ids
    row = row_number(client_id)
    return row is not None and row <= left.newest_row and row not in left.rows


def _put_metadata(session: Session, metadata: ImportedMetadata) -> None:
    """Set the values that differ."""
    present = dict(Metadata.objects.filter(session=session).values_list("key", "value"))
    for key, value in metadata.values.items():
        if present.get(key) != _as_stored(value):
            Metadata.objects.put(session, key, fitting(value))


def _own_files(session: Session, files: ImportedFiles) -> None:
    """Own the files that are new and disown those that are gone."""
    present = set(session.files.values_list("path", flat=True))
    for path in files.paths:
        if path not in present:
            File.objects.own(session, path)
    for path in present.difference(files.paths):
        File.objects.disown(session, path)


def _keep_events(session: Session, events: ImportedEvents) -> None:
    """Keep the events in the log."""
    drafts = [
        EventDraft(type=event.type, payload=event.payload, event_id=event.event_id, at=event.at)
        for event in events.events
    ]
    protocol.keep(session.pk, drafts)


def _date(session: Session, date: ImportedDate) -> None:
    """Let lists go by when its own store changed the session, and not by when we read that."""
    session.date(date.at, by=BY)


def _keep_checkpoint(session: Session, change: ImportedCheckpoint, *, written: Written) -> None:
    """Keep a checkpoint that is not here yet. A state that is none has no messages, as its own program reads it."""
    if Checkpoint.objects.filter(uuid=change.uuid).exists():
        return
    known = change.parent is not None and Checkpoint.objects.filter(session=session, uuid=change.parent).exists()
    parent = change.parent if known else None
    add = partial(checkpoints.add, session.pk, by=BY, parent=parent, uuid=change.uuid, at=change.at)
    before = session.messages.count()
    try:
        add(checkpoints.State.of(load_exact(change.state or "{}")))
    except (ValueError, RecursionError, TypeError, InvalidRequest, TooLarge):
        add(checkpoints.State(), unread=change.state)
    written.checkpoints += 1
    written.messages += session.messages.count() - before


def _take_turn(session: Session, turn: ImportedTurn) -> None:
    """Begin a turn, or end the one that runs."""
    if turn.step == "starts":
        assert turn.turn_id is not None
        start = EventDraft(type="turn_start", turn_id=turn.turn_id, event_id=f"{turn.turn_id}:start")
        protocol.ingest(session.pk, [start])
    elif turn.step in {"completed", "failed"}:
        reason = {"kind": "complete"} if turn.step == "completed" else {"kind": "error", "message": FAILED}
        turn_id = turn.turn_id or session.turn_id
        end = EventDraft(type="turn_end", payload={"reason": reason}, turn_id=turn_id, event_id=f"{turn_id}:end")
        protocol.ingest(session.pk, [end])
    else:
        protocol.abandon(session.pk, by=BY)
    session.refresh_from_db()


_PLAIN: dict[type[Change], Callable[[Session, Any], None]] = {
    ImportedMetadata: _put_metadata,
    ImportedFiles: _own_files,
    ImportedEvents: _keep_events,
    ImportedDate: _date,
    ImportedTurn: _take_turn,
}
"""What changes do of which nothing is counted."""
