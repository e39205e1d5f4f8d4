"""The audit log: what people did, whichever door they came through, and nothing of what agents did."""

import html
import re

import pytest
from django.test import Client

from sessions import commands, protocol
from sessions.models import Action, AuditEntry, Session
from tests.api.calling import agent_of
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.retention.words import places_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return make_user("ada")


@pytest.fixture
def session(ada) -> Session:
    return make_session(ada)


def noted() -> list[tuple[str, str, str]]:
    """Return what was done, by whom and upon what; the keys that a test itself made left out."""
    entries = AuditEntry.objects.exclude(action=Action.KEY_ISSUED, by="shell").order_by("pk")
    return list(entries.values_list("action", "by_name", "subject"))


def test_a_key_that_is_made_and_revoked(ada):
    key = make_key(ada, scopes=("read",), by=f"user:{ada.pk}").record
    key.revoke(by=f"user:{ada.pk}")
    key.revoke(by=f"user:{ada.pk}")

    assert noted() == [("key_issued", "ada", str(key)), ("key_revoked", "ada", str(key))], "once each"
    issued = AuditEntry.objects.first()
    assert issued.detail == {"user": "ada", "scopes": ["read"]}
    assert str(issued) == f"ada made a key: {key}"


def test_no_title_that_was_given_with_a_visibility_is_kept(ada, session):
    session.edit(by=f"user:{ada.pk}", visibility="PUBLIC", title="qzvaxolotl")
    session.destroy(by=f"user:{ada.pk}")
    assert AuditEntry.objects.get(action="shared").detail == {"changes": {"visibility": "PUBLIC"}}
    assert "auditentry" not in places_of("qzvaxolotl")


def test_a_key_in_the_admin_is_noted_with_who_made_it():
    boss = make_user("boss", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(boss)
    client.post("/admin/koda_sessions/apikey/add/", {"user": boss.pk, "name": "desk", "can_read": "on"})
    key = boss.koda_keys.get()
    client.post("/admin/koda_sessions/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert noted() == [("key_issued", "boss", str(key)), ("key_revoked", "boss", str(key))]


def test_who_signs_in(ada, client):
    client.post("/sign-in/", {"username": "ada", "password": "wrong"})
    assert noted() == [("sign_in_failed", "nobody", "ada")]
    client.post("/sign-in/", {"username": "ada", "password": "secret"})
    assert noted()[1:] == [("signed_in", "ada", "ada")]


def test_a_changed_visibility_and_no_other_edit(ada, session):
    session.edit(by=f"user:{ada.pk}", title="New")
    session.edit(by=f"user:{ada.pk}", visibility="PUBLIC")
    assert noted() == [("shared", "ada", str(session.uuid))]
    assert AuditEntry.objects.get(action="shared").detail == {"changes": {"visibility": "PUBLIC"}}


def test_who_approved_what_and_nothing_of_what_they_wrote(ada, session):
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": "rm -rf", "preview": None},
    )
    decision = {"decision": "reject_with_feedback", "feedback": "my secret reason"}
    commands.ask(session.pk, {"type": "approval_response", "id": "r", "decision": decision}, by=ada)
    commands.ask(session.pk, {"type": "interrupt"}, by=ada)
    assert noted() == [("answered", "ada", str(session.uuid)), ("commanded", "ada", str(session.uuid))]
    detail = AuditEntry.objects.get(action="answered").detail
    assert (detail["decision"], detail["tool"]) == ("reject_with_feedback", "Bash")
    assert "reason" not in str(detail)


def test_deleted_and_destroyed_by_a_key_are_noted_with_whose_it_is(ada, session):
    agent = agent_of(ada)
    make_message(session)
    agent.delete(f"sessions/{session.uuid}")
    agent.delete(f"sessions/{session.uuid}?permanent=true")
    name = f"{agent.key.record} of ada"
    assert noted() == [("deleted", name, str(session.uuid)), ("destroyed", name, str(session.uuid))]
    assert AuditEntry.objects.get(action="destroyed").detail == {"message_count": 1}
    assert not Session.objects.exists(), "what was noted outlives what it tells of"


def test_a_session_that_was_released_by_hand(session):
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    protocol.abandon(session.pk, by="shell")
    assert noted() == [("released", "shell", str(session.uuid))]


def test_what_agents_do_is_in_their_sessions_log_alone(session):
    make_message(session)
    make_events(session, {"type": "info", "message": "hello", "by": "user:1"})
    session.edit(by="agent", visibility="PUBLIC")
    session.remove(by="agent")
    assert noted() == []


def test_an_entry_that_was_undone_was_never_made(ada, session):
    from django.db import transaction

    with transaction.atomic():
        session.remove(by=f"user:{ada.pk}")
        transaction.set_rollback(True)
    assert noted() == []


def test_staff_read_the_log_and_nobody_changes_it(session, ada):
    session.remove(by=f"user:{ada.pk}")
    boss = Client()
    boss.force_login(make_user(is_staff=True, is_superuser=True))
    path = "/admin/koda_sessions/auditentry/"
    entry = AuditEntry.objects.latest("pk")
    page = boss.get(path, {"q": "ada"}).content.decode()
    assert "deleted a session" in page
    assert boss.post(f"{path}{entry.pk}/change/", {"by_name": "eve"}).status_code == 403
    assert boss.post(f"{path}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert boss.get(f"{path}add/").status_code == 403


def test_staff_read_the_rest_of_an_entry_in_words_that_are_not_pythons(ada):
    rest = {"scopes": ["read", "write"], "count": 3, "is_superuser": True, "owner": None, "changes": {"to": "PUBLIC"}}
    AuditEntry.objects.note("key_issued", by=f"user:{ada.pk}", subject="made for this", **rest)
    boss = Client()
    boss.force_login(make_user(is_staff=True, is_superuser=True))
    page = html.unescape(boss.get("/admin/koda_sessions/auditentry/").content.decode())
    (shown,) = re.findall('<td class="field-detail_shown">(.*?)</td>', page)
    told = ["scopes: read write", "count: 3", "is_superuser: true", "owner: null", 'changes: {"to": "PUBLIC"}']
    assert sorted(shown.split(", ")) == sorted(told)
