"""Session.record: the one way in which a change reaches the database, the log and the bell."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions import protocol, transcripts
from sessions.models import Event, EventDraft, Session
from sessions.signals import event_recorded
from tests.factories import make_session
from tests.models.bells import listening

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THREADS = 8
TURNS_EACH = 12


def record(session: Session, *types: str, **changes) -> list[Event]:
    with transaction.atomic():
        locked = Session.objects.locked(session.pk)
        for name, value in changes.items():
            setattr(locked, name, value)
        return locked.record([EventDraft(type=name) for name in types], now=NOW)


@pytest.mark.django_db
def test_events_get_the_next_numbers_in_order():
    session = make_session()
    assert [event.seq for event in record(session, "info", "warn")] == [2, 3]
    assert [event.seq for event in record(session, "info")] == [4]
    assert list(session.events.order_by("seq").values_list("seq", "type")) == [
        (1, "server.session_created"), (2, "info"), (3, "warn"), (4, "info"),
    ]  # fmt: skip
    session.refresh_from_db()
    assert session.last_seq == 4


@pytest.mark.django_db
def test_numbers_of_one_session_are_no_business_of_another():
    first, second = make_session(), make_session()
    record(first, "info", "info")
    assert [event.seq for event in record(second, "info")] == [2]


@pytest.mark.django_db
def test_only_the_columns_that_changed_are_written():
    session = make_session()
    with CaptureQueriesContext(connection) as captured:
        record(session, "info", title="new")
    update = next(query["sql"] for query in captured if query["sql"].startswith("UPDATE"))
    written = {
        name
        for name in (field.column for field in Session._meta.concrete_fields)
        if f'"{name}" =' in update.split("WHERE")[0]
    }
    assert written == {"title", "last_seq", "revision", "updated_at"}


@pytest.mark.django_db
def test_a_column_that_another_writes_meanwhile_is_left_alone():
    session = make_session(title="old")
    with transaction.atomic():
        locked = Session.objects.locked(session.pk)
        Session.objects.filter(pk=session.pk).update(provider="elsewhere")
        locked.doing = "Thinking"
        locked.record([EventDraft(type="info")], now=NOW)
    session.refresh_from_db()
    assert (session.provider, session.doing) == ("elsewhere", "Thinking")


@pytest.mark.django_db
def test_recording_twice_in_one_transaction_goes_on_counting():
    session = make_session()
    with transaction.atomic():
        locked = Session.objects.locked(session.pk)
        first = locked.record([EventDraft(type="info")], now=NOW)
        second = locked.record([EventDraft(type="info")], now=NOW)
    assert [event.seq for event in (*first, *second)] == [2, 3]
    session.refresh_from_db()
    assert (session.last_seq, session.revision) == (3, 3)


@pytest.mark.django_db
def test_each_write_grows_the_revision_and_notes_the_time():
    session = make_session()
    before = session.revision
    record(session)
    session.refresh_from_db()
    assert session.revision == before + 1
    assert session.updated_at == NOW


@pytest.mark.django_db
def test_activity_moves_only_when_told():
    session = make_session(created_at=NOW - timedelta(days=1))
    record(session, "info")
    session.refresh_from_db()
    assert session.last_activity_at == NOW - timedelta(days=1)
    with transaction.atomic():
        Session.objects.locked(session.pk).record([], now=NOW, activity_at=NOW)
    session.refresh_from_db()
    assert session.last_activity_at == NOW


@pytest.mark.django_db(transaction=True)
def test_the_bell_rings_after_commit_with_the_newest_number():
    session = make_session()
    with listening() as heard:
        with transaction.atomic():
            Session.objects.locked(session.pk).record([EventDraft(type="a"), EventDraft(type="b")], now=NOW)
            assert heard == []
        assert heard == [(session.pk, 3)]


@pytest.mark.django_db(transaction=True)
def test_the_bell_is_silent_when_nothing_is_told():
    session = make_session()
    with listening() as heard:
        record(session, title="new")
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_no_event_no_gap_and_no_ring():
    session = make_session()
    with listening() as heard:
        with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
            Session.objects.locked(session.pk).record([EventDraft(type="lost")], now=NOW)
            raise RuntimeError
        record(session, "kept")
    assert list(session.events.order_by("seq").values_list("seq", "type"))[1:] == [(2, "kept")]
    assert heard == [(session.pk, 2)]


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_fails_does_not_undo_the_change():
    session = make_session()

    def fail(**_rest):
        raise RuntimeError("a listener of the test")

    event_recorded.connect(fail)
    try:
        record(session, "kept")
    finally:
        event_recorded.disconnect(fail)
    assert session.events.filter(type="kept").exists()


@pytest.mark.django_db(transaction=True)
def test_eight_writers_leave_no_gap_and_lose_no_update():
    session = make_session()

    def write(number: int) -> None:
        try:
            for turn in range(TURNS_EACH):
                draft = transcripts.MessageDraft(role="user", content=f"{number}.{turn}")
                transcripts.append(session.pk, [draft])
                protocol.ingest(session.pk, [EventDraft(type="turn_start", turn_id=f"{number}.{turn}")])
        finally:
            connection.close()

    with listening() as heard, ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(write, number) for number in range(THREADS)]:
            done.result()
    session.refresh_from_db()
    seqs = list(session.events.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, session.last_seq + 1))
    assert session.message_count == session.messages.count() == THREADS * TURNS_EACH
    assert session.turn_count == session.turns.count() == THREADS * TURNS_EACH
    assert session.turns.open().count() == 1
    assert max(seq for _, seq in heard) == session.last_seq
    assert len(heard) == 2 * THREADS * TURNS_EACH


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "queries"), [(0, 1), (19, 1), (20, 2), (45, 3)])
def test_the_log_is_read_on_from_a_place_in_order_and_a_few_events_at_a_time(count, queries):
    session, other = make_session(), make_session()
    before = session.last_seq
    record(session, *map(str, range(1, count + 1)))
    record(other, "elsewhere")
    with CaptureQueriesContext(connection) as asked:
        found = list(Event.objects.told_after(session.pk, before))
    assert [event.type for event in found] == list(map(str, range(1, count + 1)))
    assert [event.seq for event in found] == list(range(before + 1, before + count + 1))
    assert len(asked) == queries
    with CaptureQueriesContext(connection) as asked:
        first = next(Event.objects.told_after(session.pk, before), None)
    assert (first is None, len(asked)) == (count == 0, 1)
