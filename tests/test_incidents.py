"""incidents: one for a source that vanishes, none for what hangs here and there."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions import liveness, protocol
from sessions.incidents import AT_LEAST, WINDOW, Silence, incidents, ongoing, ongoing_of
from sessions.models import Session
from tests.factories import make_events, make_session, make_user

T0 = datetime(2026, 3, 1, 14, tzinfo=UTC)
NOW = T0 + timedelta(minutes=20)
LAPTOP, DESK = (1, "laptop"), (1, "desk")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def silences(*seconds, place=LAPTOP, liveness="lost"):
    return [
        Silence(session_id=number, place=place, liveness=liveness, heard_at=at(moment))
        for number, moment in enumerate(seconds, start=1)
    ]


def found(*seconds, running, **facts):
    return incidents(silences(*seconds, **facts), running={LAPTOP: running, DESK: running}, now=NOW)


def test_most_sessions_of_one_source_that_fall_silent_together_are_one_incident():
    (incident,) = found(120, 100, 110, running=5)
    assert (incident.owner_id, incident.source, incident.since) == (1, "laptop", at(120))
    assert (incident.count, incident.sessions, incident.running) == (3, (1, 2, 3), 5)


def test_an_incident_begins_with_the_first_sessions_that_make_one():
    assert found(0, 10, 20, 200, running=5)[0].began_at == at(20)
    assert found(0, 150, 160, 170, running=5)[0].began_at == at(160)  # one that hung already begins nothing


@pytest.mark.parametrize(
    ("seconds", "running"),
    [
        ((0, 0), 2),  # too few
        ((0, 0, 0), 6),  # a half is not most
        ((0, 0, 400), 3),  # one fell silent long after the others
        ((0, 301, 602), 3),  # each of them alone
        ((), 3),
    ],
)
def test_what_is_none(seconds, running):
    assert found(*seconds, running=running) == []


def test_the_window_is_inclusive():
    assert found(0, 0, WINDOW.total_seconds(), running=3) != []
    assert found(0, 0, WINDOW.total_seconds() + 1e-6, running=3) == []


def test_one_that_hangs_since_yesterday_is_no_part_of_it():
    (incident,) = found(-86400, 0, 1, 2, running=5)
    assert incident.sessions == (2, 3, 4)


def test_being_quiet_alone_is_no_news():
    assert found(0, 0, 0, running=3, liveness="quiet") == []
    mixed = [*silences(0, 0, liveness="quiet"), Silence(session_id=9, place=LAPTOP, liveness="stuck", heard_at=at(0))]
    assert incidents(mixed, running={LAPTOP: 3}, now=NOW)[0].count == 3


def test_whoever_still_sends_heartbeats_is_not_silent():
    fresh = NOW - timedelta(seconds=5)
    beating = [Silence(session_id=n, place=LAPTOP, liveness="stuck", heard_at=fresh) for n in range(5)]
    assert incidents(beating, running={LAPTOP: 5}, now=NOW) == []


def test_sources_and_owners_are_apart_and_the_oldest_stands_first():
    rows = silences(60, 60, 60, place=LAPTOP) + silences(0, 0, 0, place=DESK) + silences(0, 0, place=(2, "laptop"))
    found = incidents(rows, running={LAPTOP: 3, DESK: 3, (2, "laptop"): 2}, now=NOW)
    assert [incident.source for incident in found] == ["desk", "laptop"]


def vanish(owner, count, *, source="laptop"):
    sessions = [make_session(owner, source=source) for _ in range(count)]
    for session in sessions:
        make_events(session, {"type": "turn_start", "turn_id": "t"}, now=T0)
        protocol.heartbeat(session.pk, interval_seconds=20, now=T0)
    return sessions


@pytest.mark.django_db
def test_a_laptop_with_ten_sessions_that_falls_asleep(django_assert_num_queries):
    owner, stranger = make_user(), make_user()
    sessions = vanish(owner, 10)
    awake = make_session(owner)
    make_events(awake, {"type": "turn_start", "turn_id": "t"}, now=at(110))
    waits = make_session(owner)
    make_events(waits, {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "a"}, now=T0)
    other = vanish(stranger, 2, source="laptop")
    liveness.watch(now=at(120))
    with django_assert_num_queries(3):
        (incident,) = ongoing(owner.pk, now=at(120))
    assert (incident.count, incident.running, incident.since) == (10, 11, T0)
    assert incident.sessions == tuple(session.pk for session in sessions)
    assert ongoing(stranger.pk, now=at(120)) == []
    assert len(other) < AT_LEAST
    for session in sessions[:6]:
        make_events(session, {"type": "info"}, now=at(130))
    assert ongoing(owner.pk, now=at(130)) == []


@pytest.mark.django_db
def test_where_nothing_is_adrift_one_look_is_enough(django_assert_num_queries):
    vanish(make_user(), 3)
    with django_assert_num_queries(1):
        assert ongoing(None, now=T0) == []


@pytest.mark.django_db
def test_who_is_confined_sees_the_own_and_the_public_and_staff_sees_all_places():
    owner, stranger = make_user(), make_user()
    for who, source in ((owner, "laptop"), (owner, "server"), (stranger, "laptop")):
        vanish(who, 3, source=source)
    liveness.watch(now=at(120))

    def places(owner_id):
        return sorted((one.owner_id, one.source, one.count, one.running) for one in ongoing(owner_id, now=at(120)))

    own = [(owner.pk, "laptop", 3, 3), (owner.pk, "server", 3, 3)]
    others = [(stranger.pk, "laptop", 3, 3)]
    assert places(owner.pk) == own
    assert places(None) == sorted(own + others)
    found = ongoing_of([owner.pk], now=at(120))
    assert sorted((one.owner_id, one.source, one.count, one.running) for one in found) == own
    assert len(ongoing_of([owner.pk, stranger.pk], now=at(120))) == 3
    Session.objects.filter(owner=stranger).update(visibility="PUBLIC")
    assert places(owner.pk) == sorted(own + others)
