"""What every append reads and writes, with SQL that is made once."""

import uuid

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions.exceptions import NotFound
from sessions.models import ApiKey, Event, Message, SearchEntry, Session
from sessions.models.writing import born, changed_names, insert, update
from tests.factories import make_key, make_session, make_user
from tests.threads import in_threads

pytestmark = pytest.mark.django_db


def test_a_lookup_reads_each_row_as_django_does():
    for number in range(3):
        made = make_session(title=f"t{number}", mode="plan")
        found = Session.objects.readable(made.uuid, user=made.owner)
        assert vars(found).keys() >= {"id", "uuid", "title", "last_activity_at", "is_title_derived"}
        django = Session.objects.get(pk=made.pk)
        assert {f.attname: getattr(found, f.attname) for f in Session._meta.concrete_fields} == {
            f.attname: getattr(django, f.attname) for f in Session._meta.concrete_fields
        }


def test_a_lookup_is_one_query_and_finds_what_came_since_the_last():
    user = make_user()
    first = make_key(user).plain
    with CaptureQueriesContext(connection) as asked:
        key = ApiKey.objects.find(first)
        assert key is not None
        assert key.user.username == user.username  # loaded with it
    assert len(asked) == 1
    second = make_key(user).plain
    assert ApiKey.objects.find(second).pk != key.pk
    assert ApiKey.objects.find("koda_unknown") is None


def test_what_is_not_there_or_not_for_these_eyes_is_not_found():
    hidden = make_session()
    with pytest.raises(NotFound):
        Session.objects.readable(uuid.uuid4(), user=hidden.owner)
    with pytest.raises(NotFound):
        Session.objects.readable(hidden.uuid, user=make_user())
    with transaction.atomic(), pytest.raises(NotFound):
        Session.objects.locked(hidden.pk + 1000)


@pytest.mark.django_db(transaction=True)
def test_each_thread_has_a_lookup_on_its_own_connection():
    made = make_session(title="seen from afar")
    found = in_threads(lambda: Session.objects.readable(made.uuid, user=made.owner).title)
    assert found == ["seen from afar"] * 3


def message(session, **facts):
    return Message(session=session, role="user", created_at=session.created_at, **facts)


def test_rows_go_in_as_many_at_once_as_a_statement_takes_and_read_back_as_they_were():
    session = make_session()
    rows = [message(session, content=f"m{number}", tool_calls=[{"id": f"c{number}"}]) for number in range(1200)]
    with CaptureQueriesContext(connection) as asked:
        assert insert(rows) == rows
    assert len(asked) < 60
    stored = list(Message.objects.order_by("pk"))
    assert [row.pk for row in stored] == [row.pk for row in rows]
    assert [(row.content, row.tool_calls) for row in stored] == [(row.content, row.tool_calls) for row in rows]
    assert not rows[0]._state.adding
    assert insert([]) == []


def test_values_are_prepared_by_their_fields():
    session = make_session()
    (row,) = insert([message(session, content="a\x00b\ud800", thinking=None, tool_calls=None)])
    row.refresh_from_db()
    assert row.content == "a\ufffdb\ufffd"
    assert row.thinking is None
    assert row.tool_calls is None


def test_a_constraint_holds():
    session = make_session()
    event = Event.objects.filter(session=session).get()
    with pytest.raises(IntegrityError), transaction.atomic():
        insert([Event(session=session, seq=event.seq, type="again", received_at=event.received_at)])


def test_columns_that_no_row_fills_stay_null_and_the_others_keep_each_row_its_own():
    session = make_session()
    rows = [message(session, content=text, model=model) for text, model in [("a", None), (None, "opus"), ("a", "opus")]]
    with CaptureQueriesContext(connection) as asked:
        insert(rows)
    assert "thinking" not in asked[0]["sql"]
    stored = Message.objects.order_by("pk").values_list("content", "model", "thinking")
    assert list(stored) == [("a", None, None), (None, "opus", None), ("a", "opus", None)]


def test_an_update_writes_the_attributes_that_are_named_and_no_others():
    session = make_session()
    session.title, session.beats, session.mode, session.model = "new", [[1, 2]], None, "opus"
    with CaptureQueriesContext(connection) as asked:
        update(session, ["title", "beats", "mode"])
    assert len(asked) == 1
    stored = Session.objects.get(pk=session.pk)
    assert (stored.title, stored.beats, stored.mode, stored.model) == ("new", [[1, 2]], None, None)
    with CaptureQueriesContext(connection) as asked:
        update(session, [])
    assert len(asked) == 0


def test_an_update_of_a_row_that_is_gone_fails():
    session = make_session()
    session.pk += 1000
    with pytest.raises(DatabaseError, match="There is no row"):
        update(session, ["title"])


def test_what_changed_of_a_row_is_told_by_its_columns():
    session = make_session(title="old")
    before = vars(session).copy()
    assert changed_names(session, before) == []
    session.title, session.beats, session.updated_at = "new", [[1, 2]], session.updated_at.replace()
    assert set(changed_names(session, before)) == {"title", "beats"}


def test_a_row_that_is_born_is_what_the_model_would_make():
    session = make_session()
    for model, facts in (
        (Message, {"role": "user", "content": "a"}),
        (Event, {"seq": 7, "type": "info", "received_at": session.created_at}),
        (SearchEntry, {"words": ["a"]}),
    ):
        row, usual = born(model, session_id=session.pk, **facts), model(session_id=session.pk, **facts)
        assert vars(row).keys() == vars(usual).keys()
        assert {name: value for name, value in vars(row).items() if name != "_state"} == {
            name: value for name, value in vars(usual).items() if name != "_state"
        }
        assert row._state.adding
        assert row.session == session
    assert born(Event).payload is not born(Event).payload
