"""Who may do what at Stakpak's door; whoever is refused changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions.api.stakpak.api import api
from sessions.models import Session
from tests.api.test_permissions import see_store, undone
from tests.factories import make_key, make_user

pytestmark = pytest.mark.django_db

CALLERS: dict[str, Callable[[User], str | None]] = {
    "owner": lambda owner: make_key(owner, source="laptop").plain,
    "write": lambda owner: make_key(owner, source="laptop", scopes=("write",)).plain,
    "read": lambda owner: make_key(owner, source="laptop", scopes=("read",)).plain,
    "control": lambda owner: make_key(owner, source="laptop", scopes=("control",)).plain,
    "stranger": lambda _owner: make_key(make_user(), source="laptop").plain,
    "nobody": lambda _owner: None,
    "unknown": lambda _owner: "stkpk_api_unknown",
}
UNKNOWN = {"nobody": 401, "unknown": 401}
READ = {**UNKNOWN, "owner": 200, "write": 403, "read": 200, "control": 403, "stranger": 404}
WRITE = {**READ, "write": 200, "read": 403}
LISTS = {**READ, "stranger": 200}
EVERYBODY = dict.fromkeys(CALLERS, 200) | UNKNOWN
STATE = {"messages": [{"role": "user", "content": "again"}]}

RULES: dict[str, tuple[str, str, Any, dict[str, int]]] = {
    "get_account": ("GET", "account", None, EVERYBODY),
    "list_rules": ("GET", "rules", None, EVERYBODY),
    "backend_info": ("GET", "backend-info", None, EVERYBODY),
    "list_sessions": ("GET", "sessions", None, LISTS),
    "create_session": (
        "POST",
        "sessions",
        {"title": "New", "state": STATE},
        {**EVERYBODY, "read": 403, "control": 403},
    ),
    "get_session": ("GET", "sessions/{session}", None, READ),
    "update_session": ("PATCH", "sessions/{session}", {"title": "Other"}, WRITE),
    "delete_session": ("DELETE", "sessions/{session}", None, WRITE),
    "list_checkpoints": ("GET", "sessions/{session}/checkpoints", None, READ),
    "create_checkpoint": ("POST", "sessions/{session}/checkpoints", {"state": STATE}, WRITE),
    "get_checkpoint": ("GET", "sessions/checkpoints/{checkpoint}", None, READ),
    "get_stats": ("GET", "sessions/stats", None, LISTS),
    "get_session_stats": ("GET", "sessions/{session}/stats", None, READ),
}


def call(plain: str | None, method: str, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {plain}"} if plain else {}
    data = "" if body is None else json.dumps(body)
    return Client().generic(method, f"/v1/{path}", data, content_type="application/json", headers=headers)


def test_every_route_is_in_the_table():
    operations = [operation for methods in api.get_openapi_schema()["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in operations} == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_each_caller_gets_what_the_rule_says_and_a_refused_one_changes_nothing(name):
    method, path, body, rule = RULES[name]
    owner = make_user("ada")
    made = call(CALLERS["owner"](owner), "POST", "sessions", {"title": "One", "state": STATE}).json()
    session = Session.objects.get()
    statuses, changed = {}, []
    for caller, make in CALLERS.items():
        with undone():
            plain = make(owner)
            before = see_store()
            place = path.format(session=session.uuid, checkpoint=session.active_checkpoint.uuid)
            answer = call(plain, method, place, body)
            statuses[caller] = 200 if answer.status_code in {201, 204} else answer.status_code
            if statuses[caller] != 200 and see_store() != before:
                changed.append(caller)
    assert made
    assert statuses == rule
    assert not changed
