"""A copy of a session that is handed out while it is made."""

import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator

from asgiref.sync import sync_to_async

from sessions.exports.formats import Format, pieces_of
from sessions.models import Action, AuditEntry, Session

_PIECE = 64 * 1024
"""Bytes that are worth a way to whoever reads."""
_PATIENCE_SECONDS = 0.25
"""The longest that what is ready waits for more."""


class Copy:
    """An export that is about to be made: what it is, and its name as a file. How large it gets, nobody knows yet."""

    def __init__(self, session: Session, form: Format) -> None:
        self._session = session
        self._form = form
        self.content_type = form.content_type
        self.name = f"session-{session.uuid}.{form.ending}"

    def pieces(self, *, is_async: bool) -> Iterator[bytes] | AsyncIterator[bytes]:
        """Return the copy piece by piece, for a server of either kind, read and made as it is asked for."""
        pieces = _gathered(pieces_of(self._session, self._form))
        return _in_the_thread_of_the_request(pieces) if is_async else pieces


def take(session: Session, form: Format, *, by: str) -> Copy:
    """Return a copy of a session, of which nothing is read yet, and note who takes it."""
    note_taken(session, form, by=by)
    return Copy(session, form)


def note_taken(session: Session, form: Format, *, by: str) -> None:
    """Note in the audit log who took a copy; what is public may be taken by who has not signed in, and is not noted."""
    AuditEntry.objects.note(Action.EXPORTED, by=by, subject=str(session.uuid), format=form.value)


def _gathered(parts: Iterable[bytes]) -> Generator[bytes]:
    """Join small parts; the first goes out at once, and none waits long."""
    held: list[bytes] = []
    size, due = 0, 0.0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= _PIECE or time.monotonic() >= due:
            yield b"".join(held)
            held.clear()
            size, due = 0, time.monotonic() + _PATIENCE_SECONDS
    if held:
        yield b"".join(held)


async def _in_the_thread_of_the_request(pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    """Make each piece where the request's connection to the database lives, and leave that in order."""
    try:
        while piece := await sync_to_async(lambda: next(pieces, b""))():
            yield piece
    finally:
        await sync_to_async(pieces.close)()
