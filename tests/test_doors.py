"""Every door uses the same verbs: whichever one a change comes through, the log and the tables read the same."""

import ast
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions.models import Session
from tests.api.calling import agent_of
from tests.conftest import ROOT
from tests.factories import make_events, make_message, make_session, make_user

pytestmark = pytest.mark.django_db

Change = Callable[[Session, User], None]


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def act_in_admin(session: Session, user: User, action: str) -> None:
    form = {"action": action, "_selected_action": [session.pk], "post": "yes"}
    assert browser(user).post("/admin/koda_sessions/session/", form).status_code == 302


DELETE: dict[str, Change] = {
    "the native API": lambda session, user: agent_of(user).delete(f"sessions/{session.uuid}"),
    "the page": lambda session, user: browser(user).post(f"/sessions/{session.uuid}/delete/"),
    "the admin": lambda session, user: act_in_admin(session, user, "remove_softly"),
    "the verb itself": lambda session, _user: session.remove(by="shell"),
}
RENAME: dict[str, Change] = {
    "the native API": lambda session, user: agent_of(user).patch(f"sessions/{session.uuid}", {"title": "New"}),
    "the page": lambda session, user: browser(user).post(f"/sessions/{session.uuid}/edit/", {"title": "New"}),
    "the verb itself": lambda session, _user: session.edit(by="shell", title="New"),
}
DESTROY: dict[str, Change] = {
    "the native API": lambda session, user: agent_of(user).delete(f"sessions/{session.uuid}?permanent=true"),
    "the admin": lambda session, user: act_in_admin(session, user, "delete_selected"),
    "the verb itself": lambda session, _user: session.destroy(),
}
TIMES = {
    "created_at",
    "updated_at",
    "last_activity_at",
    "deleted_at",
    "liveness_since",
    "needs_since",
    "next_deadline_at",
}
OWN = {
    "id",
    "uuid",
    "owner_id",
    "turn_started_at",
    "heard_at",
    "progressed_at",
    "beats",
    "doing_since",
    "liveness_reason",
}


def make_owner() -> User:
    return make_user(is_staff=True, is_superuser=True)


def make_busy(owner: User) -> Session:
    session = make_session(owner, title="Old")
    make_message(session)
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "a"})
    session.refresh_from_db()
    return session


def telling(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name not in {"by", "message_ids"}}


def as_read(session: Session) -> dict[str, Any]:
    """Return all that a reader finds, without what belongs to this one session only."""
    row = Session.objects.values().get(pk=session.pk)
    log = [(event.seq, event.type, telling(event.payload)) for event in session.events.order_by("seq")]
    set_times = {name: row[name] is not None for name in TIMES}
    return {"log": log, "times": set_times, **{name: value for name, value in row.items() if name not in TIMES | OWN}}


@pytest.mark.parametrize("changes", [DELETE, RENAME], ids=["deleting", "renaming"])
def test_the_log_and_the_tables_read_the_same_through_each_door(changes):
    read = {}
    for door, change in changes.items():
        owner = make_owner()
        session = make_busy(owner)
        before = as_read(session)
        change(session, owner)
        read[door] = as_read(session)
        assert read[door] != before, door
    first = read.pop("the verb itself")
    assert {door for door, found in read.items() if found != first} == set()


def test_destroying_leaves_nothing_through_each_door():
    for door, change in DESTROY.items():
        owner = make_owner()
        session = make_busy(owner)
        change(session, owner)
        assert not Session.objects.filter(pk=session.pk).exists(), door


@pytest.mark.parametrize("door", [door for door in DELETE if door != "the verb itself"])
def test_every_door_says_who_it_was(door):
    owner = make_owner()
    session = make_busy(owner)
    DELETE[door](session, owner)
    by = session.events.get(type="server.session_deleted").payload["by"]
    assert by == f"user:{owner.pk}" or by == f"key:{owner.koda_keys.get().pk}"


DOORS = ("admin", "api", "importers", "live", "management", "web")
WRITES = {"save", "bulk_create", "bulk_update", "update_or_create", "get_or_create"}


def test_no_door_writes_a_record_past_the_verbs():
    found = set()
    for door in DOORS:
        for path in (ROOT / "sessions" / door).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
                    found.add(f"{path.relative_to(ROOT)}:{node.lineno} .{node.func.attr}()")
    assert found == set()
