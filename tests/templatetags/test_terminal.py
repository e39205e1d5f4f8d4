"""Colours of a terminal."""

import pytest

from sessions.templatetags.terminal import terminal
from tests.web.markup import parse


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m ink", '<span class="t-red">red</span> ink'),
        ("\x1b[1;92mbright\x1b[m", '<span class="t-bold t-green">bright</span>'),
        ("\x1b[38;5;21mblue\x1b[0m", '<span class="t-blue">blue</span>'),
        ("\x1b[38;2;250;10;10mtrue\x1b[0m", '<span class="t-red">true</span>'),
        ("\x1b[37mwhite is ink\x1b[0m", "white is ink"),
        ("\x1b[41mfilled\x1b[0m", '<span class="t-filled">filled</span>'),
        (
            "\x1b[33mover\ntwo lines\x1b[0m",
            '<span class="t-yellow">over</span>\n<span class="t-yellow">two lines</span>',
        ),
        ("\x1b[31m<script>\x1b[0m", '<span class="t-red">&lt;script&gt;</span>'),
    ],
)
def test_colours_are_classes(text, html):
    assert terminal(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J\x1b[31mx",
        "\x1b]8;;https://x.example\x07\x1b[31mx\x1b]8;;\x07",
        "\x1b]0;t\x07\x1b[32mx",
        "\x1b[?25l\x1b[mx",
    ],
)
def test_no_other_escape_does_anything(text):
    assert parse(terminal(text)).text == "x"


def test_what_hides_is_shown():
    assert "⟦U+202E⟧" in terminal("\x1b[31ma\u202eb\x1b[0m")
