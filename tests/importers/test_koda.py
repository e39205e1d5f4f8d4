"""A koda.db of any age in the tables, row by row, and whose sub-agents are whose."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions.models import Message, Session, ToolCall
from tests.importers.imports import Import
from tests.importers.koda_database import (
    AGES,
    ALL_LATER,
    Koda,
    hold_turn,
    make_call,
    make_scout,
    send_scout,
)

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize("age", AGES)
def test_a_database_of_each_age_is_read(tmp_path, age):
    koda = Koda(tmp_path / "koda.db", later=AGES[age])
    key = koda.start()
    hold_turn(koda, key)
    Import(koda.path).pull()

    session = Session.objects.get()
    assert (session.key, session.source, session.agent_name) == (key, "koda", "default")
    assert (session.project_root, session.is_imported) == ("/home/ada/lamps", True)
    assert [(m.role, m.content) for m in session.messages.order_by("id")] == [
        ("user", "Count the lamps, 1"), ("assistant", None), ("tool", "nine"), ("assistant", "Nine."),
    ]  # fmt: skip
    assert (session.prompt_tokens, session.completion_tokens, session.api_call_count) == (30, 8, 2)
    has_caches = "cache_read_tokens" in AGES[age]
    assert (session.cache_read_tokens, session.thinking_tokens) == ((4, 2) if has_caches else (0, 0))
    call = ToolCall.objects.get()
    assert (call.name, call.detail, call.outcome, call.took_seconds) == ("Read", "/x", "success", None)


@given(later=st.sets(st.sampled_from(sorted(ALL_LATER))))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_columns_may_come_in_any_mix(tmp_path_factory, later):
    koda = Koda(tmp_path_factory.mktemp("mix") / "koda.db", later=later)
    hold_turn(koda, koda.start(title="Lamps", mode="auto"))
    Import(koda.path).pull()

    session = Session.objects.order_by("-pk").first()
    assert session.message_count == 4
    assert session.title == ("Lamps" if "title" in later else "Count the lamps, 1")
    assert session.mode == ("auto" if "mode" in later else None)
    koda.close()


def test_times_are_utc_and_the_order_is_that_of_the_numbers(koda):
    key = koda.start()
    koda.say(key, "user", "first", created_at="2026-03-01 09:00:05")
    koda.say(key, "assistant", "second", created_at="2026-03-01 09:00:02")
    Import(koda.path).pull()

    session = Session.objects.get()
    assert session.created_at == NINE
    assert [m.content for m in session.messages.order_by("id")] == ["first", "second"]
    assert [m.created_at.second for m in session.messages.order_by("id")] == [5, 2]
    assert session.last_activity_at == NINE.replace(second=5)
    assert (session.state, session.liveness) == ("idle", "resting")


def test_null_empty_and_what_stands_in_between_stay_different(koda):
    key = koda.start()
    for content in (None, "", " "):
        koda.say(key, "user", content)
    koda.say(key, "assistant", None, tool_calls=[])
    koda.say(key, "assistant", "", prompt_tokens=0, completion_tokens=0)
    Import(koda.path).pull()

    messages = list(Message.objects.order_by("id"))
    assert [m.content for m in messages] == [None, "", " ", None, ""]
    assert [m.tool_calls for m in messages] == [None, None, None, [], None]
    assert Session.objects.get().api_call_count == 1
    assert messages[0].usage is None


def test_roles_that_koda_itself_has_forgotten_are_kept(koda):
    koda.say(koda.start(), "phase", 'Planning\n{"phase": 1}')
    Import(koda.path).pull()
    assert Message.objects.get().role == "phase"
    assert Session.objects.get().title is None


def test_what_a_later_koda_keeps_beside_the_messages_is_taken_over(koda):
    key = koda.start(title="  Lamps\nof Ada ", mode="confirm")
    koda.say(key, "assistant", "Nine.", thinking_content="Hm.", agent_name="scout", prompt_tokens=1)
    koda.insert("session_metadata", session_id=key, key="todo", value="- [ ] count")
    koda.insert("session_metadata", session_id=key, key="progress", value="built\x00")
    koda.insert("owned_files", session_id=key, path="/home/ada/lamps/new.py")
    koda.insert("session_events", session_id=key, kind="info", payload="Compacting")
    update = {"type": "child_task_update", "task_id": "t1"}
    koda.insert(
        "session_events", session_id=key, kind="bg_task_update", payload=json.dumps(update), parent_tool_call_id="c1"
    )
    koda.insert("session_events", session_id=key, kind="turn_start", payload="{}")
    Import(koda.path).pull()

    session = Session.objects.get()
    assert (session.title, session.mode) == ("Lamps of Ada", "safe")
    message = session.messages.get()
    assert (message.thinking, message.agent_name) == ("Hm.", "scout")
    assert dict(session.metadata.values_list("key", "value")) == {"todo": "- [ ] count", "progress": "built\ufffd"}
    assert session.files.get().path == "/home/ada/lamps/new.py"
    kept = session.events.exclude(type__startswith="server.").order_by("seq")
    assert [(event.type, event.payload) for event in kept] == [
        ("info", {"message": "Compacting"}),
        ("koda.bg_task_update", {"event": update, "parent_tool_call_id": "c1"}),
        ("koda.turn_start", {"event": {}}),
    ]
    assert (session.state, session.turn_count) == ("idle", 0)


def test_values_that_cannot_be_lose_no_message(koda):
    key = koda.start(created_at="yesterday", agent_name="")
    koda.say(key, "assistant", b"\xff\x00bytes", tool_calls="not json", created_at=None, prompt_tokens=-4)
    koda.say(key, "assistant", 7, tool_calls='{"id": "c1"}', completion_tokens="many")
    koda.say(key, "", "nobody said this")
    koda.say(key, "r" * 99, "x", tool_call_id="c" * 9000, agent_name="a\x00b")
    done = Import(koda.path).pull()

    messages = list(Message.objects.order_by("id"))
    assert [m.content for m in messages] == ["\ufffd\ufffdbytes", "7", "nobody said this", "x"]
    assert [m.role for m in messages] == ["assistant", "assistant", "unknown", "r" * 32]
    assert messages[0].usage.prompt_tokens == 0
    assert done.feed.tally.passed_over["tool_calls that are no array"] == 2


@pytest.mark.parametrize("innermost", ["1", '"\\u0000"'])
def test_json_of_any_depth_stops_no_import(koda, innermost):
    key = koda.start()
    for depth in (99, 150, *range(300, 1000, 7)):
        deep = "[" * depth + innermost + "]" * depth
        koda.say(key, "assistant", "x", tool_calls=f'[{{"id": "c", "function_name": "Read", "arguments": {deep}}}]')
        koda.insert("session_events", session_id=key, kind="odd", payload=deep)
    koda.say(key, "user", "Count")
    Import(koda.path).pull()
    session = Session.objects.get()
    assert session.messages.latest("pk").content == "Count"
    assert session.events.filter(type="koda.odd").count() == 102


@pytest.mark.parametrize("call_id", [" c1 ", "c" * 1500, "c\n1", "日" * 600])
def test_a_result_finds_its_call_by_the_id_as_it_stands_there(koda, call_id):
    key = koda.start()
    koda.say(key, "assistant", None, tool_calls=[make_call(call_id)])
    koda.say(key, "tool", "fine", tool_call_id=call_id)
    Import(koda.path).pull()
    assert list(ToolCall.objects.values_list("call_id", "outcome")) == [(call_id, "success")]
    assert Message.objects.get(role="tool").tool_call_id == call_id


@pytest.mark.parametrize("root", [" /home/ada/lamps ", "/home/" + "a" * 900, "/home/a\tb", "", None])
def test_a_project_is_the_path_as_it_was_given(koda, root):
    hold_turn(koda, koda.start(project_root=root))
    Import(koda.path).pull()
    assert Session.objects.get().project_root == root


def test_token_counts_are_taken_as_far_as_the_api_takes_them(koda):
    key = koda.start()
    koda.say(key, "assistant", "x", prompt_tokens=2**53 - 1, completion_tokens=2**31)
    koda.say(key, "assistant", "y", prompt_tokens=0, completion_tokens=2**53)
    Import(koda.path).pull()
    session = Session.objects.get()
    assert (session.prompt_tokens, session.completion_tokens) == (2**53 - 1, 2**31)


def test_refusals_and_cut_off_calls_end_as_such(koda):
    key = koda.start()
    koda.say(key, "assistant", None, tool_calls=[make_call(name) for name in ("c1", "c2", "c3")])
    koda.say(key, "tool", "User rejected this action with feedback: no", tool_call_id="c1")
    koda.say(key, "tool", "[cancelled]", tool_call_id="c2")
    Import(koda.path).pull()
    assert dict(ToolCall.objects.values_list("call_id", "outcome")) == {"c1": "rejected", "c2": "aborted", "c3": None}


def test_a_content_that_is_too_large_is_cut_and_says_so(koda):
    koda.say(koda.start(), "user", "é" * (9 * 1024 * 1024))
    Import(koda.path).pull()
    content = Message.objects.get().content
    assert len(content.encode()) <= 16 * 1024 * 1024
    assert content.endswith("18,874,368 bytes are too many.]")


def test_sessions_in_which_nothing_was_said_are_passed_over_and_counted(koda):
    koda.start()
    kept = koda.start()
    koda.insert("session_metadata", session_id=kept, key="todo", value="- [ ] begin")
    done = Import(koda.path).pull()
    assert Session.objects.get().key == kept
    assert done.feed.tally.passed_over == {"session in which nothing was said": 1}


def parent_of(child: str) -> tuple[str | None, str | None]:
    session = Session.objects.get(key=child)
    return (session.parent.key if session.parent else None, session.parent_tool_call_id)


def test_a_sub_agent_whose_call_is_plain_is_tied_to_it(koda):
    parent = koda.start(mode="plan")
    send_scout(koda, parent)
    child = make_scout(koda)
    koda.say(parent, "tool", "Snow.", tool_call_id="c1")
    Import(koda.path).pull()
    assert parent_of(child) == (parent, "c1")


def test_a_call_whose_name_is_no_word_sends_nobody_and_stops_nothing(koda):
    parent = koda.start()
    odd = {"id": "c0", "function_name": ["InvokeAgent"], "name": {}, "arguments": "{}"}
    koda.say(
        parent, "assistant", None, tool_calls=[odd, make_call("c1", "InvokeAgent", agent_name="scout", prompt="Look")]
    )
    child = make_scout(koda, prompt="Look")
    Import(koda.path).pull()
    assert parent_of(child) == (parent, "c1")


def test_a_prompt_of_ones_own_after_the_result_is_no_errand(koda):
    parent = koda.start()
    send_scout(koda, parent)
    koda.say(parent, "tool", "Snow.", tool_call_id="c1")
    child = make_scout(koda)
    Import(koda.path).pull()
    assert parent_of(child) == (None, None)


@pytest.mark.parametrize("doubt", ["two calls", "two children", "another agent", "another prompt", "goes on"])
def test_where_there_is_doubt_nothing_is_tied(koda, doubt):
    parent = koda.start()
    send_scout(koda, parent, **({"session_id": "s"} if doubt == "goes on" else {}))
    if doubt == "two calls":
        send_scout(koda, parent, call_id="c2")
    child = make_scout(
        koda,
        agent_name="poet" if doubt == "another agent" else "scout",
        prompt="Look south" if doubt == "another prompt" else "Look north",
    )
    if doubt == "two children":
        make_scout(koda)
    Import(koda.path).pull()
    assert parent_of(child) == (None, None)


def test_a_sub_agent_that_comes_while_we_follow_is_tied(koda):
    parent = koda.start()
    koda.say(parent, "user", "Send a scout")
    following = Import(koda.path).pull()
    send_scout(koda, parent)
    following.pull()
    child = make_scout(koda)
    following.pull()
    assert parent_of(child) == (parent, "c1")
