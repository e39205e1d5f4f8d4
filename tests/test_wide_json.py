"""JSON that is small as a text and enormous once it is read: refused before anything is made of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.models.fields import MOST_VALUES, is_wider, load_written
from tests.api.calling import agent_of
from tests.factories import make_session, make_user

WIDE = "[" + "0," * MOST_VALUES + "0]"
"""Two megabytes, of which sixty-four would take two gigabytes and the only thread for seconds."""

texts = st.text(alphabet=',[{}]"\\:a字\n', max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=30,
)


def held(value: object) -> int:
    """Return how many values are held in one; what is empty holds room for one."""
    if not isinstance(value, dict | list):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return max(1, len(inner)) + sum(map(held, inner))


@given(value=values, indent=st.none() | st.integers(0, 2), is_ascii=st.booleans())
def test_values_are_counted_and_what_strings_hold_is_none(value, indent, is_ascii):
    raw = json.dumps([value], indent=indent, ensure_ascii=is_ascii).encode()
    count = held([value])
    assert is_wider(raw, count - 1)
    assert not is_wider(raw, count)


@given(raw=st.text(alphabet=',[{}]"\\a', max_size=60).map(str.encode), count=st.integers(0, 10))
def test_what_is_no_json_is_counted_to_its_end_all_the_same(raw, count):
    assert is_wider(raw, count) in {True, False}
    assert not is_wider(b'"' + raw.replace(b'"', b"").replace(b"\\", b"") + b'"', len(raw) + 1)


@pytest.mark.parametrize(
    ("raw", "is_too_much"),
    [
        (b'"' + b"\\" * 1_000_001 + b"," * 1_000_001, False),
        (b"," * 999_990 + b'"' + b'\\",' * 1_000_000, False),
        (b'""' * 2_100_000 + b"," * 1_000_001, True),
        (WIDE.encode(), True),
    ],
    ids=["backslashes", "a string without an end", "empty strings", "an array"],
)
def test_no_place_is_looked_at_from_each_place(raw, is_too_much):
    assert is_wider(raw, MOST_VALUES) == is_too_much


def test_what_is_written_within_a_text_stays_text():
    with pytest.raises(ValueError, match="too many values"):
        load_written(WIDE)
    assert len(load_written(json.dumps([WIDE]))[0]) == len(WIDE)


@pytest.mark.django_db
def test_no_door_reads_it():
    owner = make_user()
    agent = agent_of(owner)
    session = make_session(owner)
    own, its = f"/api/v1/sessions/{session.uuid}", f"/v1/sessions/{session.uuid}"
    asked = [
        ("POST", f"{own}/messages", '{"messages": [{"role": "user", "content": "hello", "more": %s}]}'),
        ("POST", f"{own}/events", '{"events": [{"type": "progress", "all": %s}]}'),
        ("POST", f"{own}/checkpoints", '{"state": {"messages": [], "all": %s}}'),
        ("PUT", f"{own}/metadata/all", '{"value": "yes", "more": %s}'),
        ("POST", f"{its}/checkpoints", '{"state": {"messages": [], "all": %s}}'),
        ("POST", "/api/zeroclaw/sessions/one/messages", '{"role": "user", "content": "hello", "all": %s}'),
    ]
    for method, path, body in asked:
        refused = _sent(agent, method, path, body % WIDE)
        assert refused.status_code == 400, path
        assert b"The body holds more than 1,000,000 values" in refused.content, path
        assert _sent(agent, method, path, body % "[0]").status_code in {200, 201, 204}, path


@pytest.mark.django_db
def test_a_long_text_is_no_value_however_many_commas_it_has():
    owner = make_user()
    agent = agent_of(owner)
    path = f"sessions/{make_session(owner).uuid}/messages"
    asked = {"id": "c1", "function_name": "Write", "arguments": WIDE}
    message = {"role": "assistant", "content": WIDE, "tool_calls": [asked]}
    assert agent.post(path, {"messages": [message]}).status == 201
    (kept,) = agent.get(path)["items"]
    assert (kept["content"], kept["tool_calls"][0]["arguments"]) == (WIDE, WIDE)


def _sent(agent, method, path, body):
    return agent.client.generic(method, path, body, content_type="application/json", headers=agent.headers)
