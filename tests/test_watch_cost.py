"""What the watch costs with a hundred thousand running sessions: one look at a small index, then only what is due."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import incidents, liveness
from sessions.liveness import Watched
from sessions.models import Session
from tests.factories import make_events, make_session, multiply

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
SESSIONS = 100_000
DUE = 200
BOUND_SECONDS = 0.05
"""Far above the few milliseconds that it takes, far below what reading the table would."""


def fastest(act, *, rounds: int = 5) -> float:
    """Return the seconds of the fastest of some rounds: the others measure the machine."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def test_a_pass_costs_what_is_due_and_not_what_runs():
    now = timezone.now()
    session = make_session()
    make_events(session, {"type": "turn_start", "turn_id": "t"}, now=now)
    multiply(session, SESSIONS - 1)
    assert Session.objects.running().count() == SESSIONS

    # Nothing is due: one query, and it reads the partial index alone.
    soon = now + timedelta(seconds=1)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert liveness.watch(now=soon) == Watched(due=0, changed=0, failed=0)
    assert len(queries) == 1
    plan = Session.objects.due(soon).values_list("pk", flat=True)[: liveness.WATCHED_AT_ONCE].explain()
    assert "session_due" in plan, plan
    assert "Seq Scan" not in plan
    assert fastest(lambda: liveness.watch(now=soon)) < BOUND_SECONDS
    # Where nothing is adrift there is no incident to look for either.
    assert fastest(lambda: incidents.ongoing(None, now=soon)) < BOUND_SECONDS

    # Two hundred are due: as many changes, and for each the same few queries.
    due = list(Session.objects.order_by("pk").values_list("pk", flat=True)[:DUE])
    Session.objects.filter(pk__in=due).update(progressed_at=now - timedelta(seconds=60), next_deadline_at=now)
    Session.objects.filter(pk__in=due).update(turn_started_at=now - timedelta(seconds=60))
    with CaptureQueriesContext(connection) as queries:
        assert liveness.watch(now=soon) == Watched(due=DUE, changed=DUE, failed=0)
    assert len(queries) == 1 + 5 * DUE  # savepoint, lock, write, event, release
    assert liveness.watch(now=soon) == Watched(due=0, changed=0, failed=0)
    assert Session.objects.filter(liveness="quiet").count() == DUE
