"""A copy of a session that is handed out piece by piece, later than its records are read."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO

from asgiref.sync import sync_to_async

from sessions.exports.formats import Format, pieces_of
from sessions.models import Session

_PIECE = 256 * 1024
_IN_MEMORY = 4 * 1024 * 1024
"""Bytes of a copy that are not put on the disk while they are sent."""


class Copy:
    """A whole export: what it is, its name as a file, and its size in bytes."""

    def __init__(self, session: Session, form: Format, file: IO[bytes], *, size: int) -> None:
        self._file = file
        self.content_type = form.content_type
        self.name = f"session-{session.uuid}.{form.ending}"
        self.size = size

    def pieces(self, *, is_async: bool) -> "Pieces | AsyncPieces":
        """Return the copy piece by piece, for a server of either kind; whoever sends it closes it."""
        return AsyncPieces(self._file) if is_async else Pieces(self._file)


def take(session: Session, form: Format) -> Copy:
    """Return a copy of a session. The connection belongs to this thread, so all is read now; a large one is on disk."""
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (closed when all is sent)
    try:
        file.writelines(pieces_of(session, form))
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    return Copy(session, form, file, size=size)


class Pieces:
    """A file, piece by piece; it is closed at its end, or by the response, however far it has been read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        with self._file as file:
            while piece := file.read(_PIECE):
                yield piece


class AsyncPieces:
    """The same for a server that is async."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.close = file.close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._file as file:
            while piece := await sync_to_async(file.read)(_PIECE):
                yield piece
