"""The tabs of a session: their counts, what each says, and what it costs to say it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sessions.models import TOKEN_NAMES, File, Metadata, TokenCounts
from tests.factories import make_events, make_key, make_message, make_session
from tests.web.markup import parse

TABS = ["timeline", "checkpoints", "usage", "todo", "files", "metadata", "events"]


def get(client, session, rest=""):
    response = client.get(f"/sessions/{session.uuid}/{rest}")
    assert response.status_code == 200
    return parse(response.content)


def counts(shown):
    return dict(link.text.rsplit(" ", 1) for link in shown.by_id("tabs").all("a"))


def cells(row):
    return [cell.text for cell in row.elements]


def work(session, turn, *, time_machine, seconds=0, asks=False, **end):
    """Let a session take one turn: 10 s of the model, `seconds` of a tool, and perhaps 30 s of waiting."""
    make_events(session, {"type": "turn_start", "turn_id": turn})
    make_message(session, content=f"Do {turn}")
    time_machine.shift(10)
    if seconds:
        call = {"id": turn, "name": "Bash", "turn_id": turn}
        make_events(session, {"type": "tool_call_start", "args": {"command": "make"}, **call})
        time_machine.shift(seconds)
        make_events(session, {"type": "tool_call_result", "output": "made", **call})
    if asks:
        make_events(session, {"type": "approval_request", "id": turn, "tool_name": "Bash", "turn_id": turn})
        time_machine.shift(30)
    make_events(session, {"type": "turn_end", "turn_id": turn, "reason": {"kind": "complete"}, **end})


def test_each_tab_counts_what_it_shows(owner, reader):
    session = make_session(owner)
    make_message(session, role="assistant", usage=TokenCounts(prompt_tokens=5))
    make_message(session, role="assistant", usage=TokenCounts(prompt_tokens=5), agent_name="reviewer")
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    File.objects.own(session, "a.py")
    Metadata.objects.put(session, "todo", "- [x] one\n- [ ] two\n- [ ] three")
    Metadata.objects.put(session, "progress", "half")
    shown = get(reader, session)
    assert counts(shown) == {
        "Transcript": "2", "Timeline": "1", "Checkpoints": "0", "Usage": "2", "To-do": "1/3", "Files": "1",
        "Metadata": "2", "Events": "8",
    }  # fmt: skip
    assert shown.by_id("tabs").one("a", aria_current="page").text == "Transcript 2"


@pytest.mark.parametrize("tab", TABS)
def test_a_tab_of_nothing_says_why_and_the_bar_says_where_one_is(owner, reader, tab):
    shown = get(reader, make_session(owner), f"?tab={tab}")
    assert shown.by_id(f"tab-{tab}").attrs["aria-current"] == "page"
    if tab != "events":
        assert shown.one("div", "empty").one("h2").text


def test_an_unknown_tab_is_the_transcript(owner, reader):
    assert get(reader, make_session(owner), "?tab=x").by_id("tab-transcript").attrs["aria-current"] == "page"


def test_the_timeline_says_where_the_time_of_each_turn_went(owner, reader, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    work(session, "first", time_machine=time_machine, seconds=20)
    work(session, "second", time_machine=time_machine, asks=True)
    shown = get(reader, session, "?tab=timeline")
    second, first = shown.one("table", "turns").one("tbody").all("tr")
    assert cells(first)[3:] == ["30 s", "10 s", "20 s", "0 s", "1", "complete"]
    assert cells(second)[3:] == ["40 s", "10 s", "0 s", "30 s", "0", "complete"]
    assert second.one("a").text == "Do second"
    assert first.one("svg").attrs["aria-label"] == "30\u202fs: model 10\u202fs, tool 20\u202fs"
    assert {bar.attrs["data-kind"] for bar in first.all("rect")} == {"model", "tool"}


def test_what_is_asked_after_a_turn_has_failed_is_not_what_that_turn_was_asked(owner, reader, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    failed = {"kind": "error", "message": "no ink"}
    make_events(session, {"type": "turn_start", "turn_id": "t"}, {"type": "turn_end", "turn_id": "t", "reason": failed})
    time_machine.shift(5)
    make_message(session, content="Try again")
    (row,) = get(reader, session, "?tab=timeline").one("table", "turns").one("tbody").all("tr")
    assert cells(row)[1] == "\N{EN DASH}"


def converse(session, turn, *, time_machine, prompt=None, reason=None):
    """Let a session take one turn as agents report it: the prompt, then the start, the answer, the end."""
    if prompt:
        make_message(session, content=prompt)
    time_machine.shift(1)
    make_events(session, {"type": "turn_start", "turn_id": turn})
    make_message(session, role="assistant", content="done")
    time_machine.shift(1)
    make_events(session, {"type": "turn_end", "turn_id": turn, "reason": reason or {"kind": "complete"}})
    time_machine.shift(1)


def asked(shown):
    return [row.elements[1].text for row in shown.one("table", "turns").one("tbody").all("tr")]


def test_a_turn_was_asked_by_the_last_prompt_before_it(owner, reader, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    make_message(session, content="an earlier word")
    converse(session, "a", time_machine=time_machine, prompt="Paint the fence")
    converse(session, "b", time_machine=time_machine)
    failed = {"kind": "error", "message": "no ink"}
    converse(session, "c", time_machine=time_machine, prompt="Paint the shed", reason=failed)
    converse(session, "d", time_machine=time_machine, prompt="Try again")
    converse(session, "e", time_machine=time_machine)
    shown = get(reader, session, "?tab=timeline")
    assert asked(shown) == ["To its messages", "Try again", "Paint the shed", "To its messages", "Paint the fence"]
    prompt = session.messages.get(content="Paint the fence")
    assert shown.one("tbody").all("tr")[-1].all("a")[-1].attrs["href"].endswith(f"#message-{prompt.pk}")
    slowest = get(reader, session, "?tab=timeline&sort=slowest")
    assert sorted(asked(slowest)) == sorted(asked(shown))


def test_the_timeline_asks_as_often_for_many_turns_as_for_few(owner, reader, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)

    def queries_for(count):
        session = make_session(owner)
        for number in range(count):
            converse(session, str(number), time_machine=time_machine, prompt=f"Do {number}")
        get(reader, session, "?tab=timeline")
        with CaptureQueriesContext(connection) as queries:
            get(reader, session, "?tab=timeline")
        return len(queries)

    assert queries_for(12) == queries_for(2)


def test_the_slowest_turns_come_first_when_asked_for(owner, reader, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    for turn, seconds in (("a", 20), ("b", 300), ("c", 5)):
        work(session, turn, time_machine=time_machine, seconds=seconds)
    make_events(session, {"type": "turn_start", "turn_id": "open"})
    rows = get(reader, session, "?tab=timeline&sort=slowest").one("table", "turns").one("tbody").all("tr")
    assert [row.one("a").text for row in rows] == ["Do b", "Do a", "Do c"]


def test_time_that_nobody_measured_is_unknown_and_not_nought(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    make_message(session, role="assistant", tool_calls=[{"id": "c", "name": "Read", "arguments": {}}])
    make_message(session, role="tool", tool_call_id="c")
    (row,) = get(reader, session, "?tab=timeline").one("table", "turns").one("tbody").all("tr")
    assert cells(row)[4:6] == ["\N{EN DASH}"] * 2


def test_older_turns_are_a_link_away(owner, reader):
    session = make_session(owner)
    for number in range(51):
        make_events(session, {"type": "turn_start", "turn_id": str(number)})
    shown = get(reader, session, "?tab=timeline")
    assert len(shown.one("tbody").all("tr")) == 50
    assert len(get(reader, session, shown.one("p", "more").one("a").attrs["href"]).one("tbody").all("tr")) == 1


def test_five_kinds_of_tokens_stand_apart_by_agent_and_by_turn(owner, reader):
    session = make_session(owner)
    usage = TokenCounts(
        prompt_tokens=1000, completion_tokens=200, cache_read_tokens=30, cache_creation_tokens=4, thinking_tokens=5
    )
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    make_message(session, role="assistant", usage=usage)
    make_message(session, role="assistant", usage=usage, agent_name="reviewer")
    make_events(session, {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}})
    footer = {"prompt_tokens": 7, "completion_tokens": 8, "cache_read_tokens": 9, "thinking_tokens": 10}
    make_events(session, {"type": "turn_start", "turn_id": "u"}, {"type": "footer", "turn_id": "u", **footer})
    make_events(session, {"type": "turn_start", "turn_id": "v"})
    by_agent, by_turn = get(reader, session, "?tab=usage").all("table", "tokens")
    five = ["1,000", "200", "30", "4", "5"]
    assert [cells(row) for row in by_agent.one("tbody").all("tr")] == [["main", "1", *five], ["reviewer", "1", *five]]
    assert cells(by_agent.one("tfoot").one("tr")) == ["All", "2", "2,000", "400", "60", "8", "10"]
    unknown, told, summed = by_turn.one("tbody").all("tr")
    assert cells(summed)[1:] == ["2,400 in + out", "2,000", "400", "60", "8", "10"]
    assert cells(told)[1:] == ["15 in + out", "7", "8", "9", "\N{EN DASH}", "10"]
    assert cells(unknown)[1:] == ["", *["\N{EN DASH}"] * 5]
    assert [row.one("rect").attrs["width"] for row in (told, summed)] == ["0.6%", "100.0%"]
    heads = [len(table.one("thead").all("th")) for table in (by_agent, by_turn)]
    assert heads == [7, 7], "the kinds of both tables stand below one another"


def test_turns_of_which_no_token_is_known_are_not_listed_as_dashes(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    shown = get(reader, session, "?tab=usage")
    assert shown.all("table", "tokens") == []
    assert "No token reported" in shown.text


def test_the_checklist_shows_what_is_done(owner, reader):
    session = make_session(owner)
    Metadata.objects.put(session, "todo", "# Plan\n- [x] one\n- [ ] two\n- [ ] three")
    shown = get(reader, session, "?tab=todo").by_id("part")
    assert [item.attrs["class"] for item in shown.one("ul", "todo").all("li")] == ["done", "doing", "left"]
    assert shown.one("h4").text == "Plan"


def test_files_come_newest_first(owner, reader):
    session = make_session(owner)
    for name in ("a.py", "b<i>.py"):
        File.objects.own(session, name)
    assert [code.text for code in get(reader, session, "?tab=files").by_id("part").all("code")] == ["b<i>.py", "a.py"]


def test_a_large_value_shows_its_head_its_size_and_a_link(owner, reader):
    session = make_session(owner)
    Metadata.objects.put(session, "log", "ä" * 20_000)
    entry = get(reader, session, "?tab=metadata").one("ul", "entries").one("li")
    assert entry.one("b").text == "log"
    assert "The first 16 kB of 40.0 kB" in entry.one("p", "cutoff").text
    whole = reader.get(entry.one("p", "cutoff").one("a").attrs["href"])
    assert whole.content.decode() == "ä" * 20_000
    assert whole.headers["Content-Disposition"].startswith("attachment")


def test_what_the_open_page_asks_again_counts_on(owner, reader):
    session = make_session(owner)
    asked = get(reader, session, "?tab=files").by_id("tabs").attrs["hx-get"]
    make_message(session)
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    again = parse(reader.get(asked, headers={"HX-Request": "true"}).content)
    assert counts(again)["Transcript"] == "1"
    assert again.by_id("tab-files").attrs["aria-current"] == "page"
    assert again.by_id("facts").attrs["hx-swap-oob"] == again.by_id("ribbon").attrs["hx-swap-oob"] == "morph"


@pytest.mark.parametrize(
    ("tab", "count"),
    [
        # 14 for every tab: who reads 2, the session 2, findings 6, ribbon 2, counts of tabs 1, of the inbox 1
        ("timeline", 14 + 5),  # turns, calls, requests, first messages, their beginnings
        ("checkpoints", 14 + 2),  # rows, where branches begin
        ("usage", 14 + 3),  # agents, turns, messages
        ("todo", 14 + 1),
        ("files", 14 + 1),
        ("metadata", 14 + 1),
        ("events", 14 + 1),
    ],
)
def test_the_queries_of_a_tab_do_not_grow(owner, reader, time_machine, django_assert_num_queries, tab, count):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    session = make_session(owner)
    for number in range(12):
        work(session, str(number), time_machine=time_machine, seconds=5, asks=True)
        make_message(session, role="assistant", usage=TokenCounts(prompt_tokens=5), agent_name=f"agent {number}")
        File.objects.own(session, f"{number}.py")
        Metadata.objects.put(session, f"key {number}", "value")
    get(reader, session)
    with django_assert_num_queries(count):
        get(reader, session, f"?tab={tab}")


def test_a_kind_of_tokens_that_nobody_told_is_unknown_and_not_nought(owner, reader):
    session, key = make_session(owner), make_key(owner)
    url = f"/api/v1/sessions/{session.uuid}/messages"

    def send(usage):
        message = {"role": "assistant", "content": "x", "usage": usage}
        headers = {"Authorization": f"Bearer {key.plain}"}
        return reader.post(url, message, content_type="application/json", headers=headers)

    make_events(session, {"type": "turn_start", "turn_id": "t"})
    answered = send({"prompt_tokens": 500, "completion_tokens": 20})
    assert answered.status_code == 201
    send({"completion_tokens": 3, "thinking_tokens": 0})
    send({"thinking_tokens": 7})
    send({"input_tokens": 9})
    dash, rows = "\N{EN DASH}", list(session.messages.order_by("pk").values_list(*TOKEN_NAMES))
    assert rows == [(500, 20, None, None, None), (None, 3, None, None, 0), (0, 0, None, None, 7), (None,) * 5]
    agents, turns = get(reader, session, "?tab=usage").all("table", "tokens")
    assert cells(agents.one("tbody").one("tr"))[1:] == ["3", "500", "23", dash, dash, "7"]
    assert cells(agents.one("tfoot").one("tr"))[1:] == ["3", "500", "23", dash, dash, "7"]
    assert cells(turns.one("tbody").one("tr"))[2:] == ["500", "23", dash, dash, "7"]
