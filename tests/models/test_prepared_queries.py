"""Queries that are built once: they find what Django finds, for the values of each call."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, models
from django.db.models import Count, F, OuterRef, Subquery, Value
from django.db.models.functions import Substr
from django.test.utils import CaptureQueriesContext

from sessions.models import Message, Session, ToolCall
from sessions.models.among import Among, give
from sessions.models.prepared import MOST_COUNTED, Prepared, count_of, counts_of, known, prepared, prepared_change
from tests.factories import make_events, make_message, make_session, make_user, multiply
from tests.threads import in_threads

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def columns_of(row: models.Model) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}


@pytest.fixture
def talk() -> Session:
    session = make_session(title="talk")
    for number in range(5):
        make_message(session, role=("user", "assistant")[number % 2], content=f"m{number}")
    make_message(make_session(owner=session.owner, title="other"), content="elsewhere")
    return session


def count_builds(ask) -> tuple[Prepared, list[int]]:
    """Return a prepared query, and a list that grows whenever it is built."""
    built: list[int] = []

    def counted(*places, **shape):
        built.append(len(places))
        return ask(*places, **shape)

    return prepared(counted), built


def test_it_is_built_once_and_asks_for_the_values_of_each_call(talk):
    ask, built = count_builds(lambda title: Session.objects.filter(title=title).order_by("pk"))
    with CaptureQueriesContext(connection) as asked:
        assert [row.pk for row in ask("talk")] == [talk.pk]
        assert [row.title for row in ask("other")] == ["other"]
        assert ask("nobody's") == []
        assert ask.first("nobody's") is None
    assert (len(asked), built) == (4, [1])
    talk.title = "renamed"
    talk.save()
    assert ask("talk") == []


def test_rows_are_those_of_django_with_what_was_annotated_and_left_out(talk):
    make_session(owner=talk.owner, title="inner", parent=talk)

    def rows(title):
        words = Message.objects.filter(session=OuterRef("pk")).order_by("-id").values(word=Substr("content", 1, 2))
        found = Session.objects.filter(title=title).annotate(words=Subquery(words[:1]), two=Value(2))
        return found.select_related("parent", "owner").defer("mode", "key")

    ask = prepared(rows)
    for title in ("talk", "inner", "other"):
        (ours,), (theirs,) = ask(title), rows(title)
        with CaptureQueriesContext(connection) as asked:
            assert columns_of(ours) == columns_of(theirs)
            assert ours.get_deferred_fields() == theirs.get_deferred_fields() == {"mode", "key"}
            assert (ours.parent, ours.owner) == (theirs.parent, theirs.owner)
            assert columns_of(ours.owner) == columns_of(theirs.owner)
            assert (ours._state.db, ours._state.adding) == (theirs._state.db, False)
        assert not asked
        assert ours.mode == theirs.mode  # what was left out is loaded when it is asked for
    assert ask.first("inner").parent == talk


def test_single_values_and_tuples_come_as_they_would(talk):
    make_events(talk, {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"a": [1, None]}})

    def times(session_id):
        return Message.objects.of(session_id).values_list("created_at", flat=True)

    def tuples(session_id):
        counted = Message.objects.of(session_id).order_by().values("role").annotate(count=Count("pk"))
        return counted.values_list("role", "count", "session__uuid").order_by("role")

    def calls(session_id):
        return ToolCall.objects.filter(session=session_id).values_list("args", "started_at")

    for ask in (times, tuples, calls):
        found = prepared(ask)(talk.pk)
        assert found
        assert found == list(ask(talk.pk))


def test_moments_ids_and_numbers_stand_for_themselves(talk):
    newest = talk.messages.order_by("-pk").first()
    before = prepared(lambda at: Message.objects.filter(created_at__lt=at).order_by("pk"))
    since = prepared(lambda at: Message.objects.filter(created_at__gte=at).order_by("pk"))
    assert newest in since(newest.created_at)
    assert newest not in before(newest.created_at)
    assert newest in before(newest.created_at + timedelta(microseconds=1))
    by_uuid = prepared(lambda uuid: Session.objects.filter(uuid=uuid))
    assert by_uuid(talk.uuid) == [talk]
    assert by_uuid(uuid.uuid4()) == []
    beyond = prepared(lambda session, pk: Message.objects.filter(session=session, pk__gt=pk).order_by("pk"))
    assert beyond(talk.pk, newest.pk - 2) == list(talk.messages.filter(pk__gt=newest.pk - 2).order_by("pk"))


def test_text_is_no_sql_and_no_pattern(talk):
    for text in ("'; DROP TABLE koda_sessions_session; --", "%", "%s", "_alk"):
        assert prepared(lambda title: Session.objects.filter(title=title))(text) == []
    talk.title = "100 %s of 'it'"
    talk.save()
    assert prepared(lambda title: Session.objects.filter(title=title))(talk.title) == [talk]
    assert prepared(lambda: Session.objects.filter(title="100 %s of 'it'"))() == [talk]


def test_what_is_named_shapes_the_query_and_a_last_value_may_be_missing(talk):
    def rows(session_id, role=None, *, most):
        found = Message.objects.of(session_id)
        return (found.filter(role=role) if role else found)[:most]

    ask, built = count_builds(rows)
    for _ in range(2):
        assert len(ask(talk.pk, most=2)) == 2
        assert len(ask(talk.pk, most=100)) == 5
        assert [row.content for row in ask(talk.pk, *known("assistant"), most=100)] == ["m1", "m3"]
        assert len(ask(talk.pk, *known(None), most=100)) == 5
    assert sorted(built) == [1, 1, 2]


def test_none_is_no_value(talk):
    ask = prepared(lambda key: Session.objects.filter(key=key))
    assert Session.objects.filter(key=None).exists()
    with pytest.raises(ValueError, match="no value for one of its places"):
        ask(None)


def test_what_can_find_nothing_asks_nothing(talk):
    ask = prepared(lambda *, state: Session.objects.filtered(state=state))
    with CaptureQueriesContext(connection) as asked:
        assert ask(state="nonsense") == []
    assert not asked
    assert ask(state="resting")


def test_only_the_shapes_that_were_asked_last_are_kept(talk):
    ask, built = count_builds(lambda *, most: Message.objects.order_by("pk")[:most])
    for most in [1, *range(2, 30), 1, 29]:
        assert len(ask(most=most)) == min(most, 6)
    assert len(built) == 30  # the first was forgotten meanwhile, the last was not


def test_a_count_is_a_query_of_one_row(talk):
    ask = prepared(lambda session_id: count_of(Message.objects.of(session_id)))
    assert ask(talk.pk) == [5]
    assert ask(talk.pk + 1000) == [0]


def test_several_counts_are_one_query_and_what_can_find_nothing_is_none_of_its_rows(talk):
    def count(session_id):
        mine = Message.objects.of(session_id)
        return counts_of(all=mine, said=mine.filter(role="user"), nothing=mine.none())

    ask = prepared(count)
    mine = talk.messages
    with CaptureQueriesContext(connection) as asked:
        assert ask(talk.pk) == [{"all": 5, "said": mine.filter(role="user").count(), "nothing": 0}]
    assert len(asked) == 2  # the other one is Django's


def test_rows_beyond_what_is_counted_are_one_more(talk):
    ask = prepared(lambda: counts_of(all=Session.objects.all(), ordered=Session.objects.order_by("title")))
    before = Session.objects.count()
    multiply(talk, MOST_COUNTED - before)
    assert ask() == [{"all": MOST_COUNTED, "ordered": MOST_COUNTED}]
    multiply(talk, 2)
    assert ask() == [{"all": MOST_COUNTED + 1, "ordered": MOST_COUNTED + 1}]


def test_what_is_loaded_besides_is_not_lost_unseen():
    with pytest.raises(AssertionError):
        prepared(lambda: Session.objects.prefetch_related("children"))()


def test_what_belongs_to_rows_is_given_to_them(talk):
    make_session(owner=talk.owner, title="inner", parent=talk)
    rows = list(Session.objects.order_by("pk"))

    def below(ids):
        return Session.objects.filter(Among("parent", ids)).order_by("pk")

    with CaptureQueriesContext(connection) as asked:
        assert give(rows, into="below", by="parent_id", ask=below) is rows
        assert give([], into="below", by="parent_id", ask=below) == []
    assert len(asked) == 1
    assert [[one.title for one in row.below] for row in rows] == [["inner"], [], []]


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_on_its_own_connection():
    made = make_session(owner=make_user(), title="seen from afar")
    ask, built = count_builds(lambda title: Session.objects.filter(title=title))
    assert in_threads(lambda: ask("seen from afar")) == [[made]] * 3
    assert ask("seen from afar") == [made]
    connection.close()
    assert ask("seen from afar") == [made]  # and on one that was opened anew
    assert len(built) <= 4  # once, or by those that came at the same time


def test_rows_with_equal_values_share_none_that_can_be_changed():
    session = make_session()
    for _ in range(3):
        make_message(session, role="assistant", tool_calls=[{"id": "c1", "name": "Bash"}])
    ask = prepared(lambda pk: Message.objects.filter(session=pk).order_by("pk"))
    first, second, third = ask(session.pk)
    assert first.tool_calls == second.tool_calls == third.tool_calls
    first.tool_calls[0]["id"] = "changed"
    assert second.tool_calls[0]["id"] == third.tool_calls[0]["id"] == "c1"
    assert [row.created_at for row in (first, second, third)] == list(
        Message.objects.order_by("pk").values_list("created_at", flat=True)
    )


def test_a_change_is_built_once_and_changes_the_rows_for_the_values_of_each_call(talk):
    built = []

    @prepared_change
    def archive(session, until, at=None, *, by=0):
        built.append(by)
        rows = Message.objects.filter(session=session, pk__lte=until).order_by("-id")  # whose order does not matter
        return rows, {"compacted_at": at, "thinking": "long ago", "prompt_tokens": F("id") + session + by}

    ids = list(talk.messages.order_by("id").values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as asked:
        assert [archive(talk.pk, ids[2], NOW), archive(talk.pk, ids[0], NOW - HOUR)] == [3, 1]
        assert archive(talk.pk, 0, NOW) == 0
    assert (len(asked), built) == (3, [0])
    rows = list(talk.messages.order_by("id").values_list("compacted_at", "thinking", "prompt_tokens"))
    gone = [(at, "long ago", pk + talk.pk) for pk, at in zip(ids[:3], [NOW - HOUR, NOW, NOW], strict=True)]
    assert rows == [*gone, (None, None, None), (None, None, None)]
    assert archive(talk.pk, ids[1], by=1) == 2  # in another shape
    assert list(talk.messages.order_by("id").values_list("compacted_at", "prompt_tokens")[:3]) == [
        (None, ids[0] + talk.pk + 1), (None, ids[1] + talk.pk + 1), (NOW, ids[2] + talk.pk),
    ]  # fmt: skip
    assert built == [0, 1]


def test_a_change_of_no_rows_asks_nothing_and_takes_no_none():
    change = prepared_change(lambda _title: (Session.objects.none(), {"title": "x"}))
    with CaptureQueriesContext(connection) as asked:
        assert change("a") == 0
    assert not asked
    with pytest.raises(ValueError, match="no value"):
        change(None)
