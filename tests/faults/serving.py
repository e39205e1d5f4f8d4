"""Server processes for bad days: set up quickly, without pages; none outlives its test."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Server, find_free_port, launch, make_environment, manage, prepare

_SET_UP = """
from django.core.management import call_command
from django.contrib.auth.models import User
from sessions.models import ApiKey
call_command("migrate", interactive=False, verbosity=0)
owner = User.objects.first() or User.objects.create_superuser("owner")
print(ApiKey.objects.issue(user=owner, name="laptop", scopes=["write", "read", "control"]).plain)
"""
_CHECK = """
import json
from django.core.management import call_command
from django.db import connection
from io import StringIO
from sessions import indexing, recounting
from sessions.models import Event, Message, Session
indexing.finish()
messages, events = {}, {}
for session, name in Message.objects.order_by("pk").values_list("session__uuid", "client_id"):
    messages.setdefault(str(session), []).append(name)
for session, name in Event.objects.filter(type="info").order_by("seq").values_list("session__uuid", "event_id"):
    events.setdefault(str(session), []).append(name)
differing = [str(one) for session in Session.objects.all() for one in recounting.differences(session)]
gaps = [str(s.uuid) for s in Session.objects.all()
        if list(s.events.order_by("seq").values_list("seq", flat=True)) != list(range(1, s.last_seq + 1))]
integrity = "ok"
if connection.vendor == "sqlite":
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        integrity = cursor.fetchone()[0]
print(json.dumps({"messages": messages, "events": events, "differing": differing, "gaps": gaps, "integrity": integrity,
                  "index": indexing.shortcomings()}))
"""


def set_up(data_dir: Path, **settings: str) -> tuple[dict[str, str], str]:
    """Make the tables and a key; return the environment of a server that need not show pages, and the key."""
    if "KODA_DATABASE_URL" in settings:
        data_dir.mkdir(mode=0o700, exist_ok=True)
        environment = make_environment(data_dir, **settings)
    else:
        environment = prepare(data_dir, **settings)
    return environment, ask(environment, _SET_UP).strip()


def ask(environment: dict[str, str], code: str) -> str:
    """Run Python in the product, in a process of its own; return what it printed."""
    return manage(environment, "shell", "--no-imports", "--command", code)


@dataclass(frozen=True)
class Stored:
    """What a store holds: the ids that clients gave, in order, by session."""

    messages: dict[str, list[str]]
    events: dict[str, list[str]]


def look_through(environment: dict[str, str]) -> Stored:
    """Hold the whole store against itself, as `rebuild --check` does; return what it holds."""
    found: dict[str, Any] = json.loads(ask(environment, _CHECK))
    assert found["integrity"] == "ok"
    assert found["differing"] == [], "counters agree with the records"
    assert found["gaps"] == [], "logs have no gaps"
    assert found["index"] == {"missing": 0, "broken": False}
    return Stored(found["messages"], found["events"])


@contextmanager
def serving(data_dir: Path, environment: dict[str, str], *, count: int = 1) -> Iterator[list[Server]]:
    """Yield servers that run; those that still do at the end are killed."""
    running: list[Server] = []
    try:
        while len(running) < count:
            running.append(launch(data_dir, environment, port=find_free_port()))
        yield running
    finally:
        for server in running:
            server.process.kill()
            server.process.wait()
