"""Births for tests: each makes one thing through the product's own verbs, with as little said as possible."""

import itertools
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Max

from sessions import protocol, transcripts
from sessions.models import ApiKey, EventDraft, NewKey, Session

_numbers = itertools.count(1)


def make_user(username: str | None = None, **facts: Any) -> User:
    """Return a user who may sign in with the password "secret"."""
    return User.objects.create_user(username or f"user-{next(_numbers)}", password="secret", **facts)


def make_key(
    user: User | None = None, *, scopes: tuple[str, ...] = ("write", "read", "control"), **facts: Any
) -> NewKey:
    """Return a key with its plain text, of all scopes unless said otherwise."""
    return ApiKey.objects.issue(user=user or make_user(), name=f"key-{next(_numbers)}", scopes=scopes, **facts)


def make_session(owner: User | None = None, **facts: Any) -> Session:
    """Return a new session."""
    facts = {"source": "laptop", "agent_name": "koda", **facts}
    return Session.objects.start(owner=owner or make_user(), **facts).session


def make_message(session: Session, *, role: str = "user", content: str | None = "hello", **facts: Any) -> int:
    """Append one message and return its id."""
    return transcripts.append(session.pk, [transcripts.MessageDraft(role=role, content=content, **facts)]).ids[0]


def make_events(session: Session, *events: dict[str, Any], **facts: Any) -> protocol.Ingested:
    """Ingest events written as agents send them: flat objects with a `type`."""
    envelope = ("type", "event_id", "turn_id")
    drafts = [
        EventDraft(
            **{name: event[name] for name in envelope if name in event},
            payload={name: value for name, value in event.items() if name not in envelope},
        )
        for event in events
    ]
    return protocol.ingest(session.pk, drafts, **facts)


def make_copies(session: Session, count: int) -> None:
    """Write so many more sessions with the columns of this one, in one statement."""
    columns = [field.attname for field in Session._meta.concrete_fields if field.attname not in {"id", "uuid"}]
    facts = {name: getattr(session, name) for name in columns}
    Session.objects.bulk_create(Session(**facts) for _ in range(count))


def multiply(session: Session, count: int) -> None:
    """Copy a session's row so many times, in the database itself."""
    names = [field.column for field in Session._meta.concrete_fields if field.column not in {"id", "uuid"}]
    columns = ", ".join(connection.ops.quote_name(name) for name in names)
    last = Session.objects.aggregate(last=Max("pk"))["last"]
    series, uuid = "generate_series(1, %s) AS n(n)", f"md5(({last} + n.n)::text)::uuid"
    if connection.vendor == "sqlite":
        series = "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %s) SELECT n FROM n) AS n"
        uuid = f"printf('%%032x', {last} + n.n)"
    table = Session._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (uuid, {columns}) SELECT {uuid}, {columns} FROM {table}, {series} WHERE id = %s",
            [count, session.pk],
        )
        cursor.execute("ANALYZE")
