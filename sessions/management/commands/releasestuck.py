"""Release sessions whose agents went away: their turns end as abandoned, and they rest."""

import json
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sessions import protocol
from sessions.exceptions import KodaError
from sessions.management.adrift import adrift, as_fields, as_line, count_of, silent_for
from sessions.management.asking import confirm
from sessions.management.naming import find_session
from sessions.models import Session

BY = "shell"


class Command(BaseCommand):
    help = (
        "Release sessions whose agents went away: their open turns end as abandoned, open tool calls are aborted, open "
        "requests expire, and the sessions are idle. Nothing is ever released by time alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session", nargs="*", metavar="SESSION", help="the id of a session, whatever it does")
        parser.add_argument("--all", action="store_true", help="all that are stuck or lost")
        parser.add_argument(
            "--older-than", metavar="SECONDS", type=int, default=0,
            help="with --all: only those of which nothing was heard for so long",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--dry-run", action="store_true", help="say what would be released, and release nothing")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *, session: list[str], **options: Any) -> None:
        if bool(session) == options["all"]:
            raise CommandError("Name the sessions, or say --all.")
        if options["older_than"] and not options["all"]:
            raise CommandError("--older-than goes with --all only.")
        now = timezone.now()
        chosen = self._stuck(options["older_than"], now) if options["all"] else [find_session(one) for one in session]
        if not options["json"]:
            for one in chosen:
                self.stdout.write(as_line(one, now))
        if chosen and not options["dry_run"] and not options["yes"]:
            confirm(
                f"Release {count_of(len(chosen))}?",
                without_terminal="Nobody is here to ask: say --yes to release them.",
                refused="Released nothing.",
            )
        failures = {} if options["dry_run"] else _release(chosen)
        self._report(chosen, failures, now, is_dry=options["dry_run"], is_json=options["json"])
        if failures:
            raise CommandError(f"{count_of(len(failures))} could not be released.")

    @staticmethod
    def _stuck(older_than: int, now: datetime) -> list[Session]:
        """Return the sessions that are stuck or lost and have been silent for so many seconds."""
        longest = timedelta(seconds=older_than)
        return [one for one in adrift().select_related("owner") if silent_for(one, now) >= longest]

    def _report(
        self, chosen: list[Session], failures: dict[str, str], now: datetime, *, is_dry: bool, is_json: bool
    ) -> None:
        """Say what was done, in one sentence or as JSON."""
        released = [one for one in chosen if str(one.uuid) not in failures]
        if is_json:
            rows = [as_fields(one, now) for one in released]
            self.stdout.write(json.dumps({"released": rows, "failures": failures, "dry_run": is_dry}))
            return
        for name, why in failures.items():
            self.stderr.write(self.style.ERROR(f"{name}: {why}"))
        verb = "Would release" if is_dry else "Released"
        if not released:
            self.stdout.write(f"{verb} nothing.")
            return
        whose = "its open turn ends" if len(released) == 1 else "their open turns end"
        self.stdout.write(f"{verb} {count_of(len(released))}: {whose} as abandoned.")


def _release(sessions: list[Session]) -> dict[str, str]:
    """Release each of them; return why some could not be, by id."""
    failures = {}
    for session in sessions:
        try:
            protocol.abandon(session.pk, by=BY)
        except KodaError as error:
            failures[str(session.uuid)] = error.detail
    return failures
