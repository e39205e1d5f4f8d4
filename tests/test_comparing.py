"""compare: what is added, removed and changed between two histories, by plain values."""

import json
import sys

import pytest

from sessions.comparing import compare, readable
from tests.api.stakpak.calling import says, usage, user


def texts(*messages):
    return [json.dumps(message) for message in messages]


def kinds(before, after):
    return [(one.kind, one.before_at, one.after_at) for one in compare(texts(*before), texts(*after)).messages]


A, B, C, D = user("a"), says("b"), user("c"), says("d")


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ([], [], []),
        ([A, B], [A, B], []),
        ([A], [A, B], [("added", None, 2)]),
        ([A, B], [A], [("removed", 2, None)]),
        ([A, B, C], [A, says("x"), C], [("changed", 2, 2)]),
        ([A, B, C], [A, C], [("removed", 2, None)]),
        ([A, C], [A, B, C], [("added", None, 2)]),
        ([A, B], [B], [("removed", 1, None)]),
        ([A, B], [A, user("b")], [("removed", 2, None), ("added", None, 2)]),
        ([A, B, C, D], [A, says("b", **usage(1, 1)), C, D], [("changed", 2, 2)]),
        ([A, B, C], [D, A, B, C], [("added", None, 1)]),
    ],
)
def test_the_table(before, after, changes):
    assert kinds(before, after) == changes


def test_what_is_the_same_is_counted():
    assert compare(texts(A, B, C), texts(A, says("x"), C, D)).same_count == 2


def test_fields_beside_the_messages_are_compared_by_their_value():
    found = compare([], [], rest=('{"messages":[],"metadata":{"a":1},"x":1}', '{"metadata":null,"x":1,"y":2}'))

    assert [(one.name, one.before, one.after) for one in found.fields] == [
        ("metadata", '{"a":1}', "null"), ("y", None, "2"),
    ]  # fmt: skip


def test_very_long_histories_are_compared_without_aligning_them():
    before, after = texts(*(user(str(n)) for n in range(3000))), texts(*(user(f"x{n}") for n in range(3000)))

    assert compare(before, after).count("changed") == 3000


def test_a_message_reads_as_lines():
    assert readable(json.dumps({"role": "user", "content": "a\nb", "n": 1.5, "m": {"k": []}})) == (
        'role: user\ncontent: a\nb\nn: 1.5\nm: {\n "k": []\n}'
    )
    assert readable(None) == ""


def test_a_message_that_comes_again_and_again_costs_no_more_than_others():
    before, after = (texts(*(user(word) for n in range(300) for word in (f"{name}{n}", "a"))) for name in "xy")
    others, changed = (texts(*(user(f"{name}{n}") for n in range(600))) for name in "xy")

    def looked_at(one, other):
        counted = []
        sys.setprofile(lambda _frame, event, _what: counted.append(1) if event in {"call", "c_call"} else None)
        try:
            found = compare(one, other)
        finally:
            sys.setprofile(None)
        return found, len(counted)

    found, steps = looked_at(before, after)
    assert (found.count("changed"), len(found.messages), found.same_count) == (300, 300, 300)
    assert steps < 2 * looked_at(others, changed)[1]
