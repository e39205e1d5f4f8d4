"""Bytes to lines to objects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.importers.claude_code import ClaudeCodeReader
from sessions.importers.lines import LineSplitter, objects
from sessions.importers.records import Tally


@given(st.lists(st.binary(max_size=12), max_size=10))
def test_pieces_give_the_lines_of_the_whole(pieces):
    splitter = LineSplitter(longest=1 << 26)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    whole = b"".join(pieces)
    assert b"".join(line + b"\n" for line in lines) + bytes(splitter.rest) == whole
    assert lines == whole.split(b"\n")[:-1]


def test_an_unfinished_line_waits_and_is_given_once_at_the_end():
    splitter = LineSplitter(longest=1 << 26)
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"o") == []
    assert splitter.finish() == [b"two"]
    assert splitter.finish() == []


def test_white_space_is_no_last_line():
    splitter = LineSplitter(longest=1 << 26)
    splitter.feed(b"one\n  ")
    assert splitter.finish() == []


def test_byte_order_mark_carriage_return_and_broken_utf8_do_not_lose_a_line():
    tally = Tally()
    assert list(objects(b'\xef\xbb\xbf{"a": 1}\r', tally=tally)) == [{"a": 1}]
    assert list(objects(b'{"a": "\xff"}', tally=tally)) == [{"a": "\ufffd"}]
    assert (tally.bad_lines, tally.garbled_lines) == ([], [2])


def test_deep_nesting_and_huge_numbers_are_bad_lines_and_no_more():
    tally = Tally()
    assert list(objects(b'{"a":' + b"[" * 100_000, tally=tally)) == []
    assert list(objects(b'{"a":' + b"9" * 5_000 + b"}", tally=tally)) == []
    assert tally.bad_lines == [1, 2]


@pytest.mark.parametrize(
    "make", [lambda depth: "[" * depth + "]" * depth, lambda depth: '{"a":' * depth + "1" + "}" * depth]
)
def test_no_depth_that_is_read_is_too_deep_to_be_written_again(make):
    for depth in [*range(300, 500, 50), *range(800, 1000)]:
        odd = f'{{"type": "odd", "x": {make(depth)}}}'
        call = f'{{"type": "tool_use", "id": "c", "name": "Bash", "input": {{"x": {make(depth)}}}}}'
        reader = ClaudeCodeReader(name="deep")
        lines = [
            f'{{"type": "user", "sessionId": "s", "message": {{"content": [{odd}]}}}}',
            f'{{"type": "assistant", "sessionId": "s", "message": {{"id": "m", "content": [{call}, {odd}]}}}}',
            '{"type": "user", "sessionId": "s", "message": {"content": "Count"}}',
        ]
        records = [*reader.read(line.encode() for line in lines), *reader.settle()]
        assert "Count" in {getattr(record, "content", None) for record in records}
        assert reader.tally.bad_lines == ([1, 2] if depth >= 400 else [])


def test_a_half_object_after_a_whole_one_spoils_the_line():
    tally = Tally()
    assert list(objects(b'{"a": 1}{"b":', tally=tally)) == []
    assert (tally.bad_lines, tally.split_lines) == ([1], [])


def test_of_a_line_that_is_too_long_nothing_is_kept_and_the_next_are_read():
    splitter, tally = LineSplitter(longest=10), Tally()
    lines = []
    for piece in (b'{"a": 1}\n{"a": "tw', b"enty", b'"}\n{"a": 3}\n', b'{"a": 40000}'):
        lines += splitter.feed(piece)
        assert len(splitter.rest) <= 10
    lines += splitter.finish()
    assert [one for line in lines for one in objects(line, tally=tally)] == [{"a": 1}, {"a": 3}]
    assert (tally.lines, tally.bad_lines, tally.long_lines) == (4, [2, 4], [2, 4])
    assert splitter.finish() == []
