"""Import the sessions that other programs keep in files."""

import json
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from sessions.exceptions import KodaError
from sessions.importers import Opener, discover
from sessions.importers.changes import Change
from sessions.importers.feeding import Feed, Watched
from sessions.importers.records import Record
from sessions.importers.store import DryStore, Store
from sessions.importers.written import Written
from sessions.management.owners import find_owner
from sessions.management.stopping import until_told_to_stop

POLL_SECONDS = 0.5
SETTLE_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Import transcripts from a file or folder. Run again, it adds only what is new; --follow goes on as they grow."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="a transcript, or a folder with transcripts anywhere below it")
        parser.add_argument("--follow", action="store_true", help="keep reading as files grow and appear, until Ctrl-C")
        parser.add_argument(
            "--source", help="the installation that the sessions came from (default: the format's name)"
        )
        parser.add_argument("--user", help="who owns the sessions (default: owner, or the only user)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported, and import nothing")
        parser.add_argument("--again", action="store_true", help="bring back sessions that were destroyed here")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *, path: Path, follow: bool, dry_run: bool, **options: Any) -> None:
        if follow and dry_run:
            raise CommandError("--follow and --dry-run do not go together.")
        self._owner, self._source, self._written = find_owner(options["user"]), options["source"], Written()
        self._stores: dict[str, Store] = {}
        self._failures: dict[str, str] = {}
        self._dry_run, self._is_json = dry_run, bool(options["json"])
        self._brings_back = bool(options["again"])
        try:
            feeds = self._follow(path) if follow else self._import(path)
        except KodaError as error:
            raise CommandError(error.detail) from error
        self._report(feeds)
        if self._failures:
            raise CommandError(f"{len(self._failures)} of {len(feeds)} files could not be imported whole.")

    def _import(self, path: Path) -> list[Feed]:
        """Read everything at `path` once; return the files."""
        opener = Opener()
        feeds = [Feed.of(transcript, opener=opener) for transcript in discover(path)]
        if not feeds:
            raise CommandError(f"There is no transcript under {path}.")
        with self._progress(feeds) as progress:
            for feed in feeds:
                self._write(feed, lambda feed=feed: self._whole(feed, progress))  # type: ignore[misc]
        return feeds

    @staticmethod
    def _whole(feed: Feed, progress: Callable[[int], None]) -> Iterator[Record | Change]:
        """Yield all records of a file."""
        yield from feed.pull(progress=progress)
        yield from feed.end()

    def _follow(self, path: Path) -> list[Feed]:
        """Read what is at `path` and go on as it grows, until Ctrl-C or SIGTERM; return the files."""
        watched = Watched(path, opener=Opener())
        rested_since: dict[Path, float] = {}
        with until_told_to_stop() as told:
            while not told.is_set():
                watched.look()
                for feed in takewhile(lambda _: not told.is_set(), watched.feeds):
                    self._follow_one(feed, rested_since, told)
                told.wait(POLL_SECONDS)
        for feed in watched.feeds:
            if str(feed.transcript.path) not in self._failures:
                self._write(feed, feed.settle)
        return watched.feeds

    def _follow_one(self, feed: Feed, rested_since: dict[Path, float], told: Event) -> None:
        """Write what is new in one file; once it rests for a while, also what waited for more lines."""
        now, path = time.monotonic(), feed.transcript.path
        try:
            has_news = feed.has_news()
        except OSError:
            has_news = False  # removed or being replaced: its reader waits for it to come back
        if has_news:
            rested_since[path] = now
            self._write(feed, lambda: takewhile(lambda _: not told.is_set(), feed.pull()))
        elif not feed.is_settled and now - rested_since.get(path, now) >= SETTLE_SECONDS:
            self._write(feed, feed.settle)

    def _store_of(self, feed: Feed) -> Store:
        """Return where the sessions of a file go: each format is a source of its own unless one is named."""
        source = self._source or feed.transcript.format.source
        make = DryStore if self._dry_run else Store
        facts: dict[str, Any] = {
            "owner": self._owner,
            "source": source,
            "written": self._written,
            "brings_back": self._brings_back,
        }
        return self._stores.setdefault(source, make(**facts))

    def _write(self, feed: Feed, records: Callable[[], Iterator[Record | Change]]) -> None:
        """Write records of one file; when that fails, note it, let the others go on, and begin this one anew."""
        path, store = str(feed.transcript.path), self._store_of(feed)
        try:
            store.write(records())
            store.flush()
        except (OSError, KodaError, DatabaseError, InterfaceError) as error:
            if self._failures.get(path) != str(error):
                self.stderr.write(self.style.ERROR(f"{path}: {error}"))
            self._failures[path] = str(error)
            store.forget()
            feed.restart()
            if isinstance(error, DatabaseError | InterfaceError):
                close_old_connections()  # a server that was started again wants a new one
        else:
            self._failures.pop(path, None)

    @contextmanager
    def _progress(self, feeds: list[Feed]) -> Iterator[Callable[[int], None]]:
        """Show a bar over the bytes of all files, on a terminal only; yield what to tell the bytes to."""
        if self._is_json or not sys.stderr.isatty():
            yield lambda _count: None
            return
        columns = (TextColumn("Importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("import", total=sum(feed.transcript.path.stat().st_size for feed in feeds))
            yield lambda count: bar.advance(task, count)

    def _report(self, feeds: list[Feed]) -> None:
        """Say in one sentence, or as JSON, what was done."""
        written = self._written
        bad_lines, long_lines, garbled_lines = (
            {str(feed.transcript.path): found for feed in feeds if (found := getattr(feed.tally, name))}
            for name in ("bad_lines", "long_lines", "garbled_lines")
        )
        lines = sum(feed.tally.lines for feed in feeds)
        if self._is_json:
            passed_over: Counter[str] = sum((feed.tally.passed_over for feed in feeds), Counter())
            self.stdout.write(
                json.dumps(
                    {
                        "files": len(feeds),
                        "lines": lines,
                        "bad_lines": bad_lines,
                        "long_lines": long_lines,
                        "garbled_lines": garbled_lines,
                        "sessions": written.sessions,
                        "messages": written.messages,
                        "known_messages": written.known_messages,
                        "compactions": written.compactions,
                        "changed_messages": written.changed_messages,
                        "checkpoints": written.checkpoints,
                        "removed_messages": written.removed_messages,
                        "removed_sessions": written.removed_sessions,
                        "deleted_sessions": sorted(written.deleted_sessions),
                        "foreign_sessions": sorted(written.foreign_sessions),
                        "passed_over": dict(passed_over.most_common()),
                        "failures": self._failures,
                        "dry_run": self._dry_run,
                    }
                )
            )
            return
        bad, long, garbled = (sum(map(len, found.values())) for found in (bad_lines, long_lines, garbled_lines))
        left = len(written.deleted_sessions)
        verb = "Would import" if self._dry_run else "Imported"
        were = "was" if written.known_messages == 1 else "were"
        bad_note = f", {bad:,} of them bad" if bad else ""
        bad_note += f" ({long:,} longer than KODA_MAX_BODY)" if long else ""
        bad_note += f", {garbled:,} with bytes that are not UTF-8" if garbled else ""
        left_note = f"; {_count(left, 'deleted session')} left deleted" if left else ""
        foreign = len(written.foreign_sessions)
        left_note += f"; {_count(foreign, 'session')} that an agent keeps here itself left alone" if foreign else ""
        gone = written.removed_messages
        left_note += f"; {_count(written.checkpoints, 'checkpoint')} kept" if written.checkpoints else ""
        left_note += f"; {_count(gone, 'message')} gone there {'was' if gone == 1 else 'were'} removed" if gone else ""
        self.stdout.write(
            f"{verb} {_count(written.sessions, 'new session')} and {_count(written.messages, 'new message')} from "
            f"{_count(len(feeds), 'file')} ({_count(lines, 'line')}{bad_note}); "
            f"{_count(written.known_messages, 'message')} {were} here already{left_note}."
        )


def _count(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
