"""Compact a conversation: archive all but its newest messages and leave a summary."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions import compaction
from sessions.exceptions import KodaError
from sessions.management.asking import confirm
from sessions.management.naming import find_session
from sessions.models import Message

BY = "shell"
KEPT = 10


class Command(BaseCommand):
    help = (
        "Archive all but the newest messages of a session and leave a summary for its agent. Nothing is destroyed: "
        "archived messages still read, and purgecompacted destroys them when they are old."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session", metavar="SESSION", help="the id of the session")
        parser.add_argument("--summary", required=True, metavar="TEXT", help="what went before; - reads standard input")
        parser.add_argument("--keep", type=int, default=KEPT, metavar="N", help=f"messages that stay, else {KEPT}")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--dry-run", action="store_true", help="say what would be archived, and archive nothing")
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *, session: str, summary: str, keep: int, **options: Any) -> None:
        if keep < 0:
            raise CommandError("--keep must not be negative.")
        found = find_session(session)
        text = sys.stdin.read() if summary == "-" else summary
        if not text.strip():
            raise CommandError("The summary has no words.")
        active = list(Message.objects.of(found.pk).unarchived().values_list("pk", flat=True))
        count = len(compaction.plan(active, preserve_count=keep))
        if count and not options["dry_run"]:
            if not options["yes"]:
                confirm(
                    f"Archive {_messages(count)} of “{found.display_title}”?",
                    without_terminal="Nobody is here to ask: say --yes to archive them.",
                    refused="Archived nothing.",
                )
            try:
                count = compaction.compact(found.pk, summary=text, preserve_count=keep, by=BY)
            except KodaError as error:
                raise CommandError(error.detail) from None
        self._report(str(found.uuid), count, is_dry=options["dry_run"], is_json=options["json"])

    def _report(self, uuid: str, count: int, *, is_dry: bool, is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps({"session": uuid, "archived": count, "dry_run": is_dry}))
            return
        verb = "Would archive" if is_dry else "Archived"
        self.stdout.write(f"{verb} {_messages(count)}." if count else f"{verb} nothing: no more than that is there.")


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"
