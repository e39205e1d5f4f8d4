"""Who may do what at ZeroClaw's door; whoever is refused, or speaks for another source, changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions.api.zeroclaw.api import api
from sessions.models import Event, Message, Session
from tests.api.calling import Agent, agent_of
from tests.api.zeroclaw.calling import ROOT, at, say
from tests.factories import make_user

pytestmark = pytest.mark.django_db

CALLERS: dict[str, Callable[[User], Agent]] = {
    "write": lambda owner: agent_of(owner, "write"),
    "read": lambda owner: agent_of(owner, "read"),
    "control": lambda owner: agent_of(owner, "control"),
    "nobody": lambda _owner: Agent(),
    "unknown": lambda _owner: Agent(plain="koda_unknown"),
}
STRANGERS: dict[str, Callable[[User], Agent]] = {
    "other source": lambda owner: agent_of(owner, source="desk"),
    "other user": lambda _owner: agent_of(make_user(), source="laptop"),
    "staff": lambda _owner: agent_of(make_user(is_staff=True), source="laptop"),
}
MESSAGE = {"role": "user", "content": "x"}
# By operation: how it is called, which scopes may, and what a stranger gets to hear.
RULES: dict[str, tuple[str, str, Any, set[str], Any]] = {
    "load": ("GET", at("k", "/messages"), None, {"read"}, {"messages": []}),
    "append": ("POST", at("k", "/messages"), MESSAGE, {"write"}, {"message_count": 1}),
    "remove_last": ("DELETE", at("k", "/messages/last"), None, {"write"}, {"removed": False}),
    "update_last": ("PUT", at("k", "/messages/last"), MESSAGE, {"write"}, {"updated": False}),
    "clear_messages": ("DELETE", at("k", "/messages"), None, {"write"}, {"cleared": 0}),
    "list_sessions": ("GET", f"{ROOT}/sessions?keyword=hello", None, {"read"}, {"sessions": []}),
    "get_session_metadata": ("GET", at("k"), None, {"read"}, None),
    "delete_session": ("DELETE", at("k"), None, {"write"}, {"deleted": False}),
    "compact": ("POST", at("k", "/compact"), None, {"write"}, {"ok": True}),
    "cleanup_stale": ("POST", f"{ROOT}/cleanup", {"ttl_hours": 0, "force": True}, {"control"},
                      {"removed": 0, "keys": []}),
    "get_session_name": ("GET", at("k", "/name"), None, {"read"}, None),
    "set_session_name": ("PUT", at("k", "/name"), {"name": "n"}, {"write"}, {"name": None}),
    "get_session_state": ("GET", at("k", "/state"), None, {"read", "write"}, None),
    "set_session_state": ("PUT", at("k", "/state"), {"state": "running"}, {"write"},
                          {"state": None, "turn_id": None, "turn_started_at": None}),
    "list_running_sessions": ("GET", f"{ROOT}/running", None, {"read"}, {"sessions": []}),
    "list_stuck_sessions": ("GET", f"{ROOT}/stuck?threshold_secs=0", None, {"read"}, {"sessions": []}),
}  # fmt: skip


@pytest.fixture
def session(agent) -> Session:
    say(agent)
    return Session.objects.get()


def everything(session: Session) -> tuple[Any, ...]:
    rows = (model.objects.filter(**{name: session.pk}) for model, name in ((Session, "pk"), (Message, "session")))
    return (*(list(found.values()) for found in rows), Event.objects.filter(session=session).count())


def test_every_route_is_in_the_table():
    operations = [operation for methods in api.get_openapi_schema()["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in operations} == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_scope_opens_its_routes_and_no_others(session, owner, name):
    method, path, body, scopes, _ = RULES[name]
    before = everything(session)
    for caller in sorted(CALLERS, key=lambda caller: caller in scopes):
        answer = CALLERS[caller](owner).call(method, path, body)
        if caller in scopes:
            assert answer.status in {200, 201}, caller
            continue
        assert answer.status == (401 if caller in {"nobody", "unknown"} else 403), caller
        assert everything(session) == before


@pytest.mark.parametrize("name", RULES)
def test_to_others_the_key_is_unknown(session, owner, name):
    method, path, body, _, expected = RULES[name]
    before = everything(session)
    for stranger, make in STRANGERS.items():
        answer = make(owner).call(method, path, body)
        assert answer.status == 404 if expected is None else answer.body == expected, stranger
        assert everything(session) == before
