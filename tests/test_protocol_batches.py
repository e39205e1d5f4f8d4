"""The turn protocol: batches are taken whole, once, and rung once."""

from datetime import timedelta

import pytest

from sessions import protocol
from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Event, EventDraft, Session
from sessions.models.fields import clean_json
from tests.engine_events import CALL, NOW, RESULT, START, end, turns_of
from tests.factories import make_events, make_session
from tests.models.bells import listening

pytestmark = pytest.mark.django_db


def test_the_same_event_id_is_stored_once():
    session = make_session()
    first = make_events(session, {**START, "event_id": "1"}, {"type": "info", "event_id": "2"})
    again = make_events(
        session, {**START, "event_id": "1"}, {"type": "info", "event_id": "2"}, {"type": "info", "event_id": "3"}
    )
    assert (first.stored, first.duplicates, again.stored, again.duplicates) == (2, 0, 1, 2)
    assert again.last_seq == first.last_seq + 1
    assert session.turns.count() == 1


def test_a_repeat_in_one_batch_is_stored_once():
    done = make_events(make_session(), {"type": "info", "event_id": "1"}, {"type": "info", "event_id": "1"})
    assert (done.stored, done.duplicates) == (1, 1)


def test_a_batch_of_repeats_only_changes_nothing_at_all():
    session = make_session()
    make_events(session, {**START, "event_id": "1"})
    before = Session.objects.values().get(pk=session.pk)
    done = make_events(session, {**START, "event_id": "1"}, now=NOW + timedelta(days=1))
    assert (done.stored, done.duplicates, done.last_seq) == (0, 1, before["last_seq"])
    assert Session.objects.values().get(pk=session.pk) == before


def test_each_of_a_joined_run_is_known_again():
    session = make_session()
    deltas = [{"type": "text_delta", "text": letter, "event_id": letter} for letter in "abcd"]
    first = make_events(session, *deltas)
    assert first.stored == 4
    again = make_events(session, *deltas[1:3], {"type": "text_delta", "text": "e", "event_id": "e"})
    assert (again.stored, again.duplicates) == (1, 2)
    rows = session.events.filter(type="text_delta").order_by("seq")
    assert [row.payload["text"] for row in rows] == ["abcd", "e"]
    assert rows[0].parts() == ["a", "b", "c", "d"]


def test_ids_are_of_one_session_only():
    for session in (make_session(), make_session()):
        assert make_events(session, {"type": "info", "event_id": "1"}).stored == 1


def test_a_bad_item_keeps_the_whole_batch_out_and_is_named():
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    with pytest.raises(InvalidRequest) as refused:
        make_events(session, START, {"type": "tool_call_start", "id": "c"}, {"type": "server.x"})
    assert [error.field for error in refused.value.errors] == ["events.1.name", "events.2.type"]
    assert Session.objects.values().get(pk=session.pk) == before
    assert Event.objects.filter(session=session).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_batch_rings_once_with_its_newest_number():
    session = make_session()
    with listening() as heard:
        done = make_events(session, START, CALL, RESULT, end())
    assert heard == [(session.pk, done.last_seq)]


def test_an_unknown_session_is_not_found():
    with pytest.raises(NotFound):
        protocol.ingest(10**9, [EventDraft(type="info")])


def test_an_empty_batch_is_no_batch():
    session = make_session()
    done = protocol.ingest(session.pk, [])
    assert (done.stored, done.duplicates, done.last_seq) == (0, 0, 1)


def test_a_payload_is_kept_as_it_came():
    session = make_session()
    payload = {"z": 1, "a": {"y": [], "x": None}, "big": 10**30, "f": 1.0, "text": "\x00"}
    protocol.ingest(session.pk, [EventDraft(type="odd", payload=payload)])
    assert list(session.events.get(type="odd").payload.items()) == list(clean_json(payload).items())


def test_empty_ids_are_no_ids():
    session = make_session()
    for _ in range(2):
        assert make_events(session, {"type": "info", "event_id": ""}, {"type": "info", "event_id": ""}).stored == 2
    assert session.events.filter(type="info", event_id=None).count() == 4


def test_two_ends_of_one_turn_are_one_end():
    session = make_session()
    make_events(session, START, end(), end("error"))
    assert turns_of(session) == [("t", "complete")]


def test_an_end_that_is_sent_again_is_a_duplicate_and_no_fault():
    session = make_session()
    make_events(session, START, {**end(), "event_id": "e"})
    again = make_events(session, {**end(), "event_id": "e"})
    assert (again.stored, again.duplicates) == (0, 1)


def test_a_turn_abandoned_in_this_very_batch_does_not_end_again():
    session = make_session()
    make_events(session, START, {**START, "turn_id": "u"}, end())
    assert turns_of(session) == [("t", "abandoned"), ("u", None)]
