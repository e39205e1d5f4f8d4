"""Who may do what: every route times every caller; and whoever is refused leaves the store as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from sessions import checkpoints, commands
from sessions.api.native.api import api
from sessions.models import Command, Metadata, Session
from tests.api.calling import Agent, agent_of
from tests.factories import make_events, make_key, make_message, make_session, make_user

pytestmark = pytest.mark.django_db

CALLERS: dict[str, Callable[[User], Agent]] = {
    "owner": agent_of,
    "owner, other source": lambda owner: agent_of(owner, source="desk"),
    "write": lambda owner: agent_of(owner, "write"),
    "write, other source": lambda owner: agent_of(owner, "write", source="desk"),
    "read": lambda owner: agent_of(owner, "read"),
    "control": lambda owner: agent_of(owner, "control"),
    "staff": lambda _owner: agent_of(make_user(is_staff=True), source="laptop"),
    "stranger": lambda _owner: agent_of(make_user(), source="laptop"),
    "stranger who only writes": lambda _owner: agent_of(make_user(), "write", source="laptop"),
    "nobody": lambda _owner: Agent(),
    "revoked": lambda owner: _revoked(agent_of(owner)),
    "expired": lambda owner: Agent(make_key(owner, expires_at=timezone.now() - timedelta(seconds=1))),
}


def _revoked(agent: Agent) -> Agent:
    assert agent.key is not None
    agent.key.record.revoke()
    return agent


UNKNOWN = dict.fromkeys(("nobody", "revoked", "expired"), 401)
READ = {
    **UNKNOWN, "owner": 200, "owner, other source": 200, "write": 403, "write, other source": 403, "read": 200,
    "control": 403, "staff": 200, "stranger": 404, "stranger who only writes": 404,
}  # fmt: skip
WRITE = {**READ, "write": 200, "write, other source": 200, "read": 403}
CONTROL = {**READ, "write": 403, "write, other source": 403, "read": 403, "control": 200}
OWN = {**WRITE, "owner, other source": 403, "write, other source": 403, "staff": 403}
"""Commands are handed to the write keys of the session's source alone."""
EVERYBODY = {**UNKNOWN, **{name: 200 for name in CALLERS if name not in UNKNOWN}}
NO_SESSION = {name: 200 if status == 404 else status for name, status in READ.items()}
LISTS = {**NO_SESSION, "stranger who only writes": 403}

Rule = tuple[str, str, Any, dict[str, int]]
RULES: dict[str, Rule] = {
    "create_session": ("POST", "sessions", {"agent_name": "koda"},
                       {**EVERYBODY, "read": 403, "control": 403}),
    "list_sessions": ("GET", "sessions", None, LISTS),
    "list_running_sessions": ("GET", "sessions/running", None, LISTS),
    "list_stuck_sessions": ("GET", "sessions/stuck", None, LISTS),
    "get_session": ("GET", "sessions/{id}", None, READ),
    "update_session": ("PATCH", "sessions/{id}", {"title": "New"}, {**WRITE, "write, other source": 403}),
    "delete_session": ("DELETE", "sessions/{id}", None, WRITE),
    "delete_session for good": ("DELETE", "sessions/{id}?permanent=true", None, CONTROL),
    "fork_session": ("POST", "sessions/{id}/fork", {}, {**WRITE, "write, other source": 403}),
    "list_checkpoints": ("GET", "sessions/{id}/checkpoints", None, READ),
    "create_checkpoint": ("POST", "sessions/{id}/checkpoints", {"state": {"messages": []}}, WRITE),
    "get_active_checkpoint": ("GET", "sessions/{id}/checkpoints/active", None, READ),
    "get_checkpoint": ("GET", "checkpoints/{checkpoint}", None, READ),
    "compare_checkpoints": ("GET", "checkpoints/{checkpoint}/diff", None, READ),
    "export_session": ("GET", "sessions/{id}/export", None, READ),
    "get_session_stats": ("GET", "sessions/{id}/stats", None, READ),
    "append_messages": ("POST", "sessions/{id}/messages", {"role": "user"}, WRITE),
    "list_messages": ("GET", "sessions/{id}/messages", None, READ),
    "get_last_message": ("GET", "sessions/{id}/messages/last", None, READ),
    "list_recent_messages": ("GET", "messages/recent", None, LISTS),
    "search": ("GET", "search?q=hello", None, LISTS),
    "stats": ("GET", "stats", None, LISTS),
    "get_pending_tool_calls": ("GET", "sessions/{id}/pending-tool-calls", None, READ),
    "get_usage": ("GET", "sessions/{id}/usage", None, READ),
    "ingest_events": ("POST", "sessions/{id}/events", {"events": [{"type": "info"}]}, WRITE),
    "list_events": ("GET", "sessions/{id}/events", None, READ),
    "list_turns": ("GET", "sessions/{id}/turns", None, READ),
    "list_findings": ("GET", "sessions/{id}/findings", None, READ),
    "list_incidents": ("GET", "incidents", None, LISTS),
    "release_session": ("POST", "sessions/{id}/release", None, CONTROL),
    "set_state": ("PUT", "sessions/{id}/state", {"state": "running"}, WRITE),
    "get_state": ("GET", "sessions/{id}/state", None, {**READ, "write": 200}),
    "send_heartbeat": ("POST", "sessions/{id}/heartbeat", {"progress": 1}, WRITE),
    "ask_command": ("POST", "sessions/{id}/commands", {"type": "interrupt"}, CONTROL),
    "fetch_commands": ("GET", "sessions/{id}/commands", None, OWN),
    "acknowledge_command": ("POST", "commands/{command}/ack", {"obeyed": True}, OWN),
    "list_metadata": ("GET", "sessions/{id}/metadata", None, READ),
    "get_metadata": ("GET", "sessions/{id}/metadata/progress", None, READ),
    "set_metadata": ("PUT", "sessions/{id}/metadata/progress", {"value": "x"}, WRITE),
    "delete_metadata": ("DELETE", "sessions/{id}/metadata/progress", None, WRITE),
    "get_todo": ("GET", "sessions/{id}/todo", None, READ),
    "set_todo": ("PUT", "sessions/{id}/todo", {"content": "- [ ] x"}, WRITE),
    "list_files": ("GET", "sessions/{id}/files", None, READ),
    "add_file": ("PUT", "sessions/{id}/files", {"path": "/x"}, WRITE),
    "delete_file": ("DELETE", "sessions/{id}/files", {"path": "/x"}, WRITE),
    "compact_session": ("POST", "sessions/{id}/compact", {"summary": "s", "preserve_count": 0}, CONTROL),
    "get_compacted_stats": ("GET", "compacted/stats", None, LISTS),
    "purge_compacted": ("POST", "compacted/purge", {"min_age_days": 0},
                        {**LISTS, "control": 200, "read": 403}),
    "purge": ("POST", "purges", {"policy": "events", "older_than_days": 0}, {**LISTS, "control": 200, "read": 403}),
    "list_purges": ("GET", "purges", None, LISTS),
}  # fmt: skip


