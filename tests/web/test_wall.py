"""The wall: who sees which rows in which band, what a row says, and what it costs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import liveness, transcripts
from sessions.models import Lease, Session, TokenCounts
from sessions.models.prepared import MOST_COUNTED
from tests.factories import make_events, make_message, make_session, make_user, multiply
from tests.web.conftest import signed_in
from tests.web.markup import parse


def approval(detail="rm -rf dist/", **facts):
    return {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": detail, **facts}


def start(turn_id="t"):
    return {"type": "turn_start", "turn_id": turn_id}


def wall(client, query="", **headers):
    response = client.get(f"/{query}", headers=headers)
    assert response.status_code == 200
    return parse(response.content)


def row(page, session):
    return page.by_id(f"session-{session.pk}")


def band_of(element):
    while element.tag != "section":
        element = element.parent
    return element.attrs["data-band"]


def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back(client, db):
    response = client.get("/?q=x")
    assert response.status_code == 302
    assert response.headers["Location"] == "/sign-in/?next=/%3Fq%3Dx"


def test_each_session_stands_in_its_band(owner, reader):
    needs, adrift, running, recent = (make_session(owner, title=title) for title in "abcd")
    long_ago = timezone.now() - timedelta(hours=1)
    make_events(needs, start(), approval())
    make_events(adrift, start(), now=long_ago)
    liveness.watch()
    make_events(running, start())
    page = wall(reader)
    bands = {session.title: band_of(row(page, session)) for session in (needs, adrift, running, recent)}
    assert bands == {"a": "needs", "b": "adrift", "c": "running", "d": "recent"}
    assert [section.attrs["data-band"] for section in page.all("section", "band")] == [
        "needs",
        "adrift",
        "running",
        "recent",
    ]


def test_a_heading_counts_its_rows(owner, reader):
    for _ in range(3):
        make_session(owner)
    assert wall(reader).by_id("recent-head").text == "Recent 3"


def test_who_waits_longest_stands_first(owner, reader):
    now = timezone.now()
    for minutes in (5, 50, 20):
        session = make_session(owner, title=f"{minutes} minutes")
        make_events(session, start(), approval(), now=now - timedelta(minutes=minutes))
    titles = [link.text for link in wall(reader).by_id("needs").all("a", "title")]
    assert titles == ["50 minutes", "20 minutes", "5 minutes"]


def test_ranks_grow_down_each_band(owner, reader):
    now = timezone.now()
    for minutes in (5, 50, 20):
        make_message(make_session(owner), created_at=now - timedelta(minutes=minutes))
        make_events(make_session(owner), start(), now=now - timedelta(seconds=minutes))
    page = wall(reader)
    for band in ("running", "recent"):
        ranks = [int(item.attrs["data-rank"]) for item in page.by_id(band).all("li", "session")]
        assert len(ranks) == 3
        assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (approval("cargo publish"), "May I run cargo publish"),
        (approval("a.py", tool_name="Edit"), "May I edit a.py"),
        (approval("x", tool_name="Deploy"), "May I use Deploy x"),
        (
            {"type": "loop_cap_reached", "cap": 50, "recent_tools": ["Edit", "Bash"]},
            "Reached 50 rounds; last were Edit, Bash",
        ),
        ({"type": "loop_cap_reached", "cap": 50, "recent_tools": 7}, "Reached 50 rounds"),
        (
            {"type": "ask_user_request", "id": "q", "question": "Keep the gateway?", "options": []},
            "Keep the gateway?",
        ),
    ],
)
def test_a_request_is_asked_in_words(owner, reader, event, words):
    session = make_session(owner)
    make_events(session, start(), event)
    assert row(wall(reader), session).one("span", "now").text == words


def test_an_edit_says_how_much_it_changes(owner, reader):
    session = make_session(owner)
    replacement = {"start_line": 3, "old_lines": ["a", "b"], "new_lines": ["a", "c", "d"]}
    make_events(session, start(), approval("a.py", tool_name="Edit", preview={"replacements": [replacement]}))
    assert row(wall(reader), session).one("span", "now").text == "May I edit a.py +2 \N{MINUS SIGN}1"


def test_a_running_row_says_what_is_open_and_ticks(owner, reader):
    session = make_session(owner)
    since = timezone.now() - timedelta(seconds=42)
    call = {"type": "tool_call_start", "id": "c", "name": "Bash", "args": {"command": "cargo test"}}
    make_events(session, start(), call, now=since)
    now = row(wall(reader), session).one("span", "now")
    assert now.text.replace("\u202f", " ").startswith("Bash cargo test, 4")
    assert now.one("code").text == "cargo test"
    assert now.one("time").attrs == {
        "datetime": since.isoformat(),
        "data-tick": "age",
        "title": now.one("time").attrs["title"],
    }


def test_a_resting_row_quotes_the_last_answer_on_one_line(owner, reader):
    session = make_session(owner)
    make_message(session, role="assistant", content="## Done\n\nthe list opens in **9 ms**")
    make_message(session, role="user", content="thanks")
    assert row(wall(reader), session).one("span", "now").text == "“Done the list opens in 9 ms”"


def test_a_failed_row_says_why(owner, reader):
    session = make_session(owner)
    reason = {"kind": "error", "message": "Provider answered 529 five times"}
    make_events(session, start(), {"type": "turn_end", "turn_id": "t", "reason": reason})
    shown = row(wall(reader), session)
    assert shown.attrs["data-state"] == "failed"
    assert shown.one("span", "now").text == "Provider answered 529 five times"


def test_unknown_figures_are_a_dash_and_known_ones_stand_there(owner, reader):
    bare, told = make_session(owner), make_session(owner)
    usage = TokenCounts(prompt_tokens=120_000, completion_tokens=22_400)
    transcripts.append(told.pk, [transcripts.MessageDraft(role="assistant", content="x", usage=usage)])
    make_events(told, {"type": "context_usage", "used": 82_000, "max": 200_000})
    page = wall(reader)
    assert [row(page, bare).one("span", name).text for name in ("context", "tokens")] == ["\N{EN DASH}"] * 2
    assert [row(page, told).one("span", name).text for name in ("context", "tokens")] == ["41 %", "142 k"]


def test_a_zero_that_was_reported_is_a_zero(owner, reader):
    session = make_session(owner)
    make_events(session, {"type": "context_usage", "used": 0, "max": 200_000})
    assert row(wall(reader), session).one("span", "context").text == "0 %"


def test_the_sparkline_counts_the_last_twelve_minutes(owner, reader):
    session = make_session(owner)
    make_events(session, start(), {"type": "info", "message": "x"})
    assert row(wall(reader), session).one("svg", "spark").attrs["aria-label"] == "2 events in 12 minutes"


def test_others_private_sessions_are_not_there_but_public_ones_are(owner, reader):
    other = make_user()
    private, public = make_session(other), make_session(other, visibility="PUBLIC")
    page = wall(reader)
    assert not page.all(id=f"session-{private.pk}")
    assert row(page, public)


def test_deleted_sessions_are_not_there(owner, reader):
    session = make_session(owner)
    session.remove(by="test")
    assert not wall(reader).all("li", "session")


def test_counters_count_all_and_link_to_what_they_count(owner, reader):
    make_events(make_session(owner), start(), approval())
    make_events(make_session(owner), start())
    make_session(owner)
    counters = wall(reader, "?q=nothing-like-this").by_id("counters")
    assert [link.text for link in counters.all("a")] == ["1 needs you", "0 stuck or lost", "1 running", "3 today"]
    for link in counters.all("a")[:3]:
        assert wall(reader, link.attrs["href"].removeprefix("/")).all("section", "band")
    assert (counters.attrs["data-needs"], counters.attrs["data-running"]) == ("1", "1")


def test_the_counter_of_today_leads_to_the_list_of_just_these(owner, reader):
    make_events(make_session(owner, title="runs"), start())
    make_session(owner, title="rests")
    make_session(owner, title="of yesterday", created_at=timezone.now() - timedelta(days=1))
    today = wall(reader).by_id("counters").all("a")[3]
    listed = parse(reader.get(today.attrs["href"]).content)
    assert today.text == "2 today"
    assert {link.text for row in listed.all("li", "session") for link in row.all("a")} == {"rests", "runs"}


def test_today_begins_with_the_first_of_two_midnights(owner, reader, settings, time_machine):
    settings.TIME_ZONE = "Atlantic/Azores"  # where the clocks went back from one to midnight
    time_machine.move_to("2026-10-25T01:30:00Z", tick=False)
    make_session(owner, title="of the first half past", created_at=timezone.now() - timedelta(hours=1))
    make_session(owner, title="of yesterday", created_at=timezone.now() - timedelta(hours=2))
    today = wall(reader).by_id("counters").all("a")[3]
    listed = parse(reader.get(today.attrs["href"]).content)
    assert today.text == "1 today"
    assert [link.text for row in listed.all("li", "session") for link in row.all("a")] == ["of the first half past"]


def test_the_title_says_how_many_need_someone(owner, reader):
    assert wall(reader).one("title").text == "Koda Web"
    make_events(make_session(owner), start(), approval())
    assert wall(reader).one("title").text == "1 needs you · Koda Web"


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("?q=alpha", {"Alpha"}),
        ("?agent=stakpak", {"Beta"}),
        ("?project=/srv/shop", {"Beta"}),
        ("?source=laptop&q=a", {"Alpha"}),
        ("?state=running", {"Alpha"}),
        ("?state=resting", {"Beta"}),
        ("?state=nonsense", set()),
        ("?agent=koda&state=resting", set()),
        ("?q=%00", {"Alpha", "Beta"}),
    ],
)
def test_the_filter_narrows_the_rows(owner, reader, query, titles):
    alpha = make_session(owner, title="Alpha", agent_name="koda", project_root="/srv/koda")
    make_session(owner, title="Beta", agent_name="stakpak", project_root="/srv/shop", source="ops-2")
    make_events(alpha, start())
    page = wall(reader, query)
    assert {link.text for link in page.all("a", "title")} == titles


def test_the_filter_stays_in_the_bar_and_in_the_sockets_address(owner, reader):
    make_session(owner, agent_name="koda", project_root="/srv/koda web")
    page = wall(reader, "?q=a+b&agent=koda&state=needs&project=/srv/koda+web")
    assert page.by_id("q").attrs["value"] == "a b"
    chosen = {
        option.attrs["value"] for option in page.all("option") if "selected" in option.attrs and option.attrs["value"]
    }
    assert {"koda", "needs", "/srv/koda web"} <= chosen
    socket = page.by_id("wall").attrs["ws-connect"]
    assert socket.startswith("/ws/board/?since=")
    assert socket.endswith("&q=a+b&agent=koda&project=%2Fsrv%2Fkoda+web&state=needs")


def test_the_socket_begins_when_the_page_was_made(owner, reader):
    before = timezone.now()
    since = int(wall(reader).by_id("wall").attrs["ws-connect"].split("since=")[1])
    assert before.timestamp() * 1e6 <= since + 1 <= timezone.now().timestamp() * 1e6 + 1


def test_htmx_gets_the_bands_alone(owner, reader):
    page = wall(reader, "?q=x", HX_Request="true")
    assert page.elements[0].attrs["id"] == "wall"
    assert not page.all("html")
    boosted = wall(reader, "?q=x", HX_Request="true", HX_Boosted="true")
    assert boosted.all("html")


def test_caches_are_told_that_htmx_gets_something_else(reader):
    assert "HX-Request" in reader.get("/").headers["Vary"]


def test_an_empty_wall_says_why_and_what_to_do(reader):
    first = wall(reader).one("div", "first")
    assert "Make a key" in first.text
    assert reader.get(first.one("a").attrs["href"]).status_code == 200


def test_a_band_without_rows_says_so(owner, reader):
    make_events(make_session(owner), {"type": "turn_start", "turn_id": "t"})
    words = [part.text for part in wall(reader).all("p", "none")]
    assert words == ["Nobody waits for you.", "Nothing is stuck or lost.", "Nothing runs now.", "Nothing rests."]


def test_a_filter_that_finds_nothing_can_be_cleared(owner, reader):
    make_session(owner)
    unmatched = wall(reader, "?q=drift").one("div", "unmatched")
    assert "drift" in unmatched.text
    assert unmatched.one("a").attrs["href"] == "/"


def test_recent_holds_fifty_and_counts_the_rest(owner, reader):
    for _ in range(53):
        make_session(owner)
    recent = wall(reader).by_id("recent")
    assert len(recent.all("li", "session")) == 50
    assert recent.by_id("recent-head").text == "Recent 53"
    assert recent.one("p", "left-out").text.startswith("3 more")


def test_what_a_band_leaves_out_stands_in_the_list_within_the_filter(owner, reader):
    for agent in ("koda", "zeroclaw"):
        multiply(make_session(owner, agent_name=agent, needs="input", needs_since=timezone.now()), 101)
    needs = wall(reader, "?agent=koda").by_id("needs")
    left_out = needs.one("p", "left-out")
    assert left_out.text.startswith("2 more")
    listed = parse(reader.get(left_out.one("a").attrs["href"]).content)
    assert listed.by_id("list-head").text == "Matching 102"


def test_what_is_too_many_to_be_counted_is_many(owner, reader):
    multiply(make_session(owner), MOST_COUNTED)
    waiting = make_session(owner, needs="input", needs_since=timezone.now())
    page = wall(reader)
    assert page.by_id("recent-head").text == "Recent"
    assert page.by_id("recent").one("p", "left-out").text.startswith("Many more")
    assert page.by_id("counters").text.endswith("10,000+ today")
    assert page.by_id("needs-head").text == "Needs you 1"
    assert not page.by_id("needs").all("p", "left-out")
    multiply(waiting, MOST_COUNTED)
    page = wall(reader)
    assert page.by_id("needs-head").text == "Needs you 10,000+"
    assert page.by_id("needs").one("p", "left-out").text.startswith("Many more")
    assert page.one("title").text.startswith("10,000+ need you")
    listed = parse(reader.get("/sessions/").content)
    assert listed.by_id("list-head").text == "All 10,000+"


def test_its_queries_do_not_grow_with_the_sessions(owner, reader):
    def fill(count):
        for _ in range(count):
            make_events(make_session(owner), start(), approval())
            make_events(make_session(owner), start())
            make_message(make_session(owner), role="assistant", content="done")

    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            wall(reader)
        return len(queries)

    fill(1)
    few = count_queries()
    fill(8)
    assert count_queries() == few
    assert few <= 13, "session, user, 4 bands, requests, counts, facets, watch, preference, incidents, inbox"
    assert Session.objects.count() == 27


def test_staff_see_everything_and_the_way_to_the_admin(owner):
    session = make_session(owner)
    page = wall(signed_in(make_user(is_staff=True)))
    assert row(page, session)
    assert "Admin" in [link.text for link in page.one("details", "me").all("a")]


def test_the_wall_says_when_the_watchdog_last_looked_and_that_it_is_late(owner, reader, time_machine):
    now = timezone.now()
    time_machine.move_to(now, tick=False)
    shown = wall(reader)
    assert shown.by_id("watched").text == "not watched yet"
    assert "Nobody looks for silent sessions" in shown.by_id("late").text
    Lease.objects.take(liveness.WATCHDOG, owner="me", seconds=30)
    Lease.objects.touch(liveness.WATCHDOG)
    time_machine.move_to(now + timedelta(seconds=5), tick=False)
    shown = wall(reader)
    assert shown.by_id("watched").text == "watched 5 s ago"
    assert shown.by_id("late").text == ""
    time_machine.move_to(now + timedelta(seconds=61), tick=False)
    assert "may have stopped" in wall(reader).by_id("late").text
