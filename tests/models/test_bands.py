"""The wall's bands and the contracts' lists of what runs and what is stuck."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from sessions.models import Band, Liveness, Needs, Session, State, overview
from tests.factories import make_copies, make_session, make_user
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def make_one(name: str, owner, **columns) -> Session:
    session = make_session(owner, title=name, created_at=ago(1000))
    Session.objects.filter(pk=session.pk).update(**columns)
    session.refresh_from_db()
    return session


def names(rows) -> list[str]:
    return [session.title for session in rows]


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("liveness", Liveness.values)
@pytest.mark.parametrize("needs", Needs.values)
def test_every_session_stands_in_exactly_the_band_that_it_names(state, liveness, needs):
    started = NOW if state == "running" else None
    session = make_one("s", make_user(), state=state, liveness=liveness, needs=needs, turn_started_at=started)
    standing = [band for band in Band.values if Session.objects.in_band(band).exists()]
    assert standing == [session.band]


def test_who_needs_a_person_stands_by_how_long_it_has_waited():
    owner = make_user()
    for name, minutes in (("second", 5), ("third", 1), ("first", 50)):
        make_one(name, owner, needs="approval", needs_since=ago(minutes))
    assert names(Session.objects.in_band(Band.NEEDS)) == ["first", "second", "third"]


def test_who_is_adrift_stands_by_how_long_it_made_no_progress():
    owner = make_user()
    make_one("second", owner, state="running", liveness="lost", progressed_at=ago(10))
    make_one("first", owner, state="running", liveness="stuck", progressed_at=ago(90))
    assert names(Session.objects.in_band(Band.ADRIFT)) == ["first", "second"]


def test_who_runs_stands_by_how_long_the_turn_has_been():
    owner = make_user()
    for name, minutes in (("second", 5), ("first", 50)):
        make_one(name, owner, state="running", liveness="live", turn_started_at=ago(minutes))
    assert names(Session.objects.in_band(Band.RUNNING)) == ["first", "second"]


def test_the_rest_stands_newest_first_and_ties_by_birth():
    owner = make_user()
    for name, minutes in (("third", 7), ("second", 7), ("first", 1)):
        make_one(name, owner, last_activity_at=ago(minutes))
    assert names(Session.objects.in_band(Band.RECENT)) == ["first", "second", "third"]


def test_ties_stand_by_birth_in_every_band():
    owner = make_user()
    for name in ("first", "second"):
        make_one(name, owner, needs="input", needs_since=ago(1))
    assert names(Session.objects.waiting()) == ["first", "second"]


def test_counts_are_those_of_the_bands():
    owner = make_user()
    make_one("needs", owner, needs="approval", needs_since=ago(1), last_activity_at=ago(60 * 30))
    make_one("adrift", owner, state="running", liveness="stuck", last_activity_at=ago(60 * 30))
    make_one("running", owner, state="running", liveness="live", last_activity_at=ago(1))
    make_one("recent", owner, last_activity_at=ago(2))
    counts = {"needs": 1, "adrift": 1, "running": 1, "today": 2}
    assert overview.band_counts(owner, now=NOW) == counts
    assert overview.band_counts(make_user(is_staff=True), now=NOW) == counts
    assert overview.band_counts(make_user(), now=NOW) == dict.fromkeys(counts, 0)


def test_stuck_means_strictly_older_than_the_threshold():
    owner = make_user()
    moment = timedelta(microseconds=1)
    for name, started in (("older", ago(5) - moment), ("exactly", ago(5)), ("younger", ago(5) + moment)):
        make_one(name, owner, state="running", turn_started_at=started)
    assert names(Session.objects.stuck(threshold=timedelta(minutes=5), now=NOW)) == ["older"]


def test_stuck_are_the_running_with_a_start_oldest_first():
    owner = make_user()
    make_one("second", owner, state="running", turn_started_at=ago(10))
    make_one("first", owner, state="running", turn_started_at=ago(20))
    make_one("without a start", owner, state="running", turn_started_at=None)
    make_one("idle", owner, state="idle")
    make_one("failed", owner, state="error")
    assert names(Session.objects.stuck(threshold=timedelta(minutes=5), now=NOW)) == ["first", "second"]
    assert names(Session.objects.stuck(threshold=timedelta(0), now=NOW)) == ["first", "second"]


def test_the_literal_list_of_stuck_does_not_ask_what_the_server_concluded():
    owner = make_user()
    make_one("waits", owner, state="running", turn_started_at=ago(10), needs="approval", needs_since=ago(9))
    make_one("lives", owner, state="running", turn_started_at=ago(10), liveness="live")
    assert len(Session.objects.stuck(threshold=timedelta(minutes=5), now=NOW)) == 2


def test_running_is_what_the_agent_said():
    owner = make_user()
    for state in State.values:
        make_one(state, owner, state=state, liveness="lost")
    assert names(Session.objects.running()) == ["running"]


@pytest.mark.parametrize(
    ("columns", "look"),
    [
        ({"needs": "input", "state": "error"}, "needs"),
        ({"state": "error"}, "failed"),
        ({"state": "running", "liveness": "lost"}, "lost"),
        ({"state": "idle", "liveness": "resting"}, "resting"),
    ],
)
def test_one_word_chooses_icon_and_colour(columns, look):
    assert make_one("s", make_user(), **columns).look == look


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL plans by how much there is")
@pytest.mark.parametrize("is_staff", [True, False])
def test_what_rests_costs_the_upper_bands_nothing(is_staff):
    owner = make_user(is_staff=is_staff)
    for needs, liveness, state in (("input", "live", "idle"), ("", "stuck", "idle"), ("", "live", "running")):
        make_one("s", owner, needs=needs, liveness=liveness, state=state)

    def count_steps() -> int:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        rows = Session.objects.visible_to(owner).active()
        with counted_steps() as steps:
            for band in (Band.NEEDS, Band.ADRIFT, Band.RUNNING):
                assert rows.in_band(band).order_by().count() == len(rows.in_band(band)) == 1
        return steps.count

    resting = make_session(owner)
    make_copies(resting, 100)
    few = count_steps()
    make_copies(resting, 900)
    assert count_steps() <= few
