"""retention: whole sessions, stale and deleted."""

from contextlib import suppress

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import pool, retention
from sessions.models import CheckpointPiece, Receipt, Session
from sessions.retention import Policy, Rule, rows
from tests.api.stakpak.calling import says, storage_of
from tests.api.stakpak.rust import StorageError
from tests.factories import make_copies, make_message, make_session, make_user
from tests.models.bells import listening
from tests.purging import purge
from tests.retention.words import NOW, days_ago, places_of, speak
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db
WORD = "qzvaxolotl"


def make_old(days=40, **facts):
    return make_session(now=days_ago(days), **facts)


def left():
    return set(Session.objects.all())


def test_a_stale_session_goes_with_all_that_it_said():
    session = make_old(title=f"About {WORD}")
    speak(session, WORD, at=days_ago(40))
    young = make_old(10)
    purged = purge("stale", 24 * 30, now=NOW)
    assert left() == {young}
    assert places_of(WORD) == set()
    assert (purged.counts["sessions"], purged.counts["messages"]) == (1, 3)
    assert purged.size > 200


@pytest.mark.parametrize(("hours", "goes"), [(239, True), (240, False), (241, False)])
def test_the_age_is_exceeded_strictly(hours, goes):
    make_old(10)
    purge("stale", hours, now=NOW)
    assert bool(left()) is not goes


def test_one_that_runs_stays_unless_it_is_wanted_too():
    session = make_old()
    speak(session, WORD, at=days_ago(40))
    Session.objects.filter(pk=session.pk).update(state="running")
    assert purge("stale", 1, now=NOW).counts == {}
    assert purge("stale", 1, now=NOW, include_running=True).counts["sessions"] == 1


def test_all_hours_must_be_forced():
    make_old()
    purge("stale", 0, now=NOW, is_forced=True)
    assert left() == set()


def test_one_below_which_a_younger_one_stands_stays_and_is_told_of():
    parent = make_old()
    child = make_old(1, owner=parent.owner, parent=parent)
    found = retention.preview(Rule(policy=Policy.STALE, age=24), now=NOW)
    assert (found.count, found.kept) == (0, 1)
    purge("stale", 24, now=NOW)
    assert left() == {parent, child}


def test_those_below_are_counted_as_their_own():
    parent = make_old()
    make_old(owner=parent.owner, parent=parent)
    found = retention.preview(Rule(policy=Policy.STALE, age=24), now=NOW)
    assert found.count == purge("stale", 24, now=NOW).counts["sessions"] == 2


def test_one_below_another_persons_session_keeps_it():
    parent = make_old()
    make_old(owner=make_user(), parent=parent)
    assert purge("stale", 24, now=NOW, within=Session.objects.filter(owner=parent.owner)).counts == {}


@pytest.mark.parametrize(("days", "goes"), [(0, True), (9, True), (10, False)])
def test_a_deleted_session_goes_so_long_after_its_deletion(days, goes):
    session, kept = make_old(), make_old()
    session.remove(by="user:1", now=days_ago(10))
    purge("deleted", days, now=NOW)
    assert left() == ({kept} if goes else {session, kept})


def test_a_sub_agents_session_goes_with_its_deleted_parent_and_a_fork_keeps_it():
    parent, forked = make_old(), make_old()
    make_old(owner=parent.owner, parent=parent, parent_tool_call_id="task")
    fork = make_old(owner=forked.owner, parent=forked)
    for session in (parent, forked):
        session.remove(by="user:1", now=days_ago(10))
    assert purge("deleted", 1, now=NOW).counts["sessions"] == 2
    assert left() == {forked, fork}


def test_people_purge_only_what_they_may():
    mine, theirs = make_old(), make_old()
    assert purge("stale", 1, now=NOW, within=Rule.of(mine.owner, "stale", 1).within).counts["sessions"] == 1
    assert left() == {theirs}
    boss = make_user(is_staff=True)
    assert retention.preview(Rule.of(boss, "stale", 1), now=NOW).count == 1


