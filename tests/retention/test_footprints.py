"""retention.measure and retention.kept: how much is kept, by source and project."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions import compaction, following, retention
from sessions.models import Event, Footprint, FootprintMark, Session, log_mark
from sessions.retention import footprints
from tests.factories import make_events, make_message, make_session, make_user
from tests.purging import purge

pytestmark = pytest.mark.django_db


def shelves(owner_id=None):
    return [(one.source, one.project_root, one.session_count) for one in retention.kept(owner_id).shelves]


def test_what_is_kept_is_summed_by_source_and_project_the_largest_first():
    ada = make_user()
    for number in range(3):
        make_message(make_session(ada, source="laptop", project_root="/a"), content="x" * 1000 * number)
    make_message(make_session(ada, source="laptop", project_root="/b"), content="x" * 50_000)
    make_session(source="ops")
    assert retention.measure(seconds=9) == 5
    assert shelves() == [("laptop", "/b", 1), ("laptop", "/a", 3), ("ops", "", 1)]
    assert shelves(ada.pk) == [("laptop", "/b", 1), ("laptop", "/a", 3)]
    assert retention.kept(None).all.session_count == 5


def test_messages_events_and_what_is_archived_are_measured_in_bytes():
    session = make_session()
    make_message(session, content="größe")
    make_events(session, {"type": "text_delta", "text": "some words"})
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    retention.measure(seconds=9)
    one = Footprint.objects.get()
    assert (one.message_count, one.archived_count, one.archived_size) == (3, 1, len("größe".encode()))
    assert one.size >= len("größe".encode()) + len("some words")
    assert one.born_at == session.created_at


def test_only_what_changed_is_measured_again():
    first, second = make_session(), make_session()
    retention.measure(seconds=9)
    assert retention.measure(seconds=9) == 0
    make_message(second)
    assert retention.measure(seconds=9) == 1
    first.remove(by="test")
    assert retention.measure(seconds=9) == 1
    assert Footprint.objects.get(session=first).is_deleted
    assert retention.kept(None).all.deleted_count == 1


def test_a_purge_shows_at_once_or_with_the_next_measure():
    gone, session = make_session(), make_session()
    make_message(session)
    gone.remove(by="test")
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    retention.measure(seconds=9)
    purge("deleted")
    assert retention.kept(None).all.session_count == 1
    purge("compacted")
    retention.measure(seconds=9)
    assert retention.kept(None).all.archived == 0


def test_it_goes_on_over_gaps_in_the_log_and_in_small_steps(monkeypatch):
    monkeypatch.setattr(log_mark, "EVENTS_AT_ONCE", 2)
    monkeypatch.setattr(following, "SESSIONS_AT_ONCE", 1)
    sessions = [make_session() for _ in range(6)]
    for session in sessions[1:5]:
        session.destroy()
    retention.measure(seconds=9)
    assert Footprint.objects.count() == Session.objects.count() == 2
    assert FootprintMark.objects.get().event == Event.objects.latest("pk").pk


def test_many_projects_are_cut_and_counted(django_assert_num_queries):
    ada = make_user()
    for number in range(footprints.SHELVES_SHOWN + 3):
        make_session(ada, project_root=f"/{number}")
    retention.measure(seconds=9)
    with django_assert_num_queries(1):
        kept = retention.kept(ada.pk)
    assert (len(kept.shelves), kept.more) == (footprints.SHELVES_SHOWN, 3)
    assert kept.all.session_count == footprints.SHELVES_SHOWN + 3


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL plans by how much there is")
def test_a_persons_sums_come_from_one_index_alone():
    ada = make_user()
    with CaptureQueriesContext(connection) as captured:
        retention.kept(ada.pk)
    for query in captured.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(row[-1] for row in cursor.fetchall())
        assert "USING COVERING INDEX footprint_sums" in plan, plan
