"""Markdown as it is shown."""

import time

import pytest

from sessions.templatetags.prose import LONGEST_PROSE, prose
from tests.web.markup import parse


def test_the_usual_marks():
    html = prose("# Title\n\n**bold** *slant* `code` ~~gone~~\n\n- a\n- b\n\n1. x\n\n> said\n\n---")
    tags = {element.tag for element in parse(html).all()}
    assert tags >= {"h4", "strong", "em", "code", "s", "ul", "ol", "li", "blockquote", "hr"}


@pytest.mark.parametrize(("marks", "tag"), [("#", "h4"), ("##", "h5"), ("###", "h6"), ("######", "h6")])
def test_headings_stand_below_those_of_the_page(marks, tag):
    assert parse(prose(f"{marks} Title")).one(tag).text == "Title"


def test_code_is_set_by_class_never_by_style():
    block = parse(prose("```python\ndef f():\n    return 1  # why\n```")).one("pre")
    assert block.attrs == {"class": "code", "tabindex": "0"}
    assert [
        (part.attrs["class"], part.text) for part in block.all("span") if part.text in {"def", "return", "# why"}
    ] == [
        ("k", "def"),
        ("k", "return"),
        ("c1", "# why"),
    ]


@pytest.mark.parametrize("language", ["", "nonsense", "brainfuck", "<b>", "python extra words"])
def test_an_unknown_language_is_plain_text(language):
    assert parse(prose(f"```{language}\n<b>x</b>\n```")).one("pre").text == "<b>x</b>"


def test_long_code_is_not_highlighted():
    block = parse(prose("```python\n" + "x = 1\n" * 2000 + "```")).one("pre")
    assert not block.all("span")


def test_a_table_scrolls_inside_itself():
    shown = parse(prose("| a | b |\n|---|---|\n| 1 | 2 |"))
    assert [cell.text for cell in shown.one("div", "wide").one("table").all("td")] == ["1", "2"]


def test_links_say_who_sent_the_reader_to_nobody():
    link = parse(prose("[docs](https://docs.example/ 'Title')")).one("a")
    assert link.attrs == {
        "href": "https://docs.example/",
        "title": "Title",
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }


def test_a_picture_from_elsewhere_is_a_link():
    link = parse(prose("![a cat](https://evil.example/p.png)")).one("a")
    assert (link.text, link.attrs["href"]) == ("a cat (image)", "https://evil.example/p.png")


def test_a_relative_link_leads_nowhere():
    assert "href" not in parse(prose("[x](/sign-out/)")).one("a").attrs


def test_html_is_text():
    assert parse(prose("<b>x</b>")).text == "<b>x</b>"


def test_single_line_ends_break_the_line():
    assert len(parse(prose("a\nb")).all("br")) == 1


@pytest.mark.parametrize("text", ["", None])
def test_nothing_is_nothing(text):
    assert prose(text) == ""


def test_too_long_a_text_is_shown_as_it_is():
    shown = parse(prose("**x**" * LONGEST_PROSE)).one("pre")
    assert shown.text.startswith("**x**")
    assert len(shown.text) == LONGEST_PROSE


@pytest.mark.parametrize("seed", ["[", "*a ", "> ", "`", "|", "![](", "<", "_x", "&#", "- "])
def test_the_longest_text_that_is_parsed_takes_no_more_than_seconds(seed):
    started = time.perf_counter()
    prose((seed * LONGEST_PROSE)[: LONGEST_PROSE - 1])
    assert time.perf_counter() - started < 10
