"""transcripts.prune: what Koda would load as context, held against a second telling of Koda's rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.models import Message
from sessions.transcripts import prune


def row(role: str, *, asks=None, answers: str | None = None, content: str | None = "text") -> Message:
    calls = [{"id": one} for one in asks] if isinstance(asks, (tuple, list)) else asks
    return Message(role=role, content=content, tool_calls=calls, tool_call_id=answers)


USER = row("user")
TABLE = [
    ("nothing", [], []),
    ("talk stays", [row("system"), USER, row("assistant")], [0, 1, 2]),
    ("a pair stays", [row("assistant", asks=["a"]), row("tool", answers="a")], [0, 1]),
    ("position does not matter", [row("tool", answers="a"), USER, row("assistant", asks=["a"])], [0, 1, 2]),
    ("a call without a result goes, its text with it", [row("assistant", asks=["a"], content="I will")], []),
    ("a result without a call goes", [row("tool", answers="a")], []),
    (
        "one pass: the result of a dropped call stays",
        [row("assistant", asks=["a", "b"]), row("tool", answers="a")],
        [1],
    ),
    ("a result that answers nothing stays", [row("tool", answers=None)], [0]),
    ("an empty id is an id", [row("tool", answers="")], []),
    ("an empty list asks for nothing", [row("assistant", asks=[])], [0]),
    ("what is no list asks for nothing", [row("assistant", asks={"id": "a"}), row("tool", answers="a")], [0]),
    ("calls without a text id are no calls", [Message(role="assistant", tool_calls=[{"id": 3}, {}, None, "x"])], [0]),
    ("others' calls are no calls", [row("user", asks=["a"])], [0]),
    ("others' answers are no answers", [row("user", answers="a"), row("assistant", asks=["a"])], [0]),
    (
        "ids that repeat are one",
        [row("assistant", asks=["a"]), row("assistant", asks=["a"]), row("tool", answers="a")],
        [0, 1, 2],
    ),
    (
        "results that repeat all stay",
        [row("assistant", asks=["a"]), row("tool", answers="a"), row("tool", answers="a")],
        [0, 1, 2],
    ),
    (
        "one open call takes its other's text along and not its result",
        [
            row("assistant", asks=["a", "b"]),
            row("tool", answers="a"),
            row("tool", answers="b"),
            row("assistant", asks=["c"]),
        ],
        [0, 1, 2],
    ),
    ("unknown roles stay", [row("phase", asks=["a"])], [0]),
]


@pytest.mark.parametrize(("rows", "kept"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_calls_and_results_without_each_other_are_hidden(rows, kept):
    assert prune(rows) == [rows[index] for index in kept]


def told_again(rows: list[Message]) -> list[Message]:
    """Prune once more, row by row and without sets, as contracts/koda.md 1.5 tells it."""

    def calls(one: Message) -> list[str]:
        found = one.tool_calls if isinstance(one.tool_calls, list) else []
        return [call["id"] for call in found if isinstance(call, dict) and isinstance(call.get("id"), str)]

    def is_asked(call_id: str) -> bool:
        return any(one.role == "assistant" and call_id in calls(one) for one in rows)

    def is_answered(call_id: str) -> bool:
        return any(one.role == "tool" and one.tool_call_id == call_id for one in rows)

    kept = []
    for one in rows:
        if one.role == "tool" and one.tool_call_id is not None and not is_asked(one.tool_call_id):
            continue
        if one.role == "assistant" and not all(is_answered(call_id) for call_id in calls(one)):
            continue
        kept.append(one)
    return kept


ids = st.sampled_from(["a", "b", "c", ""])
call = st.builds(lambda one: {"id": one}, ids | st.none() | st.integers()) | st.none() | st.text(max_size=1)
rows = st.builds(
    lambda role, calls, answers: Message(role=role, tool_calls=calls, tool_call_id=answers),
    st.sampled_from(["system", "user", "assistant", "assistant", "tool", "tool", "phase"]),
    st.none() | st.lists(call, max_size=3) | st.builds(lambda one: {"id": one}, ids),
    st.none() | ids,
)


@given(st.lists(rows, max_size=12))
def test_it_hides_what_the_rule_hides_whatever_comes(messages):
    assert [id(one) for one in prune(messages)] == [id(one) for one in told_again(messages)]


@given(st.lists(rows, max_size=12))
def test_it_reads_once_and_leaves_its_rows_alone(messages):
    before = [(one.role, one.tool_calls, one.tool_call_id) for one in messages]
    assert prune(iter(messages)) == prune(messages)
    assert [(one.role, one.tool_calls, one.tool_call_id) for one in messages] == before


@given(st.permutations(range(6)))
def test_the_order_of_the_rows_decides_nothing_but_the_order(order):
    kinds = [
        row("assistant", asks=["a", "b"]), row("tool", answers="a"), row("tool", answers="b"),
        row("assistant", asks=["c"]), row("tool", answers="d"), row("user"),
    ]  # fmt: skip
    shuffled = [kinds[index] for index in order]
    assert {id(one) for one in prune(shuffled)} == {id(one) for one in prune(kinds)}
