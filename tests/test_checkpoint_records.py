"""A session that is kept in checkpoints, in the common records: transcript, tokens, calls, and what it does."""

from typing import Any

import pytest
import time_machine

from sessions import forks, indexing, liveness, recounting, search
from sessions.models import Checkpoint, Message, Session
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.test_checkpoints import add, begin, state_of

pytestmark = pytest.mark.django_db

NOBODY_SAYS = "whether it runs or waits for an approval, its source does not say"


def session_of(checkpoint: Checkpoint) -> Session:
    return Session.objects.get(pk=checkpoint.session_id)


def shown(checkpoint: Checkpoint) -> list[tuple[str, str | None]]:
    rows = Message.objects.of(checkpoint.session_id).unarchived()
    return [(row.role, row.content) for row in rows]


def fork_of(checkpoint: Checkpoint) -> Session:
    return forks.fork(Checkpoint.objects.select_related("session__owner").get(pk=checkpoint.pk), by="test")


def tokens(checkpoint: Checkpoint) -> tuple[int, int]:
    session = session_of(checkpoint)
    assert recounting.differences(session) == []
    return session.total_tokens, session.api_call_count


def outcomes(checkpoint: Checkpoint) -> dict[str, str | None]:
    return {call.call_id: call.outcome for call in session_of(checkpoint).tool_calls.all()}


def history_of(steps: int) -> list[Any]:
    history: list[Any] = [user("begin")]
    for step in range(steps):
        history += [says(f"step {step}", call(f"c{step}")), result(f"c{step}", f"result {step}")]
    return [*history, says("done")]


def walk(history: list[Any]) -> Checkpoint:
    """Send a history as the client does: one checkpoint a step, tool results with the next one (2.5)."""
    first = begin(history[:1])
    for length in [*range(2, len(history), 2), len(history)]:
        newest = add(first, history[:length])
    return newest


def test_a_transcript_has_each_message_once_whatever_the_number_of_steps():
    history = history_of(20)
    newest = walk(history)
    session = session_of(newest)

    assert shown(newest) == [(message["role"], message["content"]) for message in history]
    assert session.message_count == len(history)
    assert outcomes(newest) == {f"c{step}": "success" for step in range(20)}
    assert (session.tool_call_count, session.tool_success_count) == (20, 20)
    assert session.agent_name == "stakpak"
    assert recounting.differences(session) == []


def test_tokens_are_those_of_each_steps_last_answer_though_the_next_step_leaves_them_out():
    first = begin([user("a")])
    step = [user("a"), says("b\n", call("c"), **usage(100, 10, cache_read_input_tokens=60, cache_write_input_tokens=5))]
    add(first, step)
    step = [user("a"), says("b", call("c")), result("c"), says("d", **usage(200, 20))]
    add(first, step)
    newest = add(first, [*step, user("e")])
    session = session_of(newest)

    assert (session.prompt_tokens, session.completion_tokens, session.api_call_count) == (300, 30, 2)
    assert (session.cache_read_tokens, session.cache_creation_tokens) == (60, 5)
    assert recounting.differences(session) == []


def test_tokens_that_come_later_are_counted_once():
    first = begin([user("a"), says("b")])
    add(first, [user("a"), says("b", **usage(7, 3)), user("c")])
    newest = add(first, [user("a"), says("b"), user("c"), says("d")])

    assert (session_of(newest).total_tokens, session_of(newest).api_call_count) == (10, 1)
    assert recounting.differences(session_of(newest)) == []


def test_a_rewritten_history_spends_no_token_twice_and_loses_none():
    told = [user("a"), says("b", **usage(10, 1)), user("c"), says("d", **usage(20, 2))]
    first = begin(told)
    add(first, [user("[trimmed]"), *told[2:]])
    newest = add(first, told)

    assert session_of(newest).total_tokens == 33
    assert recounting.differences(session_of(newest)) == []


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("all good", "success"),
        ("", "success"),
        ("No result", "success"),
        ("TOOL_CALL_REJECTED", "rejected"),
        ("Tool call rejected by user", "rejected"),
        ("TOOL_CALL_CANCELLED", "aborted"),
        ("output so far\nTOOL_CALL_CANCELLED", "aborted"),
        ('{"skipped":"Skipped due to steering update"}', "aborted"),
        ("[MCP_TOOL_CALL_ERROR] no such file", "failed"),
        ("[INVALID_ARGUMENTS]\nmissing field", "failed"),
        ("Error: exit status 1", "failed"),
        ("Tool 'stakpak__run_command' timed out after 60 minutes", "failed"),
        ("[warn] this is a log line", "success"),
        ("Errors: none", "success"),
    ],
)
def test_a_call_ends_as_its_result_says(text, outcome):
    newest = begin([user("a"), says(None, call("c")), result("c", text), says("d")])

    assert outcomes(newest) == {"c": outcome}
    assert recounting.differences(session_of(newest)) == []


