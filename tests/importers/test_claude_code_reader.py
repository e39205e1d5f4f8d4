"""What the reader makes of each kind of line."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sessions.importers.claude_code import Errands, recognises
from sessions.importers.records import ImportedCompaction, ImportedLink, Usage
from tests.importers.lines import (
    SESSION,
    call,
    encode,
    make_answer,
    make_line,
    make_prompt,
    make_result,
    text,
    thinking,
)
from tests.importers.reading import messages, read, sessions


def test_one_answer_in_several_lines_is_one_message_with_the_last_usage():
    records, _ = read(
        encode(
            make_answer("m1", thinking("Hm."), output=1),
            make_answer("m1", text("I look."), output=1),
            make_answer("m1", call("c1"), output=42),
        )
    )
    (answer,) = messages(records)
    assert (answer.content, answer.thinking) == ("I look.", "Hm.")
    assert answer.tool_calls == ({"id": "c1", "function_name": "Bash", "arguments": '{"command": "make"}'},)
    assert answer.usage == Usage(
        prompt_tokens=10, completion_tokens=42, cache_read_tokens=100, cache_creation_tokens=3, thinking_tokens=0
    )


def test_results_between_the_lines_of_an_answer_come_after_it():
    records, _ = read(
        encode(
            make_answer("m1", call("c1")),
            make_result("c1"),
            make_answer("m1", call("c2")),
            make_result("c2"),
            make_answer("m2", text("Done.")),
        )
    )
    assert [message.kind for message in messages(records)] == ["answer", "result", "result", "answer"]


def test_a_late_line_of_an_answer_counts_only_what_it_adds():
    records, _ = read(
        encode(
            make_answer("m1", text("First."), output=5),
            make_prompt("Wait"),
            make_answer("m1", text("Second."), output=9),
        )
    )
    first, _, late = messages(records)
    assert (first.content, late.content) == ("First.", "Second.")
    assert first.usage is not None
    assert late.usage == Usage(completion_tokens=4)


def test_an_answer_of_the_program_itself_has_no_usage_and_no_model():
    (answer,) = messages(read(encode(make_answer("m1", text("No response."), model="<synthetic>")))[0])
    assert (answer.usage, answer.model) == (None, None)


def test_thinking_that_was_left_empty_is_none():
    (answer,) = messages(read(encode(make_answer("m1", thinking(""))))[0])
    assert (answer.thinking, answer.content) == (None, None)


def test_several_results_on_one_line_are_several_messages():
    blocks = [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {
            "type": "tool_result",
            "tool_use_id": "c2",
            "content": [text("two"), {"type": "image", "source": {}}],
            "is_error": True,
        },
        text("and faster, please"),
    ]
    line = make_line("user", message={"role": "user", "content": blocks})
    one, two, words = messages(read(encode(line))[0])
    assert (one.tool_call_id, one.content, one.is_error) == ("c1", "one", False)
    assert (two.tool_call_id, two.content, two.is_error) == ("c2", "two\n\n[image: unknown type]", True)
    assert (words.role, words.kind, words.content) == ("user", "queued", "and faster, please")
    assert len({one.client_id, two.client_id, words.client_id}) == 3


def test_a_refused_call_is_told_from_a_failed_one():
    refused = "The user doesn't want to proceed with this tool use. Stop and wait."
    found = messages(
        read(encode(make_result("c1", refused, is_error=True), make_result("c2", "boom", is_error=True)))[0]
    )
    assert [message.is_rejected for message in found] == [True, False]


def test_a_repeated_result_is_kept_and_told_apart():
    records, reader = read(encode(make_result("c1", "one"), make_result("c1", "two")))
    assert [message.kind for message in messages(records)] == ["result", "repeated_result"]
    assert reader.tally.repeated_results == 1


@pytest.mark.parametrize(
    ("words", "fields", "kind", "role"),
    [
        ("Build it", {}, "prompt", "user"),
        ("<command-name>/model</command-name>", {}, "prompt", "user"),
        ("<bash-input>ls</bash-input>", {}, "prompt", "user"),
        ("<bash-stdout>a</bash-stdout>", {}, "echo", "system"),
        ("<task-notification>x</task-notification>", {}, "echo", "system"),
        ("[Request interrupted by user]", {}, "echo", "system"),
        ("Caveat: …", {"isMeta": True}, "meta", "system"),
        ("So far: …", {"isCompactSummary": True}, "summary", "system"),
    ],
)
def test_who_wrote_a_user_line(words, fields, kind, role):
    (message,) = messages(read(encode(make_prompt(words, **fields)))[0])
    assert (message.kind, message.role, message.content) == (kind, role, words)


def test_a_compaction_stands_between_what_it_divides():
    border = make_line(
        "system", subtype="compact_boundary", content="Compacted", compactMetadata={"trigger": "auto", "preTokens": 9}
    )
    records, _ = read(encode(make_answer("m1", text("Before.")), border, make_answer("m2", text("After."))))
    kinds = [getattr(record, "kind", type(record).__name__) for record in records]
    assert kinds == ["ImportedSession", "answer", "ImportedCompaction", "answer", "ImportedSession"]
    compaction = next(record for record in records if isinstance(record, ImportedCompaction))
    assert (compaction.trigger, compaction.pre_tokens) == ("auto", 9)


def test_a_prompt_that_only_the_queue_tells_of_is_kept_once():
    enqueue = make_line("queue-operation", operation="enqueue", content="also the cellar")
    remove = make_line("queue-operation", operation="remove")
    attachment = make_line("attachment", attachment={"type": "queued_command", "prompt": "also the cellar"})
    for lines in ([enqueue, remove], [enqueue, remove, attachment], [enqueue, attachment, remove]):
        found = messages(read(encode(*lines))[0])
        assert [(message.kind, message.content) for message in found] == [("queued", "also the cellar")]


def test_a_prompt_that_left_the_queue_for_a_turn_of_its_own_is_not_doubled():
    enqueue = make_line("queue-operation", operation="enqueue", content="next")
    dequeue = make_line("queue-operation", operation="dequeue")
    found = messages(read(encode(enqueue, dequeue, make_prompt("next")))[0])
    assert [message.kind for message in found] == ["prompt"]


def test_titles_from_best_to_poorest():
    prompt = make_prompt("  Paint the\n lighthouse " + "white " * 20, uuid="leaf")
    summary = {"type": "summary", "summary": "Painting", "leafUuid": "leaf"}
    elsewhere = {"type": "summary", "summary": "Another session", "leafUuid": "unknown"}
    made, given_title = make_line("ai-title", aiTitle="White paint"), make_line("custom-title", customTitle="Tower")

    def title(*lines):
        return sessions(read(encode(*lines))[0])[SESSION].title

    assert title(elsewhere, prompt) == "Paint the lighthouse white white white white whit…"
    assert title(summary, prompt) == "Painting"
    assert title(summary, prompt, made) == "White paint"
    assert title(given_title, summary, prompt, made) == "Tower"


def test_a_session_comes_before_its_first_message_and_again_when_more_is_known():
    records, _ = read(encode(make_prompt("Go"), make_answer("m1", text("Gone."))))
    assert [type(record).__name__ for record in records] == [
        "ImportedSession", "ImportedMessage", "ImportedMessage", "ImportedSession",
    ]  # fmt: skip
    assert (records[0].model, records[0].is_settled) == (None, False)
    assert (records[-1].model, records[-1].is_settled) == ("claude-test-1", True)


def test_inline_sidechain_is_a_child_of_the_call_with_the_same_prompt():
    errand = call("c1", "Task", prompt="Count birds", subagent_type="scout", description="Birds")
    child = make_prompt("Count birds", isSidechain=True, uuid="root")
    answer = make_answer("m2", text("Three."), isSidechain=True, parentUuid="root")
    records, _ = read(encode(make_answer("m1", errand), child, answer, make_result("c1", "Three.")))
    found = sessions(records)
    assert set(found) == {SESSION, f"{SESSION}/sidechain-root"}
    side = found[f"{SESSION}/sidechain-root"]
    assert (side.parent_key, side.parent_tool_call_id) == (SESSION, "c1")
    assert (side.agent_name, side.title) == ("scout", "Birds")
    assert [m.content for m in messages(records) if m.session_key == side.key] == ["Count birds", "Three."]


def test_two_calls_with_the_same_prompt_are_taken_in_order():
    errands = [call(call_id, "Task", prompt="Same") for call_id in ("c1", "c2")]
    lines = [make_answer("m1", errand) for errand in errands]
    lines += [make_prompt("Same", isSidechain=True, uuid=root) for root in ("r1", "r2")]
    found = sessions(read(encode(*lines))[0])
    assert found[f"{SESSION}/sidechain-r1"].parent_tool_call_id == "c1"
    assert found[f"{SESSION}/sidechain-r2"].parent_tool_call_id == "c2"


def test_a_sub_agent_wrapped_in_progress_lines_is_a_child():
    wrapped = {
        "type": "assistant",
        "uuid": "w1",
        **{k: make_answer("m9", text("Seen."))[k] for k in ("requestId", "message")},
    }
    progress = make_line(
        "progress",
        parentToolUseID="c1",
        data={"type": "agent_progress", "agentId": "a1", "prompt": "Look", "message": wrapped},
    )
    records, _ = read(encode(make_answer("m1", call("c1", "Task", prompt="Look", subagent_type="scout")), progress))
    child = sessions(records)[f"{SESSION}/agent-a1"]
    assert (child.parent_key, child.parent_tool_call_id, child.agent_name) == (SESSION, "c1", "scout")
    assert [m.content for m in messages(records) if m.session_key == child.key] == ["Seen."]


@pytest.mark.parametrize("parent_is_first", [True, False])
def test_a_sub_agent_in_a_file_of_its_own_finds_its_call(parent_is_first):
    parent = encode(
        make_answer("m1", call("c1", "Agent", prompt="Look", subagent_type="scout")),
        make_result("c1", "Seen.", toolUseResult={"agentId": "a1", "agentType": "scout"}),
    )
    child = encode(make_prompt("Look", isSidechain=True, agentId="a1"))
    errands, records = Errands(), []
    for data in [parent, child] if parent_is_first else [child, parent]:
        records += read(data, errands=errands)[0]
    side = sessions(records)[f"{SESSION}/agent-a1"]
    links = [record for record in records if isinstance(record, ImportedLink)]
    assert side.parent_key == SESSION
    assert (links[0].session_key, links[0].parent_tool_call_id, links[0].agent_name) == (side.key, "c1", "scout")
    if parent_is_first:
        # The result has already named the agent, so its call is no longer there for another with the same prompt.
        assert side.parent_tool_call_id is None


def test_a_call_without_an_id_gets_one_of_its_own():
    (answer,) = messages(read(encode(make_answer("m1", {"type": "tool_use", "name": "Bash"}, uuid="u1")))[0])
    assert answer.tool_calls[0]["id"] == "u1:call-1"


def test_lines_of_several_sessions_in_one_file_go_their_own_ways():
    records, _ = read(encode(make_prompt("a"), make_prompt("b", sessionId="other")))
    assert [(m.session_key, m.content) for m in messages(records)] == [(SESSION, "a"), ("other", "b")]


def test_the_same_line_twice_is_one_message_and_another_line_with_its_id_is_not():
    line = make_prompt("once", uuid="u1")
    records, reader = read(encode(line, line, make_prompt("other words", uuid="u1")))
    assert [message.content for message in messages(records)] == ["once", "other words"]
    assert len({message.client_id for message in messages(records)}) == 2
    assert reader.tally.repeated_lines == 1


def test_two_objects_on_one_line_are_both_read_and_the_line_is_bad():
    two = encode(make_prompt("one")).rstrip() + encode(make_prompt("two"))
    records, reader = read(two)
    assert [message.content for message in messages(records)] == ["one", "two"]
    assert (reader.tally.bad_lines, reader.tally.split_lines) == ([1], [1])


def test_bad_lines_are_counted_and_passed_over():
    records, reader = read(b'{"type":"user"\n[1]\nnull\n\n' + encode(make_prompt("fine")))
    assert [message.content for message in messages(records)] == ["fine"]
    assert (reader.tally.lines, reader.tally.bad_lines) == (5, [1, 2, 3])


def test_unknown_types_do_no_harm_and_are_counted():
    _, reader = read(encode(make_line("hologram"), make_line("progress", data={"type": "bash_progress"})))
    assert dict(reader.tally.passed_over) == {"hologram": 1, "progress/bash_progress": 1}


def test_recognises_its_own_files_only(tmp_path):
    own = tmp_path / "a.jsonl"
    assert recognises(own, head=encode(make_prompt("x")))
    assert not recognises(tmp_path / "a.json", head=encode(make_prompt("x")))
    assert not recognises(own, head=b'{"type":"session_meta","payload":{}}\n{"id":"1","type":"user","content":"x"}')
    assert not recognises(own, head=b"")


JSON = st.sampled_from([
    None, True, 0, -1, 2**80, 1.5, "", "x", "a#1-2", "\x00\ud800", "y" * 300,
    [], [1, "a", None], [[]], {}, {"type": "text"},
])  # fmt: skip
BLOCK = st.fixed_dictionaries(
    {}, optional={name: JSON | st.sampled_from(["text", "tool_use", "tool_result", "thinking"])
                  for name in ("type", "text", "thinking", "id", "name", "input", "tool_use_id", "content", "is_error")}
)  # fmt: skip
MESSAGE = st.fixed_dictionaries(
    {}, optional={"id": JSON, "model": JSON, "content": JSON | st.lists(BLOCK, max_size=4), "usage": JSON}
)
LINE = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "system", "attachment", "progress", "queue-operation", "summary",
                              "pr-link", "ai-title", "custom-title", "unheard-of"]) | JSON},
    optional={
        "message": MESSAGE | JSON, "uuid": JSON, "parentUuid": JSON, "isSidechain": st.booleans() | JSON,
        "sessionId": JSON, "timestamp": JSON | st.just("2026-01-01T00:00:00"), "agentId": JSON, "requestId": JSON,
        "subtype": st.just("compact_boundary") | JSON, "compactMetadata": JSON, "content": JSON, "error": JSON,
        "operation": st.sampled_from(["enqueue", "dequeue", "remove"]), "attachment": JSON, "toolUseResult": JSON,
        "data": st.fixed_dictionaries({"type": st.just("agent_progress"), "agentId": st.text(), "message": JSON}),
        "prUrl": JSON, "leafUuid": JSON, "summary": JSON, "cwd": JSON, "isMeta": JSON, "aiTitle": JSON,
    },
)  # fmt: skip


def make_odd_call() -> dict[str, Any]:
    """Return a line that asks for a tool whose name is no word."""
    block = {"type": "tool_use", "id": "c", "name": ["Task"], "input": {"prompt": "Go"}}
    return {"type": "assistant", "message": {"content": [block]}}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example([b'{"type": "user", "message": {"content": [{"type": [], "text": "words"}]}}'])
@example([b'{"type": "assistant", "message": {"content": [{"type": []}]}}'])
@example([json.dumps(make_odd_call()).encode()])
@given(st.lists(st.binary(max_size=60) | LINE.map(lambda line: json.dumps(line).encode()), max_size=12))
def test_no_line_can_raise(lines):
    records, reader = read(b"\n".join(lines))
    assert reader.tally.lines <= sum(line.count(b"\n") + 1 for line in lines) + 1
    ids = [(message.session_key, message.client_id) for message in messages(records)]
    assert len(ids) == len(set(ids))
    assert all(0 < len(message.client_id) <= 200 for message in messages(records))
