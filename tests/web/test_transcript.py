"""The transcript: blocks both ways, tool calls that open, archived parts, whole texts."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sessions import compaction, transcripts
from sessions.models import Message, TokenCounts
from sessions.web.views.transcript import SUB_AGENTS_SHOWN
from tests.factories import make_events, make_message, make_session, make_user
from tests.steps import counted_steps
from tests.templatetags.test_images import PIXEL
from tests.web.markup import parse

Draft = transcripts.MessageDraft


def path(session, rest=""):
    return f"/sessions/{session.uuid}/{rest}"


def get(client, url, **headers):
    response = client.get(url, headers=headers)
    assert response.status_code == 200, response.headers
    return parse(response.content)


def numbers(shown):
    return [int(message.attrs["id"].removeprefix("message-")) for message in shown.all("article", "message")]


def fill(session, count):
    return transcripts.append(session.pk, [Draft(role="user", content=f"number {n}") for n in range(count)]).ids


def test_it_opens_at_the_newest_end_in_order(owner, reader):
    session = make_session(owner)
    ids = fill(session, 450)
    shown = get(reader, path(session))
    assert numbers(shown) == ids[-200:]
    assert not shown.all(id="newer")


def test_older_messages_come_by_a_link_that_works_without_script(owner, reader):
    session = make_session(owner)
    ids = fill(session, 450)
    link = get(reader, path(session)).by_id("older").one("a")
    plain = get(reader, link.attrs["href"])
    assert numbers(plain) == ids[150:250]
    assert plain.by_id("newer")
    part = get(reader, link.attrs["hx-get"], HX_Request="true")
    assert numbers(part) == ids[150:250]
    assert not part.all(id="newer"), "the page already holds what is newer"
    assert not part.all("html")
    assert part.by_id("older").one("a").attrs["hx-get"].endswith(f"before={ids[150]}")


def test_walking_back_reaches_the_first_message_once_each(owner, reader):
    session = make_session(owner)
    ids = fill(session, 450)
    shown = get(reader, path(session))
    seen = numbers(shown)
    while older := shown.all(id="older"):
        shown = get(reader, older[0].one("a").attrs["hx-get"], HX_Request="true")
        seen = numbers(shown) + seen
    assert seen == ids


def test_walking_forward_reaches_the_newest(owner, reader):
    session = make_session(owner)
    ids = fill(session, 450)
    shown = get(reader, path(session, f"?at={ids[40]}"))
    seen = numbers(shown)
    assert ids[40] in seen
    assert seen[0] == ids[0]
    while newer := shown.all(id="newer"):
        shown = get(reader, newer[0].one("a").attrs["hx-get"], HX_Request="true")
        assert not shown.all(id="older")
        seen += numbers(shown)
    assert seen == ids


def test_a_block_asked_for_as_a_page_becomes_the_page(owner, reader):
    session = make_session(owner)
    response = reader.get(path(session, "messages/?before=7"))
    assert response.status_code == 302
    assert response.headers["Location"] == path(session, "?before=7")


@pytest.mark.parametrize("query", ["?before=x", "?after=-1", "?at=99999999999999999999", "?before=²", "?at="])
def test_a_place_that_is_none_is_the_newest_end(owner, reader, query):
    session = make_session(owner)
    ids = fill(session, 3)
    assert numbers(get(reader, path(session, query))) == ids


def test_roles_and_names_stand_at_each_message(owner, reader):
    session = make_session(owner)
    make_message(session, content="hi")
    make_message(session, role="assistant", content="yes", agent_name="explore", model="sonnet")
    user, assistant = get(reader, path(session)).all("article", "message")
    assert (user.attrs["data-role"], user.one("header").text) == ("user", "user")
    assert assistant.one("header").text == "explore sonnet"


def test_a_message_links_to_itself(owner, reader):
    session = make_session(owner)
    ids = fill(session, 2)
    link = get(reader, path(session)).by_id(f"message-{ids[0]}").one("a", "when")
    assert link.attrs["href"] == path(session, f"?at={ids[0]}#message-{ids[0]}")


def test_days_are_told_apart(owner, reader):
    session = make_session(owner)
    now = timezone.now()
    drafts = [Draft(role="user", content="x", created_at=now - timedelta(days=days)) for days in (9, 1, 1, 0)]
    transcripts.append(session.pk, drafts)
    days = [day.text for day in get(reader, path(session)).all("h2", "day")]
    assert len(days) == 3
    assert days[1:] == ["Yesterday", "Today"]


def test_a_tool_call_is_one_line_with_its_result_inside(owner, reader):
    session = make_session(owner)
    call = {"id": "1", "name": "Bash", "arguments": {"command": "cargo test"}}
    asked = make_message(session, role="assistant", content=None, tool_calls=[call])
    make_message(session, role="tool", tool_call_id="1", content="a\nb\nc")
    shown = get(reader, path(session))
    assert numbers(shown) == [asked], "the result stands in its call, not below it"
    tool = shown.by_id(f"message-{asked}").one("details", "tool")
    assert tool.one("summary").text == "Bashcargo test3 lines"
    inside = tool.one("div", "inside")
    assert inside.attrs["hx-get"] == inside.one("a").attrs["href"], "the link works without script"


def test_a_tool_call_opens_to_input_and_output(owner, reader):
    session = make_session(owner)
    call = {"id": "1", "name": "Bash", "arguments": {"command": "cargo test", "timeout": 5}}
    make_message(session, role="assistant", tool_calls=[call])
    make_message(session, role="tool", tool_call_id="1", content="\x1b[32mok\x1b[0m")
    url = path(session, f"tools/{session.tool_calls.get().pk}/")
    part = get(reader, url, HX_Request="true")
    assert [entry.text for entry in part.all("dt")] == ["command", "timeout"]
    assert [entry.text for entry in part.all("dd")] == ["cargo test", "5"]
    assert part.one("pre", "output").text == "ok"
    whole = get(reader, url)
    assert whole.all("html")
    assert whole.one("pre", "output").text == "ok"


def test_an_edit_opens_to_a_diff(owner, reader):
    session = make_session(owner)
    args = {"file_path": "a.py", "old_string": "a\nold name\nz", "new_string": "a\nnew name\nz"}
    make_message(session, role="assistant", tool_calls=[{"id": "1", "name": "Edit", "arguments": args}])
    change = get(reader, path(session, f"tools/{session.tool_calls.get().pk}/"), HX_Request="true").one("div", "change")
    diff, sides = change.all("table")
    assert [row.attrs.get("class", "same") for row in diff.all("tr")] == ["same", "del", "add", "same"]
    assert [mark.text for mark in diff.all("mark")] == ["old", "new"]
    assert diff.all("tr")[1].text == "2\N{MINUS SIGN} old name"
    assert [cell.text for cell in sides.all("tr")[1].all("td")] == [
        "2", "\N{MINUS SIGN} old name", "2", "+ new name",
    ]  # fmt: skip


def test_a_large_output_shows_its_head_its_size_and_a_link(owner, reader):
    session = make_session(owner)
    make_message(session, role="assistant", tool_calls=[{"id": "1", "name": "Bash", "arguments": {}}])
    make_message(session, role="tool", tool_call_id="1", content="x" * 5_000_000)
    url = path(session, f"tools/{session.tool_calls.get().pk}/")
    part = get(reader, url, HX_Request="true")
    assert len(part.one("pre", "output").text) == 16 * 1024
    assert part.one("p", "cutoff").text.replace("\u202f", " ") == "The first 16 kB of 5.0 MB. Whole output"
    response = reader.get(part.one("p", "cutoff").one("a").attrs["href"])
    assert len(response.content) == 5_000_000
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert len(reader.get(path(session)).content) < 40_000, "the page does not carry it"


def test_neither_the_page_nor_an_opened_row_loads_a_whole_output(owner, reader):
    session = make_session(owner)
    make_message(session, role="assistant", tool_calls=[{"id": "1", "name": "Bash", "arguments": {}}])
    make_message(session, role="tool", tool_call_id="1", content="MIDDLE\n".join(["x" * 20_000] * 3))
    make_message(session, role="user", content="y" * 20_000 + "END")
    with CaptureQueriesContext(connection) as queries:
        shown = get(reader, path(session))
        get(reader, path(session, f"tools/{session.tool_calls.get().pk}/"), HX_Request="true")
    assert shown.one("details", "tool").one("span", "out").text == "3 lines"
    selects = [query["sql"].split(" FROM ")[0] for query in queries if "koda_sessions_message" in query["sql"]]
    assert not [sql for sql in selects if re.search(r'[ ,]"koda_sessions_message"."(content|thinking)"(,|$)', sql)]


def test_json_folds_and_small_pictures_show(owner, reader):
    session = make_session(owner)
    calls = [{"id": at, "name": "Fetch", "arguments": {"options": {"a": [1, 2]}}} for at in ("1", "2")]
    make_message(session, role="assistant", tool_calls=calls)
    make_message(session, role="tool", tool_call_id="1", content='{"items": [{"id": 1}], "next": null}')
    make_message(session, role="tool", tool_call_id="2", content=f"data:image/png;base64,{PIXEL}")
    json, picture = (
        get(reader, path(session, f"tools/{call.pk}/"), HX_Request="true") for call in session.tool_calls.order_by("pk")
    )
    assert [part.text for part in json.one("dd").all("summary")] == ["{} 1", "a [] 2"]
    assert len(json.one("div", "output").all("details")) == 3
    assert picture.one("img").attrs["alt"].startswith("PNG picture")
    assert not picture.all("pre", "output")


def test_what_is_looked_for_is_listed_with_links_to_the_very_place(owner, reader):
    session = make_session(owner)
    first = make_message(session, content="the needle <b>here</b>")
    call = {"id": "1", "name": "Bash", "arguments": {"command": "ls"}}
    asked = make_message(session, role="assistant", tool_calls=[call])
    make_message(session, role="tool", tool_call_id="1", content="a needle in it")
    found = get(reader, path(session, "find/?find=NEEDLE"), HX_Request="true")
    in_call, in_message = found.all("li", "hit")
    assert in_message.one("a").attrs["href"].endswith(f"?at={first}&find=NEEDLE#message-{first}")
    assert in_call.one("a").attrs["href"].endswith(f"?at={asked}&find=NEEDLE#tool-{session.tool_calls.get().pk}")
    assert in_message.one("mark").text == "needle"
    assert not in_message.all("i")
    page = get(reader, in_message.one("a").attrs["href"])
    assert page.by_id("q").attrs["value"] == "NEEDLE"
    assert not page.by_id("found").all("li")


def test_find_works_without_script(owner, reader):
    session = make_session(owner)
    make_message(session, content="the needle")
    form = get(reader, path(session)).one("form", role="search", aria_label="In this session")
    response = reader.get(form.attrs["action"], {"find": "needle"}, follow=True)
    assert len(parse(response.content).by_id("found").all("li", "hit")) == 1
    nothing = reader.get(form.attrs["action"], {"find": "absent"}, follow=True)
    assert "Nothing here says “absent”" in parse(nothing.content).by_id("found").text


def test_an_output_that_came_as_an_event_is_found(owner, reader):
    session = make_session(owner)
    start = {"type": "tool_call_start", "id": "1", "name": "Bash", "args": {"command": "ls"}, "turn_id": "t"}
    result = {"type": "tool_call_result", "id": "1", "name": "Bash", "output": "from the log"}
    make_events(session, {"type": "turn_start", "turn_id": "t"}, start, result)
    call = session.tool_calls.get()
    assert (
        get(reader, path(session, f"tools/{call.pk}/"), HX_Request="true").one("pre", "output").text == "from the log"
    )
    assert f"tool-{call.pk}" in [
        tool.attrs["id"] for tool in get(reader, path(session)).by_id("now").all("details", "tool")
    ]


@pytest.mark.parametrize("part", ["?part=x", "?part=output"])
def test_a_part_that_a_call_has_not_is_not_found(owner, reader, part):
    session = make_session(owner)
    make_message(session, role="assistant", tool_calls=[{"id": "1", "name": "Bash", "arguments": {}}])
    assert reader.get(path(session, f"tools/{session.tool_calls.get().pk}/{part}")).status_code == 404


def test_parts_of_another_session_are_not_found_below_this_one(owner, reader):
    mine, other = make_session(owner), make_session(owner)
    message = make_message(other, role="assistant", tool_calls=[{"id": "1", "name": "Bash", "arguments": {}}])
    assert reader.get(path(mine, f"tools/{other.tool_calls.get().pk}/")).status_code == 404
    assert reader.get(path(mine, f"messages/{message}/")).status_code == 404
    assert reader.get(path(mine, "events/99/")).status_code == 404


def test_thinking_is_folded(owner, reader):
    session = make_session(owner)
    make_message(session, role="assistant", content="yes", thinking="let me see")
    thought = get(reader, path(session)).one("details", "thought")
    assert "open" not in thought.attrs
    assert "let me see" in thought.text


def test_a_long_text_shows_its_head_and_hands_out_the_rest(owner, reader):
    session = make_session(owner)
    number = make_message(session, role="assistant", content="**x**\n" * 5000)
    message = get(reader, path(session)).by_id(f"message-{number}")
    assert not message.all("strong"), "too long to be parsed"
    link = message.one("p", "cutoff").one("a")
    assert reader.get(link.attrs["href"]).content.decode() == "**x**\n" * 5000


def test_what_a_compaction_archived_is_one_line_and_one_click_away(owner, reader):
    session = make_session(owner)
    ids = fill(session, 6)
    compaction.compact(session.pk, summary="It was about numbers.", preserve_count=2, by="test")
    shown = get(reader, path(session))
    assert numbers(shown) == list(Message.objects.of(session.pk).unarchived().values_list("pk", flat=True))
    seam = shown.one("p", "seam")
    assert seam.text == "4 messages archived by compaction Show them"
    all_of_them = get(reader, path(session, seam.one("a").attrs["href"]))
    assert numbers(all_of_them)[:4] == ids[:4]
    assert "data-archived" in all_of_them.by_id(f"message-{ids[0]}").attrs
    assert "data-archived" not in all_of_them.by_id(f"message-{ids[5]}").attrs


def test_the_line_of_a_compaction_comes_with_the_block_that_begins_there(owner, reader):
    session = make_session(owner)
    ids = fill(session, 400)
    compaction.compact(session.pk, summary="It was about numbers.", preserve_count=250, by="test")
    shown = get(reader, path(session))
    assert not shown.all("p", "seam"), "the border is further up"
    part = get(reader, shown.by_id("older").one("a").attrs["hx-get"], HX_Request="true")
    assert numbers(part)[0] == ids[150]
    seam = part.one("p", "seam")
    assert seam.text == "150 messages archived by compaction Show them"
    above = get(reader, path(session, seam.one("a").attrs["href"]))
    assert numbers(above)[-1] == ids[149], "the archived part, where it ends"
    assert "data-archived" in above.by_id(f"message-{ids[149]}").attrs


def test_no_block_but_the_one_at_the_border_has_that_line(owner, reader):
    session = make_session(owner)
    ids = fill(session, 600)
    compaction.compact(session.pk, summary="It was about numbers.", preserve_count=450, by="test")
    for query, count in ((f"before={ids[500]}", 0), (f"before={ids[250]}", 1), (f"after={ids[200]}", 0)):
        part = get(reader, path(session, f"messages/?{query}"), HX_Request="true")
        assert len(part.all("p", "seam")) == count, query


def test_the_present_shows_what_is_said_thought_and_asked_now(owner, reader):
    session = make_session(owner)
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "thinking_delta", "text": "hm"},
        {"type": "text_delta", "text": "so **far**"},
    )
    now = get(reader, path(session)).by_id("now")
    assert now.one("div", "growing").one("strong").text == "far"
    assert now.one("details", "thought").one("summary").text == "Thought"
    preview = {"replacements": [{"start_line": 3, "old_lines": ["a"], "new_lines": ["b"]}]}
    ask = {"type": "approval_request", "id": "q", "tool_name": "Edit", "detail": "a.py", "preview": preview}
    make_events(session, ask)
    card = get(reader, path(session)).by_id("now").one("section", "ask")
    assert "May I edit a.py" in card.text
    assert len(card.one("table", "diff").all("tr")) == 3


def test_an_empty_transcript_says_so(owner, reader):
    assert get(reader, path(make_session(owner))).one("div", "empty").one("h2").text == "No message yet"


def test_usage_stands_at_the_message_that_cost_it(owner, reader):
    session = make_session(owner)
    usage = TokenCounts(prompt_tokens=31_204, completion_tokens=918)
    make_message(session, role="assistant", content="x", usage=usage)
    figure = get(reader, path(session)).one("article", "message").one("span", "push")
    assert (figure.text, figure.attrs["title"]) == ("918 out", "31,204 tokens in, 918 out")


@pytest.mark.django_db
def test_a_call_that_began_a_sub_agent_opens_to_its_session(client):
    owner = make_user()
    session = make_session(owner)
    call = {"id": "c1", "function_name": "InvokeAgent", "arguments": '{"agent_name": "explore", "prompt": "look"}'}
    make_message(session, role="assistant", content=None, tool_calls=[call])
    child = make_session(owner, parent=session, parent_tool_call_id="c1", agent_name="explore", title="Look around")
    make_message(child)
    session.edit(by="test", visibility="PUBLIC")
    path = reverse("web:tool", args=[session.uuid, session.tool_calls.get().pk])
    client.force_login(owner)
    shown = client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert str(child.uuid) in shown
    assert "1 message" in shown
    client.force_login(make_user())
    assert str(child.uuid) not in client.get(path, headers={"HX-Request": "true"}).content.decode()
    for _ in range(SUB_AGENTS_SHOWN):
        seen = make_session(owner, parent=session, parent_tool_call_id="c1")
    seen.edit(by="test", visibility="PUBLIC")
    for reader in (client, Client()):
        shown = reader.get(path, headers={"HX-Request": "true"}).content.decode()
        assert shown.count('class="sub-agent"') == shown.count(str(seen.uuid)) == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's machine counts its steps")
def test_a_page_costs_what_it_shows_and_not_how_long_its_session_is(owner, reader):
    def steps_of(count: int) -> int:
        session = make_session(owner)
        rows = [Message(session=session, role="user", content="hello", created_at=timezone.now()) for _ in range(count)]
        Message.objects.bulk_create(rows)
        with counted_steps() as steps:
            get(reader, path(session))
        return steps.count

    steps_of(300)  # once for what is read but once
    assert steps_of(10_000) < 1.1 * steps_of(300)
