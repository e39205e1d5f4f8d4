"""Session.edit: what people and agents may change, recorded once with who asked."""

from datetime import UTC, datetime

import pytest

from sessions.exceptions import InvalidRequest, NotFound
from sessions.models import Session
from tests.factories import make_session
from tests.models.bells import listening

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def edits(session: Session) -> list[dict]:
    return [event.payload for event in session.events.filter(type="server.session_edited").order_by("seq")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "New title"), ("visibility", "PUBLIC"), ("mode", "plan"), ("model", "m-1"), ("provider", "p-1"),
        ("parent_tool_call_id", "c1"),
    ],
)  # fmt: skip
def test_a_change_is_stored_and_told_with_who_asked(field, value):
    session = make_session()
    edited = session.edit(by="user:3", now=NOW, **{field: value})
    session.refresh_from_db()
    assert getattr(edited, field) == getattr(session, field) == value
    assert edits(session) == [{"changes": {field: value}, "by": "user:3"}]
    assert session.updated_at == NOW


def test_every_field_that_may_be_edited_was_tried():
    assert {"title", "visibility", "mode", "model", "provider", "parent_tool_call_id"} == Session.EDITABLE


@pytest.mark.parametrize("field", ["state", "owner_id", "last_seq", "status", "liveness", "source", "uuid"])
def test_other_columns_are_out_of_reach(field):
    session = make_session()
    before = Session.objects.values().get(pk=session.pk)
    with pytest.raises(AssertionError):
        session.edit(by="test", **{field: "running"})
    assert Session.objects.values().get(pk=session.pk) == before


def test_an_edit_that_changes_nothing_records_nothing():
    session = make_session(title="t")
    before = Session.objects.values().get(pk=session.pk)
    session.edit(by="test", title="t", visibility="PRIVATE")
    assert Session.objects.values().get(pk=session.pk) == before
    assert edits(session) == []


def test_a_title_that_a_store_made_from_a_prompt_is_not_repeated_and_follows_the_prompts():
    session = make_session(title="Given")
    session.edit(by="import", title="Count the lamps", model="m", is_title_derived=True)
    session.refresh_from_db()
    assert (session.title, session.given_name) == ("Count the lamps", None)
    assert edits(session) == [
        {"changes": {"title": None, "model": "m"}, "is_title_derived": True, "by": "import"},
    ]  # fmt: skip
    session.edit(by="import", title="Count the lamps", is_title_derived=True)
    assert len(edits(session)) == 1
    session.edit(by="user:3", title="Count the lamps")
    session.refresh_from_db()
    assert (session.given_name, edits(session)[1:]) == (
        "Count the lamps", [{"changes": {"title": "Count the lamps"}, "by": "user:3"}],
    )  # fmt: skip


def test_only_what_differs_is_told():
    session = make_session(title="t")
    session.edit(by="test", title="t", model="m")
    assert edits(session) == [{"changes": {"model": "m"}, "by": "test"}]


@pytest.mark.django_db(transaction=True)
def test_several_changes_are_one_event_and_one_ring():
    session = make_session()
    with listening() as heard:
        session.edit(by="test", title="a", visibility="PUBLIC", model="m")
    assert len(edits(session)) == 1
    assert heard == [(session.pk, 2)]


def test_an_empty_title_clears_it():
    session = make_session(title="t")
    assert session.edit(by="test", title="").title is None
    assert edits(session) == [{"changes": {"title": None}, "by": "test"}]


@pytest.mark.parametrize("title", ["a\x00b", "\ud800", "x" * 2001])
def test_a_title_that_cannot_be_is_refused(title):
    session = make_session(title="t")
    with pytest.raises(InvalidRequest):
        session.edit(by="test", title=title)
    session.refresh_from_db()
    assert session.title == "t"


def test_a_child_is_never_trusted_above_its_parent():
    child = make_session(parent=make_session(mode="safe"), mode="plan")
    assert child.edit(by="test", mode="auto").mode == "safe"
    assert edits(child) == [{"changes": {"mode": "safe"}, "by": "test"}]


def test_a_stale_copy_does_not_undo_what_others_changed():
    session = make_session()
    stale = Session.objects.get(pk=session.pk)
    session.edit(by="a", title="first")
    edited = stale.edit(by="b", model="m")
    assert (edited.title, edited.model) == ("first", "m")


def test_a_session_that_has_gone_is_not_found():
    session = make_session()
    Session.objects.get(pk=session.pk).destroy()
    with pytest.raises(NotFound):
        session.edit(by="test", title="t")


def test_an_edit_is_no_activity():
    session = make_session(created_at=NOW)
    assert session.edit(by="test", title="t").last_activity_at == NOW
