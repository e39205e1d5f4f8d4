"""What reading costs with ten, a thousand and a hundred thousand sessions: as many queries, and as many rows.

The wall and the list count rows, up to ten thousand: from there on they cost the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.db import connection
from django.db.models import F, Max, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import counting, indexing, retention, search, stats
from sessions.models import FigureMark, FigureSum, Footprint, FootprintMark, Session, Share
from sessions.models.prepared import MOST_COUNTED
from tests.engine_events import APPROVAL, CALL, RESULT, START, end
from tests.factories import make_events, make_session, make_user, multiply
from tests.message_drafts import append, user
from tests.steps import counted_steps

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
FEW, MANY, MORE, MOST = SIZES = (10, 1_000, 20_000, 100_000)
COUNTING = {"the wall", "the list"}
"""Pages that count rows one by one, until they are too many for that."""


@dataclass(frozen=True)
class Cost:
    """How many queries, and steps of SQLite's machine (0 elsewhere), an answer took."""

    queries: int
    steps: int


def cost_of(read: Callable[[], object]) -> Cost:
    read()  # what is kept for a process is made by the first
    with CaptureQueriesContext(connection) as queries:
        read()
        count = len(queries)  # the next request begins a new log
    assert count
    if connection.vendor != "sqlite":
        return Cost(count, 0)
    with counted_steps() as steps:
        read()
    return Cost(count, steps.count)


def copy_beside(model: type[Model], session: Session) -> None:
    """Give each session that was copied from this one a row like its own."""
    names = [connection.ops.quote_name(field.column) for field in model._meta.concrete_fields]
    names = [name for name in names if name.strip('"') not in {"id", "session_id"}]
    table, sessions = model._meta.db_table, Session._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (session_id, {', '.join(names)})"
            f" SELECT s.id, {', '.join(f'm.{name}' for name in names)} FROM {table} m, {sessions} s"
            f" WHERE m.session_id = %s AND s.id > %s"
            f" AND NOT EXISTS (SELECT 1 FROM {table} o WHERE o.session_id = s.id)",
            [session.pk, session.pk],
        )


def grow(session: Session, size: int) -> None:
    """Let there be so many sessions like this one, measured and counted as it is."""
    before = Session.objects.count()
    multiply(session, size - before)
    for model in (Footprint, Share):
        copy_beside(model, session)
    for name in ("session_count", "usage_count", "prompt_tokens"):
        FigureSum.objects.update(**{name: F(name) / before * size})
    for mark in (FigureMark, FootprintMark):
        mark.objects.update(last_session=Session.objects.aggregate(last=Max("pk"))["last"])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_what_is_read_costs_the_same_at_any_size():
    now, reader = timezone.now(), make_user(is_staff=True)
    session = make_session(make_user(), title="a herring")
    make_events(session, START, CALL, RESULT, end())
    append(session, user("a red herring"), now=now)
    waiting = make_session(make_user())
    make_events(waiting, START, APPROVAL)
    indexing.finish()
    retention.measure(seconds=60)
    counting.count(seconds=60)
    client = Client()
    client.force_login(reader)

    def page(path: str) -> Callable[[], object]:
        def read() -> None:
            assert client.get(path).status_code == 200

        return read

    def figures(days: int) -> Callable[[], object]:
        return lambda: stats.figures(reader, period=stats.Period.of_days(days, now=now))

    reads = {
        "the figures of a week": figures(7),
        "the figures of a year": figures(365),
        "the wall": page("/"),
        "the list": page("/sessions/"),
        "the inbox": page("/inbox/"),
        "a session": page(f"/sessions/{session.uuid}/"),
        "a search": lambda: search.search("herring", user=reader, limit=5),
    }
    session.refresh_from_db()
    costs: dict[str, dict[int, Cost]] = {name: {} for name in reads}
    for size in SIZES:
        grow(session, size)
        assert stats.figures(reader, period=stats.Period.of_days(7, now=now)).session_count == size
        assert retention.kept(None).all.session_count == size
        for name, read in reads.items():
            costs[name][size] = cost_of(read)
    for name, cost in costs.items():
        assert name in COUNTING or cost[FEW].queries == cost[MANY].queries, (name, cost)
        assert cost[FEW].queries <= cost[MANY].queries == cost[MORE].queries == cost[MOST].queries, (name, cost)
        assert MORE > MOST_COUNTED
        assert cost[MOST].steps <= cost[MORE if name in COUNTING else MANY].steps * 1.02, (name, cost)