def test_a_call_without_a_result_is_aborted_once_something_newer_was_said():
    first = begin([user("a"), says(None, call("c1"), call("c2")), result("c1")])
    assert outcomes(first) == {"c1": "success", "c2": None}

    newest = add(first, [user("a"), says(None, call("c1"), call("c2")), result("c1"), user("go on")])
    assert outcomes(newest) == {"c1": "success", "c2": "aborted"}
    assert (session_of(newest).needs, session_of(newest).tool_aborted_count) == ("", 1)


def test_a_call_without_a_result_is_what_the_agent_does_and_nobody_is_asked():
    """The contract has no word for whether it runs or waits for an approval (2.5)."""
    asks = [user("a"), says(None, call("c1"), call("c2", arguments='{"command":"rm -rf build"}'))]
    session = session_of(add(begin([user("a")]), asks))

    assert (session.state, session.needs, session.liveness) == ("running", "", "unknown")
    assert (session.doing, session.doing_detail) == ("run_command", "ls")
    assert session.liveness_reason == f"no result yet; {NOBODY_SAYS}"
    assert not session.requests.exists()


def test_what_is_done_goes_on_with_the_results():
    first = begin([user("a")])
    asks = [user("a"), says(None, call("c1"), call("c2", arguments='{"command":"make"}'))]
    add(first, asks)
    session = session_of(add(first, [*asks, result("c1")]))
    assert (session.doing, session.doing_detail) == ("run_command", "make")
    session = session_of(add(first, [*asks, result("c1"), result("c2")]))
    assert (session.state, session.doing) == ("running", "")
    session = session_of(add(first, [*asks, result("c1"), result("c2", "TOOL_CALL_REJECTED"), says("as you like")]))
    assert (session.state, session.doing, session.liveness) == ("idle", "", "resting")


def test_a_call_that_stays_without_a_result_is_stuck_and_says_what_nobody_knows():
    with time_machine.travel("2026-05-01T10:00:00Z", tick=False):
        first = begin([user("a"), says(None, call("c", name="stakpak__view"))])
    with time_machine.travel("2026-05-01T10:06:00Z", tick=False):
        liveness.watch()
        session = session_of(first)
    assert (session.liveness, session.needs) == ("stuck", "")
    assert session.liveness_reason == f"no progress for 6 m 00 s while view ls is open; {NOBODY_SAYS}"


def test_who_answers_nothing_is_running_and_unknown_and_then_stuck():
    with time_machine.travel("2026-05-01T10:00:00Z", tick=False):
        first = begin([user("a")])
    assert (session_of(first).state, session_of(first).liveness) == ("running", "unknown")
    with time_machine.travel("2026-05-01T10:04:00Z", tick=False):
        liveness.watch()
        assert session_of(first).liveness == "unknown"
    with time_machine.travel("2026-05-01T10:06:00Z", tick=False):
        liveness.watch()
        assert session_of(first).liveness == "stuck"
        newest = add(first, [user("a"), says("there")])
    assert (session_of(newest).state, session_of(newest).liveness, session_of(newest).is_unseen) == (
        "idle", "resting", True,
    )  # fmt: skip


def test_a_turn_lasts_from_the_prompt_to_the_answer():
    history = history_of(2)
    with time_machine.travel("2026-05-01T10:00:00Z", tick=False) as clock:
        first = begin(history[:1])
        began = session_of(first).turn_started_at
        for length in (2, 4):
            clock.shift(30)
            add(first, history[:length])
            assert session_of(first).turn_started_at == began
        clock.shift(30)
        add(first, history)
        assert session_of(first).turn_started_at is None
        clock.shift(30)
        add(first, [*history, user("next")])
        assert session_of(first).turn_started_at == session_of(first).progressed_at


def test_an_empty_beginning_rests():
    assert session_of(begin([])).state == "idle"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("plain", "plain"),
        ("  spaced\n", "  spaced\n"),
        ("do it\n\n<local_context>\n# System\n</local_context>\n<agents_md>x</agents_md>", "do it"),
        ("<local_context>only</local_context>", "<local_context>only</local_context>"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
         "see\n[image/png]"),
        ([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}], "[image: https://example.org/a.png]"),
        ([{"type": "odd"}], "[odd]"),
        ({"an": "object"}, '{"an": "object"}'),
        (None, None),
        (7, "7"),
    ],
)  # fmt: skip
def test_a_content_is_shown_as_its_words(content, words):
    assert shown(begin([{"role": "user", "content": content}])) == [("user", words)]


