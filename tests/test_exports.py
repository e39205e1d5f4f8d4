"""Exports: every format holds the whole session, in little memory; what agents wrote stays what they wrote."""

import json
import re
import tracemalloc

import pytest

from sessions import checkpoints, exports, transcripts
from sessions.exports import Format
from sessions.models import File, Metadata
from sessions.templatetags.prose import LONGEST_PROSE
from tests.factories import make_events, make_message, make_session
from tests.hostile import CORPUS
from tests.web.markup import parse

pytestmark = pytest.mark.django_db


def export(session, form):
    return b"".join(exports.pieces_of(session, Format(form))).decode()


def call(one="c", **args):
    return {"id": one, "name": "Bash", "arguments": args or {"command": "ls"}}


@pytest.fixture
def session():
    """A session with one of everything."""
    session = make_session(title="Ünïcode", project_root="/srv/a")
    make_message(session, content="**look** around")
    make_message(session, role="assistant", content="I will.", thinking="hm", tool_calls=[call()])
    make_message(session, role="tool", content="\x1b[31mred\x1b[0m", tool_call_id="c")
    told = {"type": "tool_call_result", "id": "e", "name": "Read", "output": "from an event"}
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    make_events(session, {"type": "tool_call_start", "id": "e", "name": "Read", "args": {"path": "x"}}, told)
    make_events(session, {"type": "text_delta", "text": "half a senten"})
    make_events(session, {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "rm x", "turn_id": "t"})
    Metadata.objects.put(session, "todo", "- [ ] one")
    Metadata.objects.put(session, "progress", "3 of 7")
    File.objects.own(session, "notes.md")
    session.refresh_from_db()
    return session


def test_json_holds_the_same_records_as_the_lines(session):
    checkpoints.add(session.pk, checkpoints.State.of({"messages": [{"role": "user", "content": "x"}]}), by="test")
    session.refresh_from_db()
    lines = [json.loads(line) for line in export(session, "jsonl").splitlines()]
    whole = json.loads(export(session, "json"))

    assert {"record": "session", **whole["session"]} == lines[0]
    listed = [{"record": kind, **row} for kind, rows in whole.items() if kind != "session" for row in rows]
    assert listed == lines[1:]
    assert set(whole) - {line["record"] for line in lines} == {"usage"}  # nobody told of tokens
    assert "".join(piece["text"] for piece in whole["checkpoint_piece"]) == '{"role":"user","content":"x"}'
    assert (whole["checkpoint"][0]["spans"], whole["checkpoint"][0]["rest"]) == ([[0, 1]], '{"messages":[]}')


def test_a_number_of_any_size_is_exported():
    session = make_session()
    make_events(session, {"type": "info", "message": "x", "big": 10**30})
    for form in ("json", "jsonl"):
        assert '"big":1000000000000000000000000000000' in export(session, form)
        assert re.search(r'"received_at":"[0-9T:.-]+Z"', export(session, form))


def test_html_shows_the_conversation_with_its_calls_and_all_that_stands_beside_it(session):
    page = parse(export(session, "html").encode())

    assert page.one("h1").text == page.one("title").text == "Ünïcode"
    said = page.all("article")
    assert [article.one("b", None).text for article in said[:1]] == ["user"]
    assert said[0].one("strong").text == "look"
    assert "I will." in said[1].text
    assert said[1].all("details")[0].text == "Thoughthm"
    made = said[1].one("details", "call")
    assert made.one("summary").text == "Bash done"
    assert [pre.text for pre in made.all("pre")] == ["ls", "red"]
    assert made.one("span", "t-red").text == "red"
    assert [pre.text for pre in said[2].all("pre")] == ["x", "from an event"]
    assert said[3].text.endswith("half a senten")
    assert len(said) == 4
    rest = {section.one("h2").text: section.text for section in page.all("section")}
    assert list(rest) == ["To-do", "Metadata", "Files", "Asked of a person"]
    assert (rest["Files"], rest["Metadata"]) == ("Filesnotes.md", "Metadataprogress3 of 7")
    assert "approval Bash rm x: open" in rest["Asked of a person"]


def test_markdown_quotes_what_was_said_and_fences_what_went_into_calls_and_out(session):
    text = export(session, "markdown")

    assert text.startswith("# Ünïcode\n\n- Agent: koda\n- Project: /srv/a\n")
    assert "\n## user\n\n" in text
    assert "\n> **look** around\n" in text
    spoken = "\nThought:\n\n> hm\n\n> I will.\n\n### Bash: done\n"
    assert f"{spoken}\ncommand:\n\n```\nls\n```\n\nGave back:\n\n```\nred\n```\n" in text
    assert "\n### Read: done\n" in text
    assert "\n## To\\-do" not in text
    assert "\n## To-do\n\n> - [ ] one\n" in text
    assert "\n- notes.md\n" in text
    assert "> half a senten\n" in text


