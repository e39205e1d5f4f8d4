"""Keep watch over running sessions in a process of its own, beside the servers or instead of their own watchdogs."""

import logging
import os
import socket
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from sessions import liveness, retention
from sessions.liveness import Watched
from sessions.management.adrift import count_of
from sessions.management.stopping import until_told_to_stop
from sessions.models import Lease

LEASE_TIME = timedelta(seconds=30)
LONGEST_EVERY = 3600

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Look for running sessions that have become quiet, stuck or lost. Every server does so by itself; several of "
        "them and this command share one lease, so that one at a time keeps watch."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one pass and end")
        parser.add_argument("--every", metavar="SECONDS", type=float, default=1.0, help="pause between passes")

    def handle(self, *, once: bool, every: float, **options: Any) -> None:
        if not 0 < every <= LONGEST_EVERY:
            raise CommandError(f"--every takes up to {LONGEST_EVERY:,} seconds.")
        self._owner = f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._seconds = max(LEASE_TIME.total_seconds(), 3 * every)
        try:
            if once:
                self._do_once()
                self._keep_to_policy(lambda: False)
            else:
                self._go_on(every)
        finally:
            for job in (liveness.WATCHDOG, retention.RETENTION):
                Lease.objects.give_back(job, owner=self._owner)

    def _do_once(self) -> None:
        """Do one pass and say what it found."""
        try:
            watched = self._pass()
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}") from error
        if watched is None:
            holder = Lease.objects.get(name=liveness.WATCHDOG).owner.partition(":")[0]
            self.stdout.write(f"A process on {holder} keeps watch already; there was nothing to do.")
        elif not liveness.is_listening(timezone.now()):
            self.stdout.write("No server listens to agents, so their silence proves nothing; no session was looked at.")
        else:
            self.stdout.write(f"Looked at {_told(watched)}.")
            if watched.failed:
                raise CommandError(f"{count_of(watched.failed, 'check')} failed; the log says why.")

    def _go_on(self, every: float) -> None:
        """Do passes until told to stop; a database that does not answer is asked again after the pause."""
        done, failures = Watched(0, 0, 0), 0
        with until_told_to_stop() as told:
            self.stdout.write(f"Watching every {every:g} s. Ctrl-C ends it.")
            while not told.is_set():
                close_old_connections()
                try:
                    done += self._pass() or Watched(0, 0, 0)
                    self._keep_to_policy(told.is_set)
                except DatabaseError:
                    failures += 1
                    logger.exception("A pass of the watchdog failed")
                told.wait(every)
        close_old_connections()
        asked = f"; the database did not answer {failures:,} times" if failures else ""
        self.stdout.write(f"Ended the watch after looking at {_told(done)}{asked}.")

    def _pass(self) -> Watched | None:
        """Do one pass; None when another process keeps watch."""
        if not Lease.objects.take(liveness.WATCHDOG, owner=self._owner, seconds=self._seconds):
            return None
        watched = liveness.keep_watch()
        Lease.objects.touch(liveness.WATCHDOG)
        return watched

    def _keep_to_policy(self, is_told_to_stop: Callable[[], bool]) -> None:
        """Purge what the settings say, once an hour, unless another process does."""
        if not retention.rules() or not retention.is_time():
            return
        seconds = 3 * retention.EVERY.total_seconds()
        if not Lease.objects.take(retention.RETENTION, owner=self._owner, seconds=seconds):
            return
        done = retention.keep_to_policy(is_told_to_stop) or []
        Lease.objects.touch(retention.RETENTION)
        for purged in done:
            if purged.receipt.is_kept:
                receipt = purged.receipt
                count = count_of(receipt.session_count)
                self.stdout.write(f"Purged by policy what was {receipt.rule}: {count} destroyed or shortened.")


def _told(watched: Watched) -> str:
    """Return in words what passes did."""
    return f"{count_of(watched.due, 'due session')}: {watched.changed:,} changed, {watched.failed:,} failed"
