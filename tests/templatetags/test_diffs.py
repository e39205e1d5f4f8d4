"""Edits as diffs, from whatever shape an agent sends."""

import json

import pytest

from sessions.aligning import Steps
from sessions.templatetags.diffs import (
    LONGEST_LINES,
    change_of,
    counts_of,
    diff_lines,
    edits_of,
    has_both_sides,
    lines_of,
    sides,
)
from sessions.templatetags.words import change_words, preview_words


def kinds(args):
    return [line.kind for line in lines_of(edits_of(args))]


@pytest.mark.parametrize(
    "args",
    [
        {"file_path": "a", "old_string": "x\ny", "new_string": "x\nz"},
        {"path": "a", "old_str": "x\ny", "new_str": "x\nz"},
        {"path": "a", "old_text": "x\ny", "new_text": "x\nz"},
        {"edits": [{"old_string": "x\ny", "new_string": "x\nz"}]},
        {"kind": "Edit", "replacements": [{"old_lines": ["x", "y"], "new_lines": ["x", "z"]}]},
        json.dumps({"old_string": "x\ny", "new_string": "x\nz"}),
    ],
)
def test_each_known_shape_of_an_edit(args):
    assert counts_of(edits_of(args)) == (1, 1)
    assert kinds(args) == ["same", "del", "add"]


@pytest.mark.parametrize(
    "args",
    [None, 7, "text", "{broken", [], {}, {"command": "ls"}, {"old_string": 1, "new_string": 2}, {"edits": "x"},
     {"edits": [1, None]}, {"content": "no path"}, {"old_lines": [1], "new_lines": []}],
)  # fmt: skip
def test_what_is_no_edit_is_no_diff(args):
    assert edits_of(args) == []
    assert kinds(args) == []


def test_a_written_file_is_all_added():
    args = {"file_path": "a.py", "content": "one\ntwo\n"}
    assert counts_of(edits_of(args)) == (2, 0)
    assert kinds(args) == ["add", "add"]


def test_numbers_follow_the_place_in_the_file():
    lines = lines_of(edits_of({"start_line": 41, "old_string": "a\nb\nc", "new_string": "a\nB\nB2\nc"}))
    assert [(line.kind, line.old_number, line.new_number) for line in lines] == [
        ("hunk", None, None),
        ("same", 41, 41),
        ("del", 42, None),
        ("add", None, 42),
        ("add", None, 43),
        ("same", 43, 44),
    ]


def test_only_the_words_that_differ_are_marked():
    lines = lines_of(edits_of({"old_string": "use locmem.LocMemCache here", "new_string": "use redis.RedisCache here"}))
    marked = [[part.text for part in line.parts if part.is_marked] for line in lines]
    assert marked == [["locmem", "LocMemCache"], ["redis", "RedisCache"]]


def test_lines_that_have_nothing_in_common_are_not_marked():
    lines = lines_of(edits_of({"old_string": "alpha beta", "new_string": "gamma(delta)"}))
    assert not [part for line in lines for part in line.parts if part.is_marked]


def test_long_stretches_of_equal_lines_are_left_out():
    same = "\n".join(str(n) for n in range(50))
    lines = lines_of(edits_of({"old_string": f"a\n{same}\nb", "new_string": f"A\n{same}\nB"}))
    assert [line.parts[0].text for line in lines if line.kind == "hunk"] == ["44 equal lines"]


def test_several_edits_are_told_apart():
    edits = [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}]
    hunks = [line.parts[0].text for line in lines_of(edits_of({"edits": edits})) if line.kind == "hunk"]
    assert hunks == ["edit 1 of 2", "edit 2 of 2"]


def test_a_huge_edit_shows_its_beginning_and_says_how_much_is_left():
    old, new = ("\n".join(f"{word} {n}" for n in range(5000)) for word in ("old", "new"))
    lines = lines_of(edits_of({"old_string": old, "new_string": new}))
    assert len(lines) == 2 * LONGEST_LINES + 1
    assert lines[-1].parts[0].text == "9,200 more lines"


def test_a_line_without_end_is_cut():
    lines = lines_of(edits_of({"old_string": "x" * 10_000, "new_string": "y"}))
    assert max(len(part.text) for line in lines for part in line.parts) <= 500


def test_side_by_side_what_went_stands_beside_what_came():
    lines = diff_lines({"old_string": "a\nb\nc\nz", "new_string": "a\nB\nz\nadded"})
    rows = [(pair.old and text_of(pair.old), pair.new and text_of(pair.new)) for pair in sides(lines)]
    assert rows == [("a", "a"), ("b", "B"), ("c", None), ("z", "z"), (None, "added")]
    assert has_both_sides(lines)
    assert not has_both_sides(diff_lines({"file_path": "x", "content": "a\nb"}))


