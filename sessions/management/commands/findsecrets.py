"""Look for secrets in what is stored."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import QuerySet

from sessions import redaction
from sessions.management.naming import find_session
from sessions.models import Checkpoint, CheckpointPiece, Event, Message, Metadata, Session
from sessions.models import Command as Asked


@dataclass(frozen=True, slots=True)
class Found:
    """One secret: the record in which it stands, and its kind with its last characters."""

    session: str
    kind: str
    record: str
    part: str
    secret: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A kind of record that keeps what somebody wrote: what it is called by, and the columns that may hold a secret."""

    kind: str
    rows: QuerySet[Any]
    name: str
    parts: tuple[str, ...]
    session: str = "session__uuid"


def _places() -> list[_Place]:
    """Return all places but copies: the row of a call, an open request, a derived title, and the search index."""
    given = Session.objects.filter(is_title_derived=False)
    return [
        _Place("session", given, "pk", ("title",), session="uuid"),
        _Place("message", Message.objects.all(), "pk", ("content", "thinking", "tool_calls")),
        _Place("event", Event.objects.all(), "seq", ("payload",)),
        _Place("metadata", Metadata.objects.all(), "key", ("value",)),
        _Place("command", Asked.objects.all(), "pk", ("body", "detail")),
        _Place("checkpoint", Checkpoint.objects.all(), "seq", ("rest", "unread", "variants")),
        _Place("checkpoint messages", CheckpointPiece.objects.all(), "first", ("text",)),
    ]


class Command(BaseCommand):
    help = "Look for secrets in what is stored; print where, never what they are; exit with 1 when there is any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("sessions", metavar="SESSION", nargs="*", help="look only in these")
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def handle(self, *, sessions: list[str], **options: Any) -> None:
        named = [find_session(name) for name in sessions]
        found = [one for place in _places() for one in _look(place, named)]
        if options["json"]:
            self.stdout.write(json.dumps({"secrets": [asdict(one) for one in found]}))
        else:
            for one in found:
                self.stdout.write(f"{one.session}  {one.kind} {one.record}  {one.part}  {one.secret}")
            self.stdout.write(f"{len(found):,} secrets." if len(found) != 1 else "1 secret.")
        if found:
            sys.exit(1)


def _look(place: _Place, sessions: list[Session]) -> Iterator[Found]:
    """Yield what is found, record by record."""
    rows = place.rows.order_by("pk")
    if sessions:
        rows = rows.filter(**{f"{place.session}__in": [session.uuid for session in sessions]})
    for session, record, *parts in rows.values_list(place.session, place.name, *place.parts).iterator(chunk_size=200):
        for name, part in zip(place.parts, parts, strict=True):
            text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
            for secret in redaction.find(text):
                yield Found(str(session), place.kind, str(record), name, secret.name_in(text))