@pytest.mark.parametrize(
    ("message", "role"),
    [({"content": "x"}, "no role"), ({"role": None}, "no role"), ({"role": 5}, "no role"), ({"role": ""}, "no role"),
     ({"role": "developer"}, "developer"), ({"role": "é" * 1200}, "é" * 1000), ({"role": "a\u0000b"}, "a\ufffdb")],
)  # fmt: skip
def test_a_role_is_shown_as_what_it_is(message, role):
    assert shown(begin([message]))[0][0] == role


@pytest.mark.parametrize(
    "message",
    [
        says("x", usage={"prompt_tokens": -1, "completion_tokens": 1.5, "prompt_tokens_details": "odd"}),
        says("x", usage="many"),
        says("x", usage={"prompt_tokens": 10**30}),
        {"role": "assistant", "content": None, "tool_calls": [None, 5, {}, {"id": 3}, {"id": "c"}, {"id": ""}]},
        {"role": "assistant", "content": None, "tool_calls": {"not": "an array"}},
        {"role": "tool", "content": None},
        {"role": "tool", "tool_call_id": "x" * 5000, "content": [{"type": "text"}]},
        {"role": "tool", "tool_call_id": {"an": "object"}, "content": "{" * 50},
        {"role": "tool", "tool_call_id": "c", "content": '{"skipped":'},
    ],
)
def test_nothing_that_stands_in_a_message_can_keep_it_out(message):
    newest = add(begin([user("a")]), [user("a"), message])

    assert session_of(newest).message_count == 2
    assert recounting.differences(session_of(newest)) == []


def test_the_words_of_a_checkpoint_are_found():
    newest = add(begin([user("a")]), [user("a"), says("the unmistakable heliotrope")])
    indexing.catch_up()

    (hit,) = search.search("heliotrope", user=session_of(newest).owner).items
    assert hit.session == session_of(newest)


def test_what_a_rewrite_took_out_comes_back_in_its_place_with_its_calls():
    told = [user("a"), says("b", call("c1")), result("c1"), says("d", call("c2")), result("c2"), says("e")]
    first = begin(told)
    add(first, [*told[:3], says("another end")])
    assert [words for _, words in shown(first)] == ["a", "b", "done", "another end"]
    newest = add(first, told)

    assert [words for _, words in shown(newest)] == ["a", "b", "done", "d", "done", "e"]
    assert outcomes(newest) == {"c1": "success", "c2": "success"}
    types = [event.type for event in session_of(newest).events.filter(type="server.history_rewritten")]
    assert len(types) == 2
    assert recounting.differences(session_of(newest)) == []


def test_a_call_that_was_taken_for_aborted_ends_as_its_late_result_says():
    told = [user("a"), says("b", call("c1"))]
    first = begin(told)
    add(first, [user("a"), says("another way")])
    assert outcomes(first) == {"c1": "aborted"}
    newest = add(first, [*told, result("c1"), says("d")])

    assert outcomes(newest) == {"c1": "success"}
    assert recounting.differences(session_of(newest)) == []


def test_what_stands_behind_younger_words_is_told_anew_with_its_calls():
    told = [user("a"), says("b", call("c1")), result("c1"), says("d")]
    first = begin(told)
    newest = add(first, [user("before all"), *told])

    assert [words for _, words in shown(newest)] == ["before all", "a", "b", "done", "d"]
    assert outcomes(newest) == {"c1": "success"}
    told_by = session_of(newest).tool_calls.get()
    assert told_by.message.compacted_at is None
    assert told_by.result_message.compacted_at is None


def test_the_event_of_a_checkpoint_tells_what_it_is():
    first = begin([user("a"), says(None, call("c"))])
    newest = add(first, [user("a"), says(None, call("c")), user("b")])
    event = session_of(newest).events.get(seq=session_of(newest).last_seq)

    closed = session_of(newest).tool_calls.get()
    assert event.type == "server.checkpoint_added"
    assert event.payload == {
        "checkpoint_id": str(newest.uuid), "message_count": 3, "kept_count": 2, "branch": 0,
        "tool_call_ids": [closed.pk], "by": "test",
    }  # fmt: skip


def test_a_state_is_an_object_with_an_array():
    assert state_of([user("a")]).messages == ('{"role":"user","content":"a"}',)
