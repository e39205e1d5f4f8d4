"""Prepare everything the server needs; run again, find it prepared."""

import fcntl
import hashlib
import json
import secrets
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from sessions.models import SHELL, Action, AuditEntry, Preference

OWNER = "owner"
_ADVISORY_LOCK = 0x6B6F6461  # "koda"


class Command(BaseCommand):
    """Make the data folder, the secret key, the tables, the first user and the static files."""

    help = "Prepare data folder, secret key, database, first user and static files; safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-static", action="store_true", help="leave the static files alone")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.KODA_DATA_DIR)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            call_command("migrate", interactive=False, verbosity=0)
            password = create_owner()
            if not options["no_static"]:
                self._collect_static()
        if password:
            self.stdout.write(
                f"\n  The first user is {self.style.SUCCESS(OWNER)}, with the one-time password "
                f"{self.style.SUCCESS(password)}\n"
                "  It is shown this once and kept nowhere; the first sign-in asks for one of your own.\n\n"
            )
        if options["verbosity"] > 1:
            self.stdout.write(f"Ready in {folder}.")

    def _collect_static(self) -> None:
        sources = fingerprint_sources()
        if collected_sources() == sources:
            return
        call_command("collectstatic", interactive=False, verbosity=0)
        _stamp().write_text(sources, encoding="ascii")


def create_owner() -> str | None:
    """Create the first user, unless there is any; return the password, which is stored nowhere in clear."""
    users = get_user_model()._default_manager  # noqa: SLF001 - Django's documented way to a swappable user
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        owner = users.create_superuser(username=OWNER, password=password)
        Preference.objects.give_password(owner)
        AuditEntry.objects.note(Action.PERSON_ADDED, by=SHELL, subject=OWNER, is_superuser=True)
    return password


def fingerprint_sources() -> str:
    """Return a digest that changes whenever a source of the static files does, or their way of storage."""
    files = sorted(
        (path, storage.path(path)) for finder in get_finders() for path, storage in finder.list(ignore_patterns=[])
    )
    known = [settings.STORAGES["staticfiles"]["BACKEND"]]
    for path, place in files:
        state = Path(place).stat()
        known.append(f"{path} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def collected_sources() -> str | None:
    """Return the digest of the sources that the collected static files were made of; None when there are none."""
    return _stamp().read_text(encoding="ascii") if _stamp().is_file() else None


def _stamp() -> Path:
    return Path(settings.STATIC_ROOT) / ".sources"


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep others who set up the same place, or the same database from elsewhere, waiting meanwhile."""
    with (folder / ".setup-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")  # the other may have much to migrate
            cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
            cursor.execute("RESET lock_timeout")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])
