"""List the sessions that are stuck or lost, or by the contracts' literal rule those that run for long."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sessions.liveness import spell
from sessions.management.adrift import adrift, as_fields, as_line, count_of
from sessions.models import Session

LONGEST_THRESHOLD = 10**9


class Command(BaseCommand):
    help = "List the sessions that are stuck or lost, the longest without progress first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--threshold", metavar="SECONDS", type=int,
            help="list instead, as the contracts do, all whose turn began longer ago, whatever they do since",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def handle(self, *, threshold: int | None, **options: Any) -> None:
        now = timezone.now()
        rows, what = adrift(), "stuck or lost"
        if threshold is not None:
            if not 0 <= threshold <= LONGEST_THRESHOLD:
                raise CommandError(f"--threshold takes 0 to {LONGEST_THRESHOLD:,} seconds.")
            span = timedelta(seconds=threshold)
            rows, what = Session.objects.active().stuck(threshold=span, now=now), f"in a turn for over {spell(span)}"
        sessions = list(rows.select_related("owner"))
        if options["json"]:
            self.stdout.write(json.dumps([as_fields(session, now) for session in sessions]))
            return
        for session in sessions:
            self.stdout.write(as_line(session, now))
        count = count_of(len(sessions)) if sessions else "No session"
        self.stdout.write(f"{count} {'is' if len(sessions) <= 1 else 'are'} {what}.")
