"""Purging selected sessions in the admin: previewed, confirmed by its number, receipted."""

import pytest

from sessions import compaction
from sessions.models import Message, Receipt, Session
from tests.admin.test_session_actions import act
from tests.factories import make_message, make_session

ASKED = {"policy": "compacted", "age": "0"}


@pytest.fixture
def session(db):
    session = make_session(title="An <b>old</b> one")
    for number in range(3):
        make_message(session, content=f"message {number}")
    compaction.compact(session.pk, summary="s", preserve_count=0, by="test")
    return session


def test_it_asks_for_a_policy_and_previews(staff, session):
    asking = act(staff, "purge_selected", session).content.decode()
    assert "archived messages, by days" in asking
    preview = act(staff, "purge_selected", session, **ASKED).content.decode()
    assert "<b>3 messages</b> of 1 session" in preview
    assert "An &lt;b&gt;old&lt;/b&gt; one" in preview
    assert Message.objects.archived().count() == 3


def test_it_purges_the_selected_ones_when_the_number_is_typed(staff, session):
    other = make_session()
    make_message(other)
    compaction.compact(other.pk, summary="s", preserve_count=0, by="test")
    answer = act(staff, "purge_selected", session, **ASKED, confirm="3")
    assert "3 messages destroyed. The receipt is kept." in answer.content.decode()
    assert Message.objects.archived().get().session == other
    user = answer.context["user"]
    assert (Receipt.objects.get().by, Receipt.objects.get().owner) == (f"user:{user.pk}", user)


@pytest.mark.parametrize("confirm", ["2", "three"])
def test_another_number_destroys_nothing(staff, session, confirm):
    assert "not the number" in act(staff, "purge_selected", session, **ASKED, confirm=confirm).content.decode()
    assert Message.objects.archived().count() == 3


@pytest.mark.parametrize("facts", [{"age": "-1"}, {"age": ""}, {"policy": "all"}, {"policy": "stale"}])
def test_bad_input_destroys_nothing(staff, session, facts):
    answer = act(staff, "purge_selected", session, **{**ASKED, **facts}, confirm="1").content.decode()
    assert "errorlist" in answer
    assert Session.objects.filter(pk=session.pk).exists()
    assert not Receipt.objects.exists()


def test_whole_sessions_go_by_the_other_policies(staff, session):
    session.remove(by="test")
    act(staff, "purge_selected", session, policy="deleted", age="0", confirm="1")
    assert not Session.objects.exists()


def test_staff_without_the_permission_are_not_offered_it(looker, session):
    act(looker, "purge_selected", session, **ASKED, confirm="3")
    assert Message.objects.archived().count() == 3
