"""Put a copy that `backup` made in the place of the database."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sessions.management import backups
from sessions.models import SHELL, Action, AuditEntry


class Command(BaseCommand):
    help = "Put a copy that backup made in the place of the database. No server may run on it meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", metavar="FILE", type=Path, help="what backup wrote")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, path: Path, yes: bool, **options: Any) -> None:
        if not yes and not self._is_confirmed(path):
            raise CommandError("Nothing was restored.")
        kept = backups.put_back(path, now=timezone.now())
        call_command("migrate", interactive=False, verbosity=0)
        AuditEntry.objects.note(Action.RESTORED, by=SHELL, subject=path.name)
        self.stdout.write(f"Restored from {path}.")
        if kept is not None:
            self.stdout.write(f"What was there before is kept at {kept}; remove it when you no longer need it.")

    def _is_confirmed(self, path: Path) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("Restoring replaces all that is stored. Say --yes.")
        self.stdout.write(f"This replaces all that is stored by {path}. Type yes to go on: ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() == "yes"
