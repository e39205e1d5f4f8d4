"""Make a key with which an agent speaks to this server."""

import re
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sessions.exceptions import InvalidRequest
from sessions.models import ApiKey, Scope

LONGEST_DAYS = 36_500


class Command(BaseCommand):
    """Prints the plain key once; only a digest of it is kept."""

    help = "Make an API key. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what the key is called, such as the machine it is for")
        parser.add_argument("--user", metavar="USER", required=True, help="whose sessions it makes and sees")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            required=True,
            help="what it may do; give it once for each: write adds, read reads, control commands and purges",
        )
        parser.add_argument(
            "--source", metavar="SOURCE", default="", help="the installation it speaks for; NAME when absent"
        )
        parser.add_argument("--prefix", default="koda", help="how the key begins; Stakpak insists on stkpk_api")
        parser.add_argument("--expires", metavar="DAYS", type=int, help="days until it ends; never when absent")
        parser.add_argument("--plain", action="store_true", help="print the key alone, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model()._default_manager.filter(username=options["user"]).first()  # noqa: SLF001 - Django's documented way to a swappable user
        if user is None:
            raise CommandError(f"There is no user called {options['user']!r}.")
        if not user.is_active:
            raise CommandError(f"The user {options['user']!r} is not active: no key of theirs would be let in.")
        if not options["name"].strip():
            raise CommandError("The name of the key must not be empty.")
        if not re.fullmatch(r"[A-Za-z0-9_]{1,20}", options["prefix"]):
            raise CommandError("--prefix takes 1 to 20 letters, digits and underscores.")
        days = options["expires"]
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise CommandError(f"--expires takes 1 to {LONGEST_DAYS:,} days.")
        try:
            key = ApiKey.objects.issue(
                user=user,
                name=options["name"],
                scopes=options["scope"],
                source=options["source"],
                prefix=options["prefix"],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except InvalidRequest as error:
            raise CommandError(error.detail) from error
        if options["plain"]:
            self.stdout.write(key.plain)
            return
        self.stdout.write(f"Key of {user.get_username()} for the source {key.record.source}, shown this once:\n\n")
        self.stdout.write(f"    {self.style.SUCCESS(key.plain)}\n\n")
        self.stdout.write(f"It may {', '.join(sorted(key.record.scopes))}. Send it as Authorization: Bearer <key>.")
