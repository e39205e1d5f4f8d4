"""Hostile text made visible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.templatetags.cleartext import on_one_line, reveal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38;2;255;0;0mrgb\x1b[m", "rgb"),
        ("\x9b31mone byte", "one byte"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\after", "after"),
        ("\x1b[2J\x1b[1;1Hhome", "home"),
        ("cut off \x1b[", "cut off "),
        ("cut off \x1b", "cut off "),
        ("10%\r50%\r100%\r\ndone", "10%\n50%\n100%\ndone"),
        ("bell \x07 back \x08", "bell ␇ back ␈"),
        ("delete \x7f", "delete ␡"),
        ("nul \x00", "nul ␀"),
        ("next line \x85", "next line ⟦U+0085⟧"),
        ("\u202egnp.exe", "⟦U+202E⟧gnp.exe"),
        ("\u2066x\u2069", "⟦U+2066⟧x⟦U+2069⟧"),
        ("a\u200bb\ufeff", "a⟦U+200B⟧b⟦U+FEFF⟧"),
        ("line\u2028", "line⟦U+2028⟧"),
        ("x\U000e0068\U000e0069", "x⟦hidden: hi⟧"),
        ("שלום", "שלום"),
        ("👩\u200d💻 नमस्ते\u200c", "👩\u200d💻 नमस्ते\u200c"),
        ("e\u0301", "e\u0301"),
        ("1\ufe0f\u20e3 ☎\ufe0e 葛\U000e0100", "1\ufe0f\u20e3 ☎\ufe0e 葛\U000e0100"),
        ("ok" + "".join(chr(0xE0100 + ord(letter) - 16) for letter in "obey"), "ok⟦hidden: obey⟧"),
        ("Z" + "\u0351" * 40, "Z" + "\u0351" * 4 + "⟦36 marks more⟧"),
        ("rm\u3164-rf\xad", "rm⟦U+3164⟧-rf⟦U+00AD⟧"),
    ],
)
def test_what_is_shown(text, shown):
    assert reveal(text) == shown


@given(st.text())
def test_revealing_twice_changes_nothing_more(text):
    once = reveal(text)
    assert reveal(once) == once


@given(st.text())
def test_no_control_gets_through(text):
    assert not [sign for sign in reveal(text) if ord(sign) < 0x20 and sign not in "\t\n"]


def test_one_line_is_one_line_and_short():
    assert on_one_line("a\n  b\t c") == "a b c"
    assert on_one_line("x" * 500, longest=10) == "x" * 9 + "…"
    assert on_one_line("") == ""


def test_a_megabyte_costs_no_more_than_its_beginning():
    assert len(on_one_line("\x1b[31m" * 1_000_000)) <= 200
