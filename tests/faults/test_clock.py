"""The server's clock jumps: logs stay in order, counters right, nobody is called stuck, and every job goes on."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from sessions import liveness, protocol, recounting
from sessions.live.keeper import LEASE_TIME, Job, Keeper
from sessions.models import Lease, Liveness, Session, StoredAnswer
from tests.api.calling import agent_of
from tests.factories import make_events, make_message, make_session, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JUMPS = [timedelta(hours=3), timedelta(hours=-3), timedelta(days=400), timedelta(days=-400)]


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_what_is_written_before_and_after_a_jump_stands_in_the_order_in_which_it_came(jump):
    owner = make_user()
    agent = agent_of(owner)
    with time_machine.travel(NOW, tick=False) as clock:
        session = make_session(owner)
        first = make_message(session, content="before")
        make_events(session, {"type": "turn_start", "turn_id": "t"})
        clock.shift(jump)
        answer = agent.post(f"sessions/{session.uuid}/messages", {"role": "user", "content": "after"})
        make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
        items = agent.get(f"sessions/{session.uuid}/messages")["items"]
        listed = agent.get("sessions")["items"]
        wall_seqs = list(session.events.order_by("seq").values_list("seq", flat=True))

    assert answer.status == 201
    assert [item["id"] for item in items] == [first, answer["ids"][0]]
    assert [item["content"] for item in items] == ["before", "after"]
    assert [item["id"] for item in listed] == [str(session.uuid)]
    session.refresh_from_db()
    assert wall_seqs == list(range(1, session.last_seq + 1))
    assert recounting.differences(session) == []


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_jump_makes_nobody_stuck(jump):
    with time_machine.travel(NOW, tick=False) as clock:
        liveness.listen()
        session = make_session(make_user())
        protocol.set_state(session.pk, "running", turn_id=None, by="test")
        clock.shift(jump)
        # Whichever of the keeper's two jobs comes first after the jump.
        liveness.keep_watch()
        liveness.listen()
        liveness.keep_watch()
        session.refresh_from_db()
        assert session.liveness not in {Liveness.STUCK, Liveness.LOST}


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_session_that_falls_silent_after_a_jump_is_found(jump):
    with time_machine.travel(NOW, tick=False) as clock:
        liveness.listen()
        session = make_session(make_user())
        protocol.set_state(session.pk, "running", turn_id=None, by="test")
        clock.shift(jump)
        liveness.listen()
        make_events(session, {"type": "info"})
        for _ in range(100):
            clock.shift(timedelta(seconds=10))
            liveness.listen()
            liveness.keep_watch()
        assert Session.objects.get().liveness in {Liveness.STUCK, Liveness.LOST}


def test_the_lease_of_a_dead_server_is_taken_after_the_clock_was_set_back():
    assert Lease.objects.take("watchdog", owner="dead", seconds=30, now=NOW)
    later = NOW - timedelta(hours=3)
    assert Lease.objects.take("watchdog", owner="alive", seconds=30, now=later)
    assert not Lease.objects.take("watchdog", owner="third", seconds=30, now=later + timedelta(seconds=29))


@pytest.mark.django_db(transaction=True)
def test_a_server_renews_its_lease_and_notes_its_runs_after_the_clock_was_set_back():
    job = Job(name="shared", every=timedelta(seconds=1), run=int, is_shared=True)
    one, other = Keeper([job], owner="one"), Keeper([job], owner="other")
    with time_machine.travel(NOW, tick=False) as clock:
        one._do(job)
        clock.shift(timedelta(hours=-3))
        one._do(job)
        other._do(job)
        [lease] = Lease.objects.all()
        assert (lease.owner, lease.until) == ("one", timezone.now() + LEASE_TIME), "no other does it as well"
        assert lease.ran_at == timezone.now(), "it is known when it last ran"


def test_clocks_that_differ_a_little_do_not_take_a_lease_away():
    assert Lease.objects.take("watchdog", owner="ahead", seconds=30, now=NOW + timedelta(seconds=20))
    assert not Lease.objects.take("watchdog", owner="behind", seconds=30, now=NOW)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
def test_a_repeat_after_a_jump_gives_the_first_answer_or_does_the_work_once_more_by_its_own_ids(jump):
    agent = agent_of()
    with time_machine.travel(NOW, tick=False) as clock:
        body = {"agent_name": "koda", "id": "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"}
        first = agent.post("sessions", body, Idempotency_Key="once")
        clock.shift(jump)
        StoredAnswer.objects.drop_old()
        again = agent.post("sessions", body, Idempotency_Key="once")
    assert (first.status, again.status) in {(201, 201), (201, 200)}
    assert again["id"] == first["id"]
    assert Session.objects.count() == 1
