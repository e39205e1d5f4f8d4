"""GET /search."""

import pytest

from tests.api.calling import agent_of
from tests.factories import make_message, make_session, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(owner):
    return make_session(owner, title="Fix the parser", project_root="/home/ada/engine")


def test_a_hit_says_where_it_stands(agent, session):
    pk = make_message(session, content="The <b>Parser</b> drops & loses tokens", created_at=session.created_at)

    answer = agent.get("search?q=pars&role=user")

    assert answer["items"] == [
        {
            "kind": "message", "session_id": str(session.uuid), "session_title": "Fix the parser",
            "agent_name": "koda", "project_root": "/home/ada/engine", "message_id": pk, "tool_call_id": None,
            "role": "user", "tool": None, "created_at": answer["items"][0]["created_at"], "is_archived": False,
            "score": answer["items"][0]["score"],
            "snippet": "The &lt;b&gt;<mark>Parser</mark>&lt;/b&gt; drops &amp; loses tokens",
        }
    ]  # fmt: skip
    assert (answer["count"], answer["is_more"], answer["is_behind"], answer["next_cursor"]) == (1, False, False, None)
    assert answer["facets"] == {
        "role": [{"value": "user", "count": 1}],
        "agent_name": [{"value": "koda", "count": 1}],
        "project_root": [{"value": "/home/ada/engine", "count": 1}],
        "tool": [],
    }


def test_a_title_is_a_hit_without_a_message(agent, session):
    (hit,) = agent.get("search?q=fix%20parser")["items"]
    assert (hit["kind"], hit["message_id"], hit["role"]) == ("session", None, None)
    assert hit["snippet"] == "<mark>Fix</mark> the <mark>parser</mark>"


def test_pages_go_on_by_cursor(agent, session):
    ids = {make_message(session, content=f"zebra {n}") for n in range(5)}
    first = agent.get("search?q=zebra&limit=3")
    second = agent.get(f"search?q=zebra&limit=3&cursor={first['next_cursor']}")
    assert {hit["message_id"] for hit in (*first["items"], *second["items"])} == ids
    assert second["next_cursor"] is None
    assert agent.get("search?q=zebra&limit=0")["items"] == []


def test_strangers_find_nothing_of_it_not_even_its_words_in_facets(session):
    make_message(session, content="zebra")
    answer = agent_of(make_user()).get("search?q=zebra")
    assert (answer["items"], answer["count"]) == ([], 0)
    assert answer["facets"] == {"role": [], "agent_name": [], "project_root": [], "tool": []}


@pytest.mark.parametrize("q", ["", "%22", "%22%22", "...", "%00", "-", "*", "%F0%9F%9A%80", "a%20AND%20(", "%FF"])
def test_a_query_is_never_an_error(agent, session, q):
    assert agent.get(f"search?q={q}").status == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("cursor=abc", "cursor"), ("limit=-1", "limit"), ("state=odd", "state"), ("after=yesterday", "after"),
        ("before=2026-01-01T00:00:00", "before"), ("role=%00", "role"), ("agent_name=a%00b", "agent_name"),
        ("project_root=%00", "project_root"), ("tool=%00", "tool"), ("source=%00", "source"),
    ],
)  # fmt: skip
def test_filters_that_cannot_be_are_refused(agent, wrong, field):
    answer = agent.get(f"search?q=zebra&{wrong}")
    assert (answer.status, answer.fields) == (422, [field])
