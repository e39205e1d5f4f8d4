"""What a call costs the database: a fixed number of queries, however long the history, and an index for the key."""

import pytest
from django.db import connection

from sessions.models import Session
from tests.api.zeroclaw.calling import ROOT, at, say, session_of

pytestmark = pytest.mark.django_db
# Of each call: the API key; a savepoint stands here for the transaction, and its release.
KEY = 1
TRANSACTION = 2

CALLS = {
    # session by key
    "load": ("GET", "/messages", None, KEY + 1),
    # session by key, nested transaction, its row, message, session, event, place in the queue of the index
    "append": ("POST", "/messages", {"role": "user", "content": "x"}, KEY + TRANSACTION + 1 + TRANSACTION + 5),
    "get": ("GET", "", None, KEY + 1),
    "get_name": ("GET", "/name", None, KEY + 1),
    "get_state": ("GET", "/state", None, KEY + 1),
    # session by key, nested transaction, its row, session, event
    "set_state": ("PUT", "/state", {"state": "idle"}, KEY + TRANSACTION + 1 + TRANSACTION + 3),
}


@pytest.fixture
def warm(agent):
    for _ in range(3):
        say(agent)
    return agent


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("history", [0, 40])
def test_a_call_asks_so_often(warm, django_assert_num_queries, name, history):
    for _ in range(history):
        say(warm)
    method, rest, body, count = CALLS[name]
    with django_assert_num_queries(count):
        warm.call(method, at("k", rest), body)


@pytest.mark.parametrize(("method", "rest"), [("DELETE", "/messages/last"), ("PUT", "/messages/last")])
def test_a_revision_asks_equally_often_however_long_the_history(warm, django_assert_max_num_queries, method, rest):
    body = {"role": "user", "content": "x"} if method == "PUT" else None
    with django_assert_max_num_queries(25) as few:
        warm.call(method, at("k", rest), body)
    for _ in range(40):
        say(warm)
    with django_assert_max_num_queries(25) as many:
        warm.call(method, at("k", rest), body)
    assert len(few) == len(many)


def test_lists_ask_once_however_many_there_are(agent, django_assert_num_queries):
    for number in range(5):
        say(agent, f"k{number}")
        agent.put(at(f"k{number}", "/state"), {"state": "running"})
    for path in ("sessions", "running", "stuck?threshold_secs=0"):
        with django_assert_num_queries(KEY + 1):
            agent.get(f"{ROOT}/{path}")


def test_a_key_is_found_through_its_index(agent, owner):
    say(agent)
    rows = Session.objects.with_key(owner=owner, source="laptop", key="k")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert "session_key_once" in rows.explain()
    assert rows.get() == session_of()
