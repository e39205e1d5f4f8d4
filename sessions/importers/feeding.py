"""Files to records: whole, or as they grow. Nothing here knows a format or a database."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from sessions.importers import Opener, TableReader, Transcript, detect, discover, paths_below
from sessions.importers.changes import Change
from sessions.importers.lines import LineSplitter, require_utf8
from sessions.importers.records import Record, Tally

CHUNK_BYTES = 256 * 1024
_TAIL_BYTES = 4096
"""What was read last, by which a file that grew is told from one that was written anew in its place."""


class Feed:
    """One file and the reader that has come so far in it."""

    @staticmethod
    def of(transcript: Transcript, *, opener: Opener) -> "Feed":
        """Return the feed of a file, whether it holds lines or tables."""
        kind = TableFeed if transcript.format.opens_tables else Feed
        return kind(transcript, opener=opener)

    def __init__(self, transcript: Transcript, *, opener: Opener) -> None:
        """Begin before the first byte."""
        self.transcript = transcript
        self._opener = opener
        self.restart()

    def restart(self) -> None:
        """Stand before the first byte, with a reader that has seen nothing: the store knows what it has."""
        self._stamp: tuple[int, int, int] | None = None
        self._tail = b""
        self._reader = self._opener.open(self.transcript)
        self._splitter = LineSplitter(longest=settings.KODA_MAX_BODY)
        self._offset = 0
        self._is_settled = True
        self._is_cut = False

    @property
    def tally(self) -> Tally:
        """Return what the reader has met so far."""
        return self._reader.tally

    @property
    def is_settled(self) -> bool:
        """Say whether nothing waits for lines that may still come."""
        return self._is_settled

    def has_news(self) -> bool:
        """Say whether the file was written to or replaced since it was read. Raises `OSError`."""
        state = self.transcript.path.stat()
        return state.st_size != self._offset or self._stamp != _stamp(state)

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Iterator[Record | Change]:
        """Yield the records of the whole lines that are new; `progress` is told the bytes of each piece.

        A file that does not go on where it was read to is read from its start: the store knows what it has. Raises
        `OSError`, or `InvalidRequest` when it is not written in UTF-8.
        """
        with self.transcript.path.open("rb") as file:
            if not self._goes_on(file):
                self.restart()
            file.seek(self._offset)
            self._is_cut = True
            while data := file.read(CHUNK_BYTES):
                if not self._offset:
                    require_utf8(data)
                self._offset += len(data)
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
                self._is_settled = False
                yield from self._reader.read(self._splitter.feed(data))
                progress(len(data))
            self._is_cut = False
            self._stamp = _stamp(os.fstat(file.fileno()))

    def _goes_on(self, file: BinaryIO) -> bool:
        """Say whether it is the file that was read, up to there as it was: one in its place may have its number."""
        if self._stamp is not None and self._stamp[:2] != _stamp(os.fstat(file.fileno()))[:2]:
            return False
        file.seek(self._offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def settle(self) -> Iterator[Record | Change]:
        """Yield what waits, when the file rests; a last line without its newline counts once it is whole.

        After a pull that was not taken to its end nothing waits: its place is behind what was not taken.
        """
        if self._is_cut:
            return
        if _is_whole(bytes(self._splitter.rest)):
            yield from self._reader.read(self._splitter.finish())
        yield from self._reader.settle()
        self._is_settled = True

    def end(self) -> Iterator[Record | Change]:
        """Yield all the rest: nothing more will be read. A last line that is not whole counts as bad."""
        yield from self._reader.read(self._splitter.finish())
        yield from self._reader.settle()
        self._is_settled = True


class TableFeed(Feed):
    """A database; its reader knows by itself how far it has come."""

    _tables: TableReader | None = None

    def restart(self) -> None:
        """Stand before the first row."""
        opens = self.transcript.format.opens_tables
        assert opens is not None
        if self._tables is not None:
            self._tables.close()
        self._tables = opens(self.transcript.path)

    @property
    def tally(self) -> Tally:
        """Return what the reader has met so far."""
        return self._reading.tally

    @property
    def is_settled(self) -> bool:
        """Say that nothing waits: a row is whole once it is there."""
        return True

    def has_news(self) -> bool:
        """Say whether the database has changed since it was read. Raises `OSError`."""
        return self._reading.has_news()

    def pull(self, *, progress: Callable[[int], None] = lambda _count: None) -> Iterator[Record | Change]:
        """Yield what is new. Raises `OSError`, or `InvalidRequest` when it cannot be read."""
        yield from self._reading.pull(progress=progress)

    def settle(self) -> Iterator[Record | Change]:
        """Yield nothing."""
        yield from ()

    def end(self) -> Iterator[Record | Change]:
        """Yield nothing, and let go of the file."""
        self._reading.close()
        yield from ()

    @property
    def _reading(self) -> TableReader:
        """Return the reader, which there is from the start."""
        assert self._tables is not None
        return self._tables


def _stamp(state: os.stat_result) -> tuple[int, int, int]:
    """Return which file it is, and when it was last written to."""
    return state.st_dev, state.st_ino, state.st_mtime_ns


def _is_whole(line: bytes) -> bool:
    """Say whether a last line is complete although its newline has not come."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class Watched:
    """The transcripts at a path, a file or a folder, old and new."""

    def __init__(self, path: Path, *, opener: Opener) -> None:
        """Begin with nothing looked at."""
        self._path = path
        self._opener = opener
        self._feeds: dict[Path, Feed] = {}
        self._strangers: dict[Path, int] = {}

    @property
    def feeds(self) -> list[Feed]:
        """Return the files that are known to be transcripts, in the order in which they were found."""
        return list(self._feeds.values())

    def look(self) -> None:
        """Find files that are new, and look again at those that were no transcript while they were shorter."""
        if not self._feeds and not self._strangers:
            for transcript in discover(self._path):
                self._feeds[transcript.path] = Feed.of(transcript, opener=self._opener)
        for path in [self._path] if self._path.is_file() else paths_below(self._path):
            if path not in self._feeds and path.is_file():
                self._look_at(path)

    def _look_at(self, path: Path) -> None:
        """Take the file in if it is a transcript, else remember how long it was."""
        try:
            size = path.stat().st_size
        except OSError:
            return
        if self._strangers.get(path) == size:
            return
        transcript = detect(path)
        if transcript is None:
            self._strangers[path] = size
        else:
            self._feeds[path] = Feed.of(transcript, opener=self._opener)