def test_whoever_watches_it_is_told(django_capture_on_commit_callbacks):
    session = make_old()
    with listening() as heard, django_capture_on_commit_callbacks(execute=True):
        purge("stale", 1, now=NOW)
    assert [pk for pk, _ in heard] == [session.pk]


def test_a_large_one_goes_piece_by_piece_and_stands_in_no_list_meanwhile(monkeypatch):
    monkeypatch.setattr(rows, "MESSAGES_AT_ONCE", 4)
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 5)
    session = make_old()
    for _ in range(4):
        speak(session, WORD, at=days_ago(40))
    found = retention.preview(Rule(policy=Policy.STALE, age=24), now=NOW)
    looks = iter([False] * 3 + [True] * 50)
    stopped = retention.purge(
        Rule(policy=Policy.STALE, age=24), by="test", now=NOW, is_told_to_stop=lambda: next(looks)
    )
    session.refresh_from_db()
    assert not stopped.is_complete
    assert session.is_deleted
    assert 0 < session.messages.count() < 12
    assert session.message_count == session.messages.count(), "the counters follow"
    rest = purge("stale", 24, now=NOW)
    assert left() == set()
    assert places_of(WORD) == set()
    assert stopped.counts["messages"] + rest.counts["messages"] == found.counts["messages"] == 12
    assert [receipt.is_complete for receipt in Receipt.objects.order_by("pk")] == [False, True]


@pytest.mark.parametrize("many", [1, 6])
def test_what_a_purge_notes_on_its_way_is_no_part_of_what_it_destroys(many, monkeypatch):
    monkeypatch.setattr(rows, "MESSAGES_AT_ONCE", 4)
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 5)
    session = make_old()
    for _ in range(many):
        speak(session, WORD, at=days_ago(40))
    found = retention.preview(Rule(policy=Policy.STALE, age=24), now=NOW)
    done = purge("stale", 24, now=NOW)
    assert left() == set()
    assert {name: done.counts.get(name, 0) for name in found.counts} == found.counts
    assert done.size == found.size


def test_a_half_purged_one_reads_or_has_no_checkpoint_at_every_door(monkeypatch):
    monkeypatch.setattr(rows, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 2)
    monkeypatch.setattr(pool, "PIECE_MESSAGES", 2)
    owner = make_user(is_staff=True)
    storage, browser = storage_of(owner), Client()
    browser.force_login(owner)
    history = [says(f"step {number}") for number in range(7)]
    uuid = storage.create_session("old", history[:1])["session_id"]
    for count in range(2, 8):
        newest = storage.create_checkpoint(uuid, history[:count])
    session = Session.objects.get(uuid=uuid)
    piece_counts, reads = [], []
    while Session.objects.filter(pk=session.pk).exists():
        calls = iter([False, True])
        rule = Rule(policy=Policy.STALE, age=0, is_forced=True)
        retention.purge(rule, by="test", now=timezone.now(), is_told_to_stop=lambda calls=calls: next(calls))
        if not Session.objects.filter(pk=session.pk).exists():
            break
        piece_counts.append(CheckpointPiece.objects.filter(session=session).count())
        reads.append(status_of(lambda: storage.get_session(uuid), storage))
        assert status_of(lambda: storage.get_checkpoint(newest["id"]), storage) == reads[-1]
        states = status_of(lambda: storage.list_checkpoints(uuid, include_state=True), storage)
        assert states == reads[-1]
        assert browser.get(f"/api/v1/sessions/{uuid}/checkpoints/active").status_code == reads[-1]
        assert browser.get(f"/api/v1/sessions/{uuid}/checkpoints?include_state=true").status_code == 200
        assert [browser.get(f"/sessions/{uuid}/{tab}").status_code for tab in ("", "checkpoints/")] == [200, 200]
    assert len(set(piece_counts)) > 2, "it was stopped between two pieces"
    assert set(reads) == {200, 404}
    assert reads == sorted(reads)