def text_of(line):
    return "".join(part.text for part in line.parts)


NEW = {"kind": "WriteNew", "first_lines": ["a", "b"], "line_count": 200, "byte_count": 900, "truncated": True}
OVER = {
    "kind": "WriteOverwrite", "old_line_count": 1200, "old_byte_count": 9000, "new_line_count": 30,
    "new_byte_count": 300, "first_lines": ["a", "b"], "truncated": True,
}  # fmt: skip
EDIT = {"kind": "Edit", "replacements": [{"old_lines": ["a"], "new_lines": ["b"]}] * 2, "truncated_count": 3}


@pytest.mark.parametrize(
    ("preview", "change", "words"),
    [
        (NEW, (200, 0), "A new file of 200 lines (900 bytes). Shown: the first 2 of 200 lines."),
        ({**NEW, "line_count": 2, "truncated": False}, (2, 0), "A new file of 2 lines (900 bytes)."),
        ({**NEW, "line_count": None}, None, "A new file of \u2013 lines (900 bytes). Shown: its beginning only."),
        ({**NEW, "line_count": True, "truncated": False}, (2, 0), "A new file of \u2013 lines (900 bytes)."),
        (OVER, None, "Overwrites 1,200 lines (9,000 bytes) with 30 lines (300 bytes). Shown: the first 2 of 30 lines."),
        (EDIT, None, "3 more edits are not shown."),
        ({**EDIT, "truncated_count": 1}, None, "1 more edit is not shown."),
        ({**EDIT, "truncated_count": "many"}, None, "More edits are not shown."),
        ({**EDIT, "truncated_count": 0}, (2, 2), ""),
        ({"kind": "DeleteFile", "line_count": 1}, None, "Deletes 1 line (\u2013 bytes)."),
    ],
)
def test_a_preview_counts_what_is_known_and_says_what_it_leaves_out(preview, change, words):
    assert change_of(preview) == change
    assert preview_words(preview) == words
    assert bool(change_words(preview)) == (change is not None)


def test_an_edit_is_one_of_all_and_not_of_those_that_are_shown():
    hunks = [line.parts[0].text for line in diff_lines(EDIT) if line.kind == "hunk"]
    assert hunks == ["edit 1 of 5", "edit 2 of 5"]


def text_between(word, count=199):
    return "\n".join(f"{word}{n}\na" for n in range(count))


def test_the_lines_of_all_edits_together_have_a_bound():
    edits = edits_of({"edits": [{"old_string": text_between("x"), "new_string": text_between("y")}] * 60})
    lines = lines_of(edits)
    assert [line.parts[0].text for line in lines if line.kind == "hunk"] == [
        "edit 1 of 60", "edit 2 of 60", "792 more lines", "58 more edits, 46,168 lines",
    ]  # fmt: skip
    assert len(lines) <= 2 * LONGEST_LINES + 4
    assert [kind for kind in counts_of(edits) if not 59 * 398 < kind <= 60 * 398] == []


def test_edits_without_lines_have_one_too():
    lines = lines_of(edits_of({"edits": [{"old": "", "new": ""}] * 5000}))
    assert lines[-1].parts[0].text == "4,600 more edits, 0 lines"
    assert len(lines) == 1


@pytest.mark.parametrize("look", [lines_of, counts_of])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (text_between("x"), text_between("y")),
        ("\n".join("b " + "a " * 100 for _ in range(390)), "\n".join("c " + "a-" * 100 for _ in range(390))),
        ("\n".join(f"{n}" + ".a" * 100 for n in range(390)), "\n".join(f"{n}" + ",a" * 100 for n in range(390))),
    ],
)
def test_an_edit_takes_a_bounded_number_of_steps(monkeypatch, look, old, new):
    taken = []
    take = Steps.take
    monkeypatch.setattr(Steps, "take", lambda self, count: take(self, count) and not taken.append(count))
    for count in (1, 60):
        look(edits_of({"edits": [{"old_string": old, "new_string": new}] * count}))
        assert sum(taken) <= kinds_of_items(look) * 100_000
        taken.clear()


def kinds_of_items(look):
    """Return for how many kinds of items steps are taken: lines, and where lines are shown their words."""
    return 2 if look is lines_of else 1


@pytest.mark.parametrize("content", [[{"type": "text", "text": "a"}], ["a", 7], [[]], {"a": 1}, 7, None])
def test_content_that_is_no_lines_of_text_is_no_edit(content):
    args = {"path": "page", "content": content}
    assert diff_lines(args) == diff_lines(json.dumps(args)) == []
    assert change_of({"kind": "WriteNew", "first_lines": content}) is None
