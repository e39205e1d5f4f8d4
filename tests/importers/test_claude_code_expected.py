"""Every recorded file, read whole, gives the totals that were counted over it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sessions.importers.records import ImportedCompaction, ImportedMessage
from tests.importers.reading import messages, read, sessions

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
EXPECTED: dict[str, Any] = (
    json.loads((SHARED / "EXPECTED.json").read_text()) if (SHARED / "EXPECTED.json").is_file() else {}
)
FILES = [name for name in EXPECTED if name.startswith("claude-code/")]
ALL_RECORD_TYPES = "claude-code/24-all-record-types/small.jsonl"

pytestmark = pytest.mark.skipif(not FILES, reason="the recorded sessions are not beside this checkout")


def split_wrapped(name: str, found: list[ImportedMessage]) -> tuple[list[ImportedMessage], list[ImportedMessage]]:
    """Messages of the lines themselves, and those of sub-agents that were wrapped in progress lines."""
    is_wrapped = "agent_progress" in EXPECTED[name]
    inside = [message for message in found if is_wrapped and "/agent-" in message.session_key]
    return [message for message in found if message not in inside], inside


def tokens(found: list[ImportedMessage]) -> dict[str, int]:
    usages = [message.usage for message in found if message.usage is not None]
    return {
        "input_tokens": sum(usage.prompt_tokens for usage in usages),
        "output_tokens": sum(usage.completion_tokens for usage in usages),
        "cache_creation_input_tokens": sum(usage.cache_creation_tokens for usage in usages),
        "cache_read_input_tokens": sum(usage.cache_read_tokens for usage in usages),
    }


@pytest.mark.parametrize("name", FILES)
def test_lines_and_times(name: str):
    expected = EXPECTED[name]
    tally = read((SHARED / name).read_bytes())[1].tally

    assert tally.lines == expected["lines"]
    assert tally.bad_lines == expected["bad_lines"]
    assert tally.types == Counter(expected["line_types"]) + recovered(name)
    assert tally.first_at is not None
    assert tally.last_at is not None
    assert tally.first_at.isoformat(timespec="milliseconds") == expected["first_timestamp"].replace("Z", "+00:00")
    assert tally.last_at.isoformat(timespec="milliseconds") == expected["last_timestamp"].replace("Z", "+00:00")


def recovered(name: str) -> Counter[str]:
    """Objects which this reader gets out of bad lines and the expected counts leave out."""
    return Counter(assistant=1, summary=1) if name.startswith("claude-code/11-") else Counter()


@pytest.mark.parametrize("name", FILES)
def test_user_lines(name: str):
    found, _ = split_wrapped(name, messages(read((SHARED / name).read_bytes())[0]))
    kinds, expected = Counter(message.kind for message in found), Counter(EXPECTED[name]["user_lines"])

    assert kinds["prompt"] + kinds["echo"] == expected["prompt"]
    assert kinds["meta"] == expected["meta"]
    assert kinds["summary"] == expected["compact_summary"]
    assert kinds["errand"] == expected["sidechain_prompt"]
    assert kinds["result"] + kinds["repeated_result"] == expected["tool_result"]


@pytest.mark.parametrize("name", FILES)
def test_prompts_by_opening(name: str):
    found, _ = split_wrapped(name, messages(read((SHARED / name).read_bytes())[0]))
    expected = EXPECTED[name]["prompt_lines_by_opening"]
    openings: Counter[str] = Counter()
    for message in found:
        if message.kind in {"prompt", "echo"}:
            marks = [mark for mark in expected if (message.content or "").startswith(mark)]
            openings[marks[0] if marks else "plain text"] += 1
            assert (message.role == "system") == (message.kind == "echo")

    assert openings == Counter(expected)


@pytest.mark.parametrize("name", FILES)
def test_answers_and_tokens(name: str):
    records, _ = read((SHARED / name).read_bytes())
    found, _ = split_wrapped(name, messages(records))
    answers = [message for message in found if message.kind == "answer"]

    # In the one file made of examples, ids are missing or stand for several answers: those are kept apart.
    apart = 3 if name == ALL_RECORD_TYPES else 0
    assert len(answers) == EXPECTED[name]["assistant_messages_distinct"] + apart
    assert tokens(found) == EXPECTED[name]["tokens_once_last"]
    if name != ALL_RECORD_TYPES:
        assert {message.model for message in answers if message.model} == real_models(name)


def real_models(name: str) -> set[str]:
    return {model for model in EXPECTED[name]["models"] if model not in {"null", "<synthetic>"}}


@pytest.mark.parametrize("name", FILES)
def test_tool_calls_and_results(name: str):
    expected = EXPECTED[name]
    found, _ = split_wrapped(name, messages(read((SHARED / name).read_bytes())[0]))
    calls = [call for message in found for call in message.tool_calls]
    results = [message for message in found if message.kind == "result"]
    failed = [message for message in found if message.is_error]

    assert Counter(call["function_name"] for call in calls) == Counter(expected["tools"])
    assert len(calls) == len({call["id"] for call in calls}) == expected["tool_calls"]
    assert len(results) == len({message.tool_call_id for message in results}) == expected["tool_results"]
    assert len(failed) == expected["tool_results_error"]
    assert all(isinstance(json.loads(call["arguments"]), dict) for call in calls)
    unanswered = {call["id"] for call in calls} - {message.tool_call_id for message in results}
    named = {call_id for call_id in expected["calls_without_result"] if not call_id.startswith("(no id")}
    assert named <= unanswered
    assert len(unanswered) == len(expected["calls_without_result"])
    orphans = {message.tool_call_id for message in results if message.tool_call_id} - {call["id"] for call in calls}
    assert orphans == set(expected["results_without_call"])


@pytest.mark.parametrize("name", FILES)
def test_compactions(name: str):
    records, _ = read((SHARED / name).read_bytes())
    found = [record for record in records if isinstance(record, ImportedCompaction)]
    told = [{"trigger": record.trigger, "preTokens": record.pre_tokens or 0} for record in found]

    assert told == EXPECTED[name]["compact_boundaries"]


@pytest.mark.parametrize("name", [name for name in FILES if "agent_progress" in EXPECTED[name]])
def test_sub_agents_wrapped_in_progress_lines(name: str):
    records, _ = read((SHARED / name).read_bytes())
    found, inside = split_wrapped(name, messages(records))
    expected = EXPECTED[name]["agent_progress"]

    assert (
        len({call["id"] for message in inside for call in message.tool_calls}) == expected["distinct_tool_calls_inside"]
    )
    assert sum(message.kind == "answer" for message in inside) == expected["distinct_assistant_messages_inside"]
    assert tokens(inside) == expected["tokens_inside_once_last"]
    calls = {call["id"] for message in found for call in message.tool_calls if call["function_name"] == "Task"}
    children = [session for session in sessions(records).values() if session.parent_key]
    assert children
    assert {child.parent_tool_call_id for child in children} <= calls


@pytest.mark.parametrize("label", ["12-inline-sidechains-1.0.98", "14-task-sidechain-1.0.71"])
def test_sub_agents_inline_are_tied_to_their_calls(label: str):
    name = next(name for name in FILES if label in name)
    records, _ = read((SHARED / name).read_bytes())
    found = messages(records)
    calls = {call["id"] for message in found for call in message.tool_calls if call["function_name"] == "Task"}
    children = [session for session in sessions(records).values() if session.parent_key]

    assert {child.parent_tool_call_id for child in children} == calls
    assert len(children) == len(calls) == EXPECTED[name]["user_lines"]["sidechain_prompt"]
