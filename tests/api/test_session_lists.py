"""GET /sessions with its filters, orders and cursors; /sessions/running and /sessions/stuck."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from sessions import protocol
from tests.api.calling import agent_of
from tests.factories import make_events, make_message, make_session

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def ids(answer):
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer["items"]]


def walk(agent, path):
    """Return the ids of all pages."""
    found, cursor = [], None
    while True:
        page = agent.get(f"{path}{f'&cursor={cursor}' if cursor else ''}")
        found += ids(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.fixture
def three(owner):
    """Three sessions, an hour apart, the later born the longer inactive."""
    return [
        make_session(owner, title=name, now=NOON + timedelta(hours=n), last_activity_at=NOON - timedelta(hours=n))
        for n, name in enumerate("abc")
    ]


@pytest.mark.parametrize(
    ("order", "titles"),
    [
        ("", "abc"),
        ("-last_activity_at", "abc"),
        ("last_activity_at", "cba"),
        ("-created_at", "cba"),
        ("created_at", "abc"),
    ],
)
def test_the_order_is_the_one_asked_for(agent, three, order, titles):
    answer = agent.get(f"sessions{order and f'?order={order}'}")

    assert "".join(item["title"] for item in answer["items"]) == titles


@pytest.mark.parametrize("order", ["-last_activity_at", "last_activity_at", "-created_at", "created_at"])
def test_pages_have_no_gap_and_no_repeat_where_times_are_equal(agent, owner, order):
    made = [make_session(owner, now=NOON + timedelta(seconds=n // 3)) for n in range(8)]

    found = walk(agent, f"sessions?limit=3&order={order}")

    expected = [str(session.uuid) for session in made]
    assert found == (expected[::-1] if order.startswith("-") else expected)


def test_a_session_that_moves_up_while_one_pages_is_not_seen_twice(agent, owner):
    made = [make_session(owner, now=NOON + timedelta(seconds=n)) for n in range(4)]
    first = agent.get("sessions?limit=2")
    make_message(made[0])

    second = agent.get(f"sessions?limit=2&cursor={first['next_cursor']}")

    assert ids(first) == [str(made[3].uuid), str(made[2].uuid)]
    assert ids(second) == [str(made[1].uuid)]


@pytest.mark.parametrize("form", ["{}x", "x{}", "before:1", "%00", "1", "{}{}"])
def test_a_cursor_that_was_altered_is_refused(agent, three, form):
    cursor = agent.get("sessions?limit=1")["next_cursor"]

    answer = agent.get(f"sessions?cursor={form.format(cursor, cursor)}")

    assert (answer.status, answer.fields) == (422, ["cursor"])


def test_a_cursor_belongs_to_its_order(agent, three):
    cursor = agent.get("sessions?limit=1")["next_cursor"]

    assert agent.get(f"sessions?cursor={cursor}&order=created_at").status == 422
    assert agent.get(f"messages/recent?cursor={cursor}").status == 422


def test_a_limit_of_nothing_is_an_empty_page_and_too_much_is_cut(agent, owner):
    for _ in range(3):
        make_session(owner)

    assert agent.get("sessions?limit=0").body == {"items": [], "next_cursor": None}
    assert len(ids(agent.get("sessions?limit=2"))) == 2
    assert len(ids(agent.get(f"sessions?limit={10**30}"))) == 3


def test_no_page_has_more_than_five_hundred_rows_and_fifty_when_nobody_says(agent, owner):
    session = make_session(owner)
    make_events(session, *({"type": "info"} for _ in range(600)))

    assert len(agent.get(f"sessions/{session.uuid}/events?limit=501")["items"]) == 500
    assert len(agent.get(f"sessions/{session.uuid}/events")["items"]) == 50


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=", "limit=1.5"])
def test_a_limit_that_is_none_is_refused(agent, query):
    answer = agent.get(f"sessions?{query}")

    assert (answer.status, answer.fields) == (422, ["limit"])


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("agent_name=koda", "ab"),
        ("agent_name=kod", ""),
        ("key=k/1%20%C3%A9", "b"),
        ("source=desk", "b"),
        ("state=running", "a"),
        ("state=idle", "bc"),
        ("state=error", ""),
        ("liveness=live", "a"),
        ("liveness=resting", "bc"),
        ("needs=approval", "a"),
        ("needs=any", "a"),
        ("needs=none", "bc"),
        ("needs=input", ""),
        ("visibility=PUBLIC", "c"),
        ("q=SRV", "a"),
        ("q=k/1", "b"),
        ("q=scout", "c"),
        ("q=%25", ""),
        ("state=running&needs=approval&agent_name=koda", "a"),
        ("state=running&source=desk", ""),
        ("project_root=/srv/a", "abc"),
        ("project_root=/srv", "bc"),
        ("unknown=1", "abc"),
    ],
)
def test_a_filter_finds_exactly_what_it_says(agent, owner, query, titles):
    first = make_session(owner, title="a", project_root="/srv/a", now=NOON)
    make_session(owner, title="b", source="desk", key="k/1 é", now=NOON)
    make_session(owner, title="c", agent_name="scout", visibility="PUBLIC", now=NOON)
    make_events(first, {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "r"})

    answer = agent.get(f"sessions?order=created_at&{query}")

    assert answer.status == 200, answer.body
    assert "".join(item["title"] for item in answer["items"]) == titles


@pytest.mark.parametrize(
    "query",
    ["state=busy", "liveness=dead", "needs=love", "status=GONE", "visibility=public", "order=title", "parent_id=x",
     "q=%00", "key=%00", "project_root=%00", "agent_name=%00", "source=%00"],
)  # fmt: skip
def test_a_filter_with_a_word_that_is_none_is_refused(agent, query):
    answer = agent.get(f"sessions?{query}")

    assert (answer.status, answer.fields) == (422, [query.partition("=")[0]])


def test_a_parent_that_does_not_exist_has_no_children(agent):
    assert ids(agent.get("sessions?parent_id=00000000-0000-0000-0000-000000000000")) == []


def test_running_sessions_come_with_their_age_the_newest_start_first(agent, owner, time_machine):
    time_machine.move_to(NOON, tick=False)
    old, new, idle = (make_session(owner) for _ in range(3))
    protocol.set_state(old.pk, "running", turn_id="t1", by="test", now=NOON - timedelta(seconds=90))
    protocol.set_state(new.pk, "running", turn_id="t2", by="test", now=NOON - timedelta(seconds=5))

    answer = agent.get("sessions/running")

    assert [(item["id"], item["turn_id"], item["age_secs"]) for item in answer["items"]] == [
        (str(new.uuid), "t2", 5.0),
        (str(old.uuid), "t1", 90.0),
    ]
    assert walk(agent, "sessions/running?limit=1") == [str(new.uuid), str(old.uuid)]
    assert str(idle.uuid) not in ids(answer)


def test_stuck_is_strictly_older_than_the_threshold_the_oldest_first(agent, owner, time_machine):
    time_machine.move_to(NOON, tick=False)
    made = [make_session(owner) for _ in range(3)]
    for session, age in zip(made, (300, 301, 900), strict=True):
        protocol.set_state(session.pk, "running", turn_id=None, by="test", now=NOON - timedelta(seconds=age))

    assert ids(agent.get("sessions/stuck")) == [str(made[2].uuid), str(made[1].uuid)]
    assert ids(agent.get("sessions/stuck?threshold_secs=899")) == [str(made[2].uuid)]
    assert walk(agent, "sessions/stuck?limit=1") == [str(made[2].uuid), str(made[1].uuid)]


@pytest.mark.parametrize("threshold", ["-1", "x", str(10**12)])
def test_a_threshold_that_is_none_is_refused(agent, threshold):
    assert agent.get(f"sessions/stuck?threshold_secs={threshold}").status == 422


def test_a_deleted_session_neither_runs_nor_is_stuck(agent, owner):
    session = make_session(owner)
    protocol.set_state(session.pk, "running", turn_id=None, by="test", now=timezone.now() - timedelta(hours=1))
    session.remove(by="test")

    assert ids(agent.get("sessions/running")) == ids(agent.get("sessions/stuck")) == []


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("sessions?limit=100", 2),  # the key with its user; the sessions
        ("sessions/running?limit=100", 2),  # the same
        ("sessions/{id}", 2),  # the key; the session
        ("sessions/{id}/messages?limit=100", 3),  # the key; the session; the messages
        ("sessions/{id}/messages?view=context&limit=100", 4),  # also the calls of the context
        ("sessions/{id}/events?limit=100", 3),  # the key; the session; the events
        ("sessions/{id}/turns?limit=100", 4),  # the key; the session; the turns; the outcomes of their calls
        ("sessions/{id}/usage", 3),  # the key; the session; the ledger
        ("messages/recent?limit=100", 2),  # the key; the messages
    ],
)
def test_a_list_asks_as_often_for_many_rows_as_for_one(owner, path, count, django_assert_num_queries):
    agent = agent_of(owner)
    parent = make_session(owner)
    agent.get("sessions")  # notes the key's use, which it then need not for a minute

    for _ in range(2):
        for n in range(10):
            child = make_session(owner, parent=parent)
            make_message(parent, role="assistant", tool_calls=[{"id": f"c{n}"}])
            make_message(parent, role="tool", tool_call_id=f"c{n}")
            make_message(child)
            make_events(child, {"type": "turn_start", "turn_id": "t"})
            make_events(parent, {"type": "turn_start", "turn_id": f"{child.pk}"})
        with django_assert_num_queries(count):
            assert agent.get(path.format(id=parent.uuid)).status == 200


@pytest.mark.parametrize("key", ["k" * 1024, "日" * 1024])
def test_the_longest_keys_are_found_and_a_longer_one_is_refused(agent, key):
    made = agent.post("sessions", {"agent_name": "koda", "key": key})
    assert made.status == 201
    found = agent.get(f"sessions?key={quote(key)}")["items"]
    assert [one["id"] for one in found] == [made["id"]]
    refused = agent.get(f"sessions?key={quote('k' * 4097)}")
    assert (refused.status, refused.fields) == (422, ["key"])
