"""Session.objects.start: a session is born once, however often its birth is asked for."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from sessions.exceptions import Conflict, InvalidRequest, NotFound
from sessions.models import Event, Session
from tests.factories import make_session, make_user
from tests.models.bells import listening

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = uuid.UUID("0196a1b2-0000-7000-8000-000000000001")


def start(owner, **facts):
    return Session.objects.start(**{"owner": owner, "source": "laptop", "agent_name": "koda", **facts})


def test_a_session_is_born_resting_with_its_first_event():
    started = start(make_user(), project_root="/srv/a", now=NOW)
    session = Session.objects.get(pk=started.session.pk)
    assert started.is_new
    assert (session.state, session.liveness, session.needs) == ("idle", "resting", "")
    assert (session.created_at, session.updated_at, session.last_activity_at, session.liveness_since) == (NOW,) * 4
    assert list(session.events.values_list("seq", "type", "received_at")) == [(1, "server.session_created", NOW)]
    assert (session.last_seq, session.revision, session.message_count) == (1, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_a_birth_rings_the_bell_once_and_a_repeat_does_not():
    owner = make_user()
    with listening() as heard:
        session = start(owner, uuid=ID).session
        start(owner, uuid=ID)
    assert heard == [(session.pk, 1)]


def test_a_repeat_returns_the_same_session_and_records_nothing():
    owner = make_user()
    facts = {"uuid": ID, "key": "k", "title": "t", "mode": "safe", "parent": make_session(owner)}
    first, again = start(owner, **facts), start(owner, **facts)
    assert (again.session, again.is_new) == (first.session, False)
    assert Event.objects.filter(session=first.session).count() == 1


def test_a_repeat_after_the_session_went_on_is_still_a_repeat():
    owner = make_user()
    session = start(owner, uuid=ID, title="first").session
    session.remove(by="test")
    assert start(owner, uuid=ID, title="first").session == session


def test_a_repeat_says_what_was_said_first_whatever_has_become_of_it():
    owner = make_user()
    first = {"uuid": ID, "title": "A", "mode": "auto", "model": "m1"}
    session = start(owner, **first).session
    session.edit(by="test", title="B", mode="safe", model="m2")
    again = start(owner, **first, provider=None)
    assert (again.session, again.is_new) == (session, False)
    assert (again.session.title, again.session.model) == ("B", "m2")
    for other in ({"uuid": ID}, {**first, "title": "B"}, {"uuid": ID, "title": "B", "mode": "safe", "model": "m2"}):
        with pytest.raises(Conflict):
            start(owner, **other)


def test_what_an_older_server_made_is_compared_as_it_is_now():
    owner = make_user()
    session = start(owner, uuid=ID, title="A").session
    Session.objects.filter(pk=session.pk).update(birth_digest=None)
    assert start(owner, uuid=ID, title="A").session == session
    with pytest.raises(Conflict):
        start(owner, uuid=ID, title="B")


@pytest.mark.parametrize(
    "other", [{"source": "server"}, {"agent_name": "stakpak"}, {"title": "other"}, {"key": "k"}, {"mode": "auto"}]
)
def test_the_same_id_with_another_body_is_a_conflict(other):
    owner = make_user()
    start(owner, uuid=ID, title="t")
    with pytest.raises(Conflict):
        start(owner, uuid=ID, **{"title": "t", **other})
    assert Session.objects.count() == 1


def test_the_same_id_of_another_owner_is_a_conflict_that_does_not_say_whose():
    first = make_user("ada")
    start(first, uuid=ID)
    with pytest.raises(Conflict) as refused:
        start(make_user("bob"), uuid=ID)
    assert "ada" not in refused.value.detail


def test_the_same_key_without_an_id_is_a_conflict():
    owner = make_user()
    start(owner, key="k")
    with pytest.raises(Conflict):
        start(owner, key="k")


def test_a_key_is_its_sources_own():
    owner = make_user()
    sessions = {start(owner, key="k", source=source).session for source in ("a", "b")}
    sessions.add(start(make_user(), key="k", source="a").session)
    assert len(sessions) == 3


def test_a_key_is_free_again_after_a_soft_deletion():
    owner = make_user()
    first = start(owner, key="k").session
    first.remove(by="test")
    second = start(owner, key="k").session
    assert second != first
    assert Session.objects.with_key(owner=owner, source="laptop", key="k").get() == second


def test_keys_of_a_thousand_letters_of_any_script_are_told_apart():
    owner = make_user()
    longest = "字" * 1023
    first, second = start(owner, key=longest + "a").session, start(owner, key=longest + "b").session
    assert Session.objects.with_key(owner=owner, source="laptop", key=longest + "a").get() == first
    assert Session.objects.with_key(owner=owner, source="laptop", key=longest + "b").get() == second


def test_a_child_knows_its_parent_and_never_has_more_trust():
    parent = make_session(mode="safe")
    child = start(parent.owner, parent=parent, parent_tool_call_id="c1", mode="auto").session
    assert (child.parent, child.parent_tool_call_id, child.mode) == (parent, "c1", "safe")
    assert list(parent.children.all()) == [child]


def test_a_repeat_of_a_child_that_asked_for_more_trust_is_a_repeat():
    parent = make_session(mode="plan")
    facts = {"uuid": ID, "parent": parent, "mode": "auto"}
    assert start(parent.owner, **facts).session == start(parent.owner, **facts).session


def test_an_imported_session_keeps_its_own_times():
    at = NOW - timedelta(days=400)
    session = start(make_user(), created_at=at, is_imported=True, now=NOW).session
    assert (session.created_at, session.last_activity_at, session.updated_at) == (at, at, NOW)


@pytest.mark.parametrize(
    "field", ["source", "agent_name", "key", "title", "project_root", "model", "provider", "parent_tool_call_id"]
)
@pytest.mark.parametrize("broken", ["a\x00b", "a\ud800b", "\udfff"])
def test_a_name_with_broken_characters_is_refused(field, broken):
    with pytest.raises(InvalidRequest) as refused:
        start(make_user(), **{field: broken})
    assert refused.value.errors[0].field == field
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("field", "longest"), [("agent_name", 2000), ("title", 2000), ("project_root", 2000), ("key", 4096)]
)
def test_a_name_may_be_so_long_and_no_longer(field, longest):
    owner = make_user()
    start(owner, **{field: "é" * (longest // 2)})
    with pytest.raises(InvalidRequest):
        start(owner, **{field: "é" * (longest // 2) + "x"})


def test_a_source_longer_than_its_column_is_refused_and_not_cut():
    with pytest.raises(InvalidRequest) as refused:
        start(make_user(), source="s" * 101)
    assert refused.value.errors[0].field == "source"


@pytest.mark.django_db(transaction=True)
def test_eight_births_at_once_make_one_session():
    owner = make_user()

    def ask(_number: int):
        try:
            return start(owner, uuid=ID, key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        births = list(pool.map(ask, range(8)))
    assert sum(birth.is_new for birth in births) == 1
    assert {birth.session.pk for birth in births} == {Session.objects.get().pk}
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_within", [False, True])
def test_a_parent_that_has_been_destroyed_is_not_taken_for_a_repeat(is_within):
    parent = make_session()
    Session.objects.get(pk=parent.pk).destroy()
    with pytest.raises(InvalidRequest) as refused, transaction.atomic() if is_within else nullcontext():
        start(parent.owner, uuid=ID, parent=parent)
    assert refused.value.errors[0].field == "parent_id"
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_births_while_the_parent_is_destroyed_are_refused_or_go_with_it():
    owner = make_user()
    parents = [make_session(owner) for _ in range(10)]

    def act(number: int) -> str:
        parent = parents[number // 5]
        try:
            if number % 5 == 4:
                parent.destroy()
            else:
                with transaction.atomic():
                    start(owner, parent=parent)
        except (InvalidRequest, NotFound) as refused:
            return type(refused).__name__
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(5) as pool:
        ended = list(pool.map(act, range(50)))
    assert ended[4::5] == ["done"] * 10
    assert "NotFound" not in ended
    assert not Session.objects.exists()