def see_store() -> dict[str, list[Any]]:
    """Return all rows of all our tables; a key's last use is no change."""
    rows = {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("koda_sessions").get_models()
    }
    for key in rows["ApiKey"]:
        del key["last_used_at"]
    return rows


@pytest.fixture
def session(owner: User) -> Session:
    session = make_session(owner)
    make_message(session)
    make_events(session, {"type": "turn_start", "turn_id": "t1"})
    Metadata.objects.put(session, "progress", "half")
    checkpoints.add(session.pk, checkpoints.State.of({"messages": [{"role": "user", "content": "hi"}]}), by="test")
    return session


def place(path: str, session: Session, command: Command) -> str:
    """Return a path of the table with the ids of what is there."""
    checkpoint = session.checkpoints.get().uuid
    return path.format(id=session.uuid, command=command.pk, checkpoint=checkpoint)


def test_every_route_has_its_rule():
    operations = {
        operation["operationId"] for path in api.get_openapi_schema()["paths"].values() for operation in path.values()
    }

    assert operations == {name.partition(" for ")[0] for name in RULES}


@contextmanager
def undone() -> Iterator[None]:
    """Let what happens inside be as if it had never happened."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.parametrize("route", RULES)
def test_each_caller_gets_what_the_rule_says_and_a_refused_one_changes_nothing(owner, session, route):
    method, path, body, rule = RULES[route]
    command = commands.ask(session.pk, {"type": "quit"}, by=owner)
    statuses, changed = {}, []

    for name, make in CALLERS.items():
        with undone():
            agent = make(owner)
            before = see_store()
            answer = agent.call(method, place(path, session, command), body)
            statuses[name] = 200 if answer.status == 201 else answer.status
            if statuses[name] != 200 and see_store() != before:
                changed.append(name)

    assert statuses == rule
    assert not changed


@pytest.mark.parametrize("route", [name for name, (_, _, _, rule) in RULES.items() if rule["stranger"] == 404])
def test_what_is_public_may_be_read_by_anybody_with_a_key_and_changed_by_nobody_else(owner, session, route):
    method, path, body, _ = RULES[route]
    session.edit(by="test", visibility="PUBLIC")
    command = commands.ask(session.pk, {"type": "quit"}, by=owner)
    stranger = agent_of(make_user(), source="laptop")
    before = see_store()

    answer = stranger.call(method, place(path, session, command), body)

    assert answer.status == (200 if method == "GET" and route != "fetch_commands" else 403)
    if answer.status == 403:
        assert see_store() == before


def test_lists_hold_what_one_may_see(owner, session):
    public = make_session(make_user(), visibility="PUBLIC")
    hidden = make_session(make_user())

    def ids(agent: Agent) -> set[str]:
        return {item["id"] for item in agent.get("sessions")["items"]}

    assert ids(agent_of(owner)) == {str(session.uuid), str(public.uuid)}
    assert ids(agent_of(make_user(is_staff=True))) == {str(one.uuid) for one in (session, public, hidden)}
    assert ids(agent_of(make_user())) == {str(public.uuid)}


def test_a_signed_in_browser_may_do_what_its_user_may(owner, session, client):
    client.force_login(owner)

    read = client.get(f"/api/v1/sessions/{session.uuid}/messages")
    written = client.post(
        f"/api/v1/sessions/{session.uuid}/messages", {"role": "user"}, content_type="application/json"
    )
    asked = client.post(f"/api/v1/sessions/{session.uuid}/commands", {"type": "quit"}, content_type="application/json")

    assert (read.status_code, written.status_code, asked.status_code) == (200, 201, 201)
    client.force_login(make_user())
    assert client.get(f"/api/v1/sessions/{session.uuid}").status_code == 404


def test_an_event_says_which_key_did_it(owner, session):
    agent = agent_of(owner)
    agent.delete(f"sessions/{session.uuid}")

    assert agent.key is not None
    assert session.events.get(type="server.session_deleted").payload == {"by": f"key:{agent.key.record.pk}"}