def status_of(ask, storage):
    with suppress(StorageError):
        ask()
    return storage.status


def test_one_that_comes_to_life_meanwhile_stays():
    session, other = make_old(), make_old(39)

    def wake(done, _of):
        if done == 0:
            make_message(other, content="I am back")

    purged = retention.purge(Rule(policy=Policy.STALE, age=24), by="test", now=NOW, tell=wake)
    assert purged.session_ids == [session.pk]
    assert left() == {other}


def test_what_a_receipt_says():
    owner = make_user()
    make_old(owner=owner, source="ops")
    rule = Rule.of(owner, "stale", 24, source="ops")
    receipt = retention.purge(rule, by="user:1", now=NOW, previewed=1).receipt
    receipt.refresh_from_db()
    assert (receipt.policy, receipt.rule) == ("stale", "not used for more than 24 hours, source ops")
    assert receipt.criteria == {"ttl_hours": 24, "project": "", "source": "ops", "include_running": False}
    assert (receipt.owner, receipt.by, receipt.previewed, receipt.session_count) == (owner, "user:1", 1, 1)
    assert receipt.counts["sessions"] == 1
    assert receipt.is_complete
    assert receipt.bytes_before > 0
    assert list(Receipt.objects.visible_to(owner)) == [receipt]
    assert not Receipt.objects.visible_to(make_user()).exists()


def test_the_size_of_what_would_go_is_the_measured_one_where_there_is_one():
    session = make_old()
    speak(session, WORD, at=days_ago(40))
    rule = Rule(policy=Policy.STALE, age=24)
    counted = retention.preview(rule, now=NOW).size
    retention.measure(seconds=9)
    assert retention.preview(rule, now=NOW).size == counted > 200
    assert purge("stale", 24, now=NOW).size == counted


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL plans by how much there is")
@pytest.mark.parametrize("policy", [Policy.STALE, Policy.DELETED])
def test_a_preview_passes_over_what_is_not_due(policy):
    old = make_old()
    old.remove(by="test", now=days_ago(40))
    young = make_session(now=NOW)

    def count_steps() -> int:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        with counted_steps() as steps:
            assert retention.preview(Rule(policy=policy, age=24), now=NOW).session_ids == [old.pk]
        return steps.count

    make_copies(young, 100)
    few = count_steps()
    make_copies(young, 2_000)
    assert count_steps() <= few * 1.1


@pytest.mark.parametrize("policy", [Policy.STALE, Policy.DELETED])
def test_a_preview_asks_as_often_for_ten_sessions_as_for_a_thousand(policy):
    session = make_old()
    speak(session, WORD, at=days_ago(40))
    if policy is Policy.DELETED:
        session.remove(by="test", now=days_ago(40))

    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            found = retention.preview(Rule(policy=policy, age=24), now=NOW)
        assert found.counts == {**found.counts, "sessions": Session.objects.count(), "messages": 3}
        return len(queries)

    session.refresh_from_db()
    make_copies(session, 10)
    few = count_queries()
    make_copies(session, 990)
    assert count_queries() == few


def test_a_preview_tells_since_when_those_are_due_that_go_and_names_the_largest_first():
    staying = make_old(90)
    make_old(1, owner=staying.owner, parent=staying)
    going = [make_old(age) for age in (60, 50, 40)]
    speak(going[1], WORD, at=days_ago(50))
    found = retention.preview(Rule(policy=Policy.STALE, age=24 * 30), now=NOW)
    assert (found.oldest, found.newest) == (days_ago(60), days_ago(40))
    assert [one.session for one in found.largest] == [going[1], going[0], going[2]]


def test_a_preview_tells_since_when_one_is_due_that_follows_its_parent():
    parent = make_old(50, source="laptop")
    make_old(40, owner=parent.owner, parent=parent, source="elsewhere")
    found = retention.preview(Rule(policy=Policy.STALE, age=24 * 30, source="laptop"), now=NOW)
    assert (found.count, found.oldest, found.newest) == (2, days_ago(50), days_ago(40))