def test_what_is_archived_is_there_and_says_so():
    session = make_session()
    make_message(session, content="old words")
    session.messages.update(compacted_at=session.created_at)

    assert "archived" in parse(export(session, "html").encode()).one("article").one("header").text
    assert re.search(r"UTC, archived\n\n> old words\n", export(session, "markdown"))


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_words_do_nothing_in_the_file(name):
    text = CORPUS[name]
    session = make_session(title=text[:500] if text[:500].isprintable() and text.strip() else None)
    for role in ("user", "assistant"):
        make_message(session, role=role, content=text, thinking=text)
    make_message(session, role="assistant", tool_calls=[call(command=text)])
    make_message(session, role="tool", content=text, tool_call_id="c")
    Metadata.objects.put(session, "todo", text)
    Metadata.objects.put(session, "other", text)
    page = parse(export(session, "html").encode())

    for tag in ("script", "img", "svg", "iframe", "form", "object", "link", "base", "math"):
        assert page.all(tag) == []
    boxes = {(box.attrs["type"], box.attrs["disabled"]) for box in page.all("input")}
    assert boxes <= {("checkbox", "")}
    assert bool(boxes) == (name == "tasks")
    assert len(page.all("style")) == 1
    assert len(page.all("meta")) == 4
    for element in page.all():
        assert not [attr for attr in element.attrs if attr.startswith("on") or attr in {"src", "style", "srcset"}]
        assert element.attrs.get("href", "https:").startswith(("https:", "http:", "mailto:"))
    policy = page.one("meta", http_equiv="Content-Security-Policy").attrs["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_long_text_is_there_to_its_end_and_cannot_leave_its_place(form):
    session = make_session()
    fences = "```\n" * 3 + "`````\n## system\n"
    make_message(session, content="x" * LONGEST_PROSE + "the end")
    make_message(session, role="assistant", tool_calls=[call(command=fences)])
    make_message(session, role="tool", content=fences + "y" * 40_000 + " the very end", tool_call_id="c")
    text = export(session, form)

    assert "the end" in text
    assert "the very end" in text
    if form == "markdown":
        assert f"\n``````\n{fences}" in text


def test_a_prose_that_looks_like_the_file_is_quoted():
    session = make_session(title="a\n## b")
    make_message(session, content="hi\n\n## system\n\ndo harm")
    heads = [line for line in export(session, "markdown").splitlines() if line.startswith("#")]

    assert heads == ["# a \\#\\# b", "## user"]


@pytest.mark.parametrize("form", list(Format))
def test_a_long_session_takes_little_memory(form):
    session = make_session()
    for _ in range(15):
        drafts = [transcripts.MessageDraft(role="user", content="z" * 20_000) for _ in range(100)]
        transcripts.append(session.pk, drafts)
    size = 0
    tracemalloc.start()
    try:
        for piece in exports.pieces_of(session, form):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size > 30_000_000
    assert peak < 12_000_000


@pytest.mark.parametrize("form", list(Format))
def test_a_copy_begins_before_the_conversation_is_read(form, django_assert_num_queries):
    session = make_session(title="Of many")
    for _ in range(3):
        make_message(session, content="z" * 70_000)
    session.refresh_from_db()
    pieces = exports.take(session, form, by="test").pieces(is_async=False)
    with django_assert_num_queries(0):
        first = next(pieces)

    assert b"z" * 9 not in first
    rest = list(pieces)
    assert first + b"".join(rest) == b"".join(exports.pieces_of(session, form))
    assert len(rest) > 2, "what is large enough does not wait for the next"


def test_small_parts_go_out_together():
    session = make_session()
    for number in range(100):
        make_message(session, content=str(number))

    assert len(list(exports.take(session, Format.HTML, by="test").pieces(is_async=False))) < 6


def test_the_queries_do_not_grow_with_each_message(django_assert_max_num_queries):
    session = make_session()
    for number in range(100):
        make_message(session, role="assistant", tool_calls=[call(str(number))])
        make_message(session, role="tool", content="out", tool_call_id=str(number))
    with django_assert_max_num_queries(30):
        export(session, "html")
