"""Copy the whole database into one file, while the server serves."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from sessions.management import backups
from sessions.management.noting import kept_if_noted
from sessions.models import SHELL, Action, AuditEntry


class Command(BaseCommand):
    help = "Copy the whole database into one file, as it is at one moment, while the server serves; print its path."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path",
            metavar="FILE",
            nargs="?",
            type=Path,
            help="where to; when absent, a file named by the time in the folder backups of the data folder",
        )

    def handle(self, *, path: Path | None, **options: Any) -> None:
        place = path or Path(settings.KODA_DATA_DIR) / "backups" / backups.name_of(timezone.now())
        backups.copy_to(place)
        with kept_if_noted(place):
            AuditEntry.objects.note(Action.BACKED_UP, by=SHELL, subject=place.name)
        self.stdout.write(str(place))
