"""Look for secrets in what is stored."""

import json
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import BaseCommand

from sessions import redaction
from sessions.models import Message

_PARTS = ("content", "thinking", "tool_calls")


@dataclass(frozen=True, slots=True)
class Found:
    """One secret: where it stands, and its kind with its last characters."""

    session: str
    message: int
    part: str
    secret: str


class Command(BaseCommand):
    help = "Look for secrets in the stored messages; print where, never what they are; exit with 1 when there is any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sessions", metavar="SESSION", nargs="*", type=uuid.UUID, help="look only in these")
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def handle(self, *, sessions: list[uuid.UUID], **options: Any) -> None:
        found = list(_look(sessions))
        if options["json"]:
            self.stdout.write(json.dumps({"secrets": [asdict(one) for one in found]}))
        else:
            for one in found:
                self.stdout.write(f"{one.session}  message {one.message}  {one.part}  {one.secret}")
            self.stdout.write(f"{len(found):,} secrets." if len(found) != 1 else "1 secret.")
        if found:
            sys.exit(1)


def _look(sessions: list[uuid.UUID]) -> Iterator[Found]:
    """Yield what is found, message by message."""
    rows = Message.objects.order_by("pk")
    if sessions:
        rows = rows.filter(session__uuid__in=sessions)
    for pk, session, *parts in rows.values_list("pk", "session__uuid", *_PARTS).iterator(chunk_size=200):
        for name, part in zip(_PARTS, parts, strict=True):
            text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
            for secret in redaction.find(text):
                yield Found(str(session), pk, name, secret.name_in(text))
