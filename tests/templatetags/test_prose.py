"""Markdown as it is shown."""

import time
from functools import partial

import pytest

from sessions.templatetags.prose import LANGUAGES, LONGEST_CODE, LONGEST_PROSE, head, prose
from tests.timing import seconds_of
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


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "x = 1\n" + "y" * 201),
        ("python", "x = 1" + " \n" * 60),
        ("c", "int x;" + " " * 100),
        ("java", "int x;"),
        ("perl", "my $x;"),
    ],
)
def test_code_that_would_take_long_to_read_is_not_highlighted(language, code):
    assert not parse(prose(f"```{language}\n{code}\n```")).one("pre").all("span")


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a ", "a\n", " \n", '"\\'])
def test_code_made_to_take_long_does_not(piece):
    took = {}
    for language in LANGUAGES:
        code = (piece * LONGEST_CODE)[: LONGEST_CODE - 1]
        lines = "\n".join(code[at : at + 199] for at in range(0, 8000, 199))
        for text in (code, lines[: LONGEST_CODE - 1]):
            seconds = seconds_of(partial(prose, f"```{language}\n{text}\n```"))
            took[language] = max(took.get(language, 0), seconds)
    assert {language: seconds for language, seconds in took.items() if seconds > 0.6} == {}


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[docs](https://docs.example/)", "docs"),
        ("[https://docs.example.com/a](https://docs.example.com/b)", "https://docs.example.com/a"),
        ("[www.example.com](https://www.example.com/)", "www.example.com"),
        ("[prose.py](https://docs.example/prose.py)", "prose.py"),
        ("[https://github.com/koda](https://evil.example/)", "https://github.com/koda (evil.example)"),
        ("[github.com](https://github.com@evil.example/)", "github.com (evil.example)"),
        ("[**github.com**/x](https://evil.example/)", "github.com/x (evil.example)"),
        ("<https://g\u0456thub.com/x>", "https://g\u0456thub.com/x (xn--gthub-n2e.com)"),
        ("[the docs](https://g\u0456thub.com/x)", "the docs (xn--gthub-n2e.com)"),
        ("[a](https://x.example/) [github.com](mailto:a@evil.example)", "a github.com"),
    ],
)
def test_a_link_whose_words_name_another_host_says_where_it_leads(text, shown):
    assert parse(prose(text)).text == shown


def test_a_relative_link_leads_nowhere():
    assert "href" not in parse(prose("[x](/sign-out/)")).one("a").attrs


def test_html_is_text():
    assert parse(prose("<b>x</b>")).text == "<b>x</b>"


def test_single_line_ends_break_the_line():
    assert len(parse(prose("a\nb")).all("br")) == 1


@pytest.mark.parametrize("gap", ["\n", "\n\n"], ids=["tight", "loose"])
def test_a_list_of_tasks_has_boxes_that_say_their_state_and_do_nothing(gap):
    shown = parse(prose(gap.join(["- [x] look", "- [ ] **leap**", "- [X] `run`", "- [ ]"])))
    boxes = shown.all("input")
    assert [box.attrs.get("aria-label") for box in boxes] == ["done", "to do", "done", "to do"]
    assert ["checked" in box.attrs for box in boxes] == [True, False, True, False]
    assert {(box.attrs["type"], box.attrs["disabled"]) for box in boxes} == {("checkbox", "")}
    assert [item.text.strip() for item in shown.all("li", "task")] == ["look", "leap", "run", ""]


@pytest.mark.parametrize("text", ["- [y] no", "[x] no list", "- a [x] later", "- [x]no space", "- \\[x] escaped"])
def test_what_is_no_task_stays_as_it_was_written(text):
    shown = parse(prose(text))
    assert not shown.all("input")
    assert shown.text == text.removeprefix("- ").replace("\\", "")


@pytest.mark.parametrize("text", ["", None])
def test_nothing_is_nothing(text):
    assert prose(text) == ""


def test_too_long_a_text_is_shown_as_it_is():
    shown = parse(prose("**x**" * LONGEST_PROSE)).one("pre")
    assert shown.text.startswith("**x**")
    assert len(shown.text) == LONGEST_PROSE


def test_a_tangle_of_brackets_is_shown_as_it_is():
    tangle = "![" * 3000
    assert parse(prose(tangle)).one("pre", "code").text == tangle
    assert len(parse(prose("[a](https://b.example) " * 500)).all("a")) == 500


@pytest.mark.parametrize("seed", ["[", "*a ", "> ", "`", "|", "![](", "<", "_x", "&#", "- "])
def test_the_longest_text_that_is_parsed_takes_no_more_than_seconds(seed):
    started = time.perf_counter()
    prose((seed * LONGEST_PROSE)[: LONGEST_PROSE - 1])
    assert time.perf_counter() - started < 10


MARK = "[REDACTED_SECRET:aws-access-token:a1b2c3]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"use {MARK} here", "use secret (aws-access-token) here"),
        (f"**{MARK}**", "secret (aws-access-token)"),
        (f"- {MARK}\n- b", "secret (aws-access-token)"),
        (f"```\nexport KEY={MARK}\n```", "secret (aws-access-token)"),
    ],
)
def test_what_stands_for_a_secret_is_a_pill(text, shown):
    page = parse(prose(text))
    assert page.one("span", "redacted").text == "secret (aws-access-token)"
    assert shown in page.text


def test_what_stands_for_a_secret_in_an_output_is_a_pill():
    page = parse(f"<pre>{head(f'<b> {MARK} {MARK}')}</pre>")
    assert [pill.text for pill in page.all("span", "redacted")] == ["secret (aws-access-token)"] * 2
    assert page.one("pre").text.startswith("<b> ")


@pytest.mark.parametrize(
    "text",
    [
        "[REDACTED_SECRET:x:short]",
        "[REDACTED_SECRET:<img src=x>:a1b2c3]",
        "[REDACTED_SECRET::a1b2c3]",
        "REDACTED_SECRET",
    ],
)
def test_what_only_looks_like_it_stays_as_it_is(text):
    assert not parse(prose(text)).all("span", "redacted")
    assert not parse(f"<pre>{head(text)}</pre>").all("span", "redacted")
    assert not parse(f"<pre>{head(text)}</pre>").all("img")


def test_a_pill_never_stands_in_an_attribute():
    link = parse(prose(f"[words](https://a.example '{MARK} > {MARK}')")).one("a")
    assert link.attrs["title"] == f"{MARK} > {MARK}"
