"""What a call costs the database: a fixed number of queries, however long the history, and an index for the key."""

import pytest
from django.db import connection

from sessions.models import Session
from tests.api.zeroclaw.calling import ROOT, at, say, session_of
from tests.factories import make_session

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


@pytest.mark.parametrize(
    ("method", "rest", "body", "most"),
    [
        ("DELETE", "/messages/last", None, 25),
        ("PUT", "/messages/last", {"role": "user", "content": "x"}, 25),
        ("DELETE", "/messages", None, 25),
        ("PUT", "/name", {"name": "n"}, 12),
        ("POST", "/compact", None, 16),
        ("DELETE", "", None, 12),
    ],
)
def test_a_change_asks_equally_often_however_long_the_history(
    warm, django_assert_max_num_queries, method, rest, body, most
):
    for _ in range(40):
        say(warm, "long")
    with django_assert_max_num_queries(most) as few:
        assert warm.call(method, at("k", rest), body).status == 200
    with django_assert_max_num_queries(most) as many:
        assert warm.call(method, at("long", rest), body).status == 200
    assert len(few) == len(many)


def test_a_search_asks_equally_often_however_much_there_is(warm, django_assert_max_num_queries):
    warm.get(f"{ROOT}/sessions?keyword=x")
    with django_assert_max_num_queries(8) as few:
        warm.get(f"{ROOT}/sessions?keyword=hello")
    for number in range(10):
        say(warm, f"k{number}")
    warm.get(f"{ROOT}/sessions?keyword=x")
    with django_assert_max_num_queries(8) as many:
        assert len(warm.get(f"{ROOT}/sessions?keyword=hello")["sessions"]) == 11
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
    for _ in range(100):
        make_session(owner)
    rows = Session.objects.with_key(owner=owner, source="laptop", key="k")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("ANALYZE koda_sessions_session")  # to an empty table each index is as good as another
    assert "session_key_once" in rows.explain()
    assert rows.get() == session_of()
