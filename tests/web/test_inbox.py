"""The inbox: what waits, who may answer, what was answered, and what it costs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions import commands
from sessions.models import Command, Request, Session
from tests.factories import make_events, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse

DASH = "\N{EN DASH}"
START = {"type": "turn_start", "turn_id": "t"}
END = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "complete"}}


def approval(detail="rm -rf dist/", request_id="q", **facts):
    return {"type": "approval_request", "id": request_id, "tool_name": "Bash", "detail": detail, **facts}


def make_request(owner, *, title="Waiting", event=None, **facts):
    session = make_session(owner, title=title, **facts.pop("session", {}))
    make_events(session, START, event or approval(), **facts)
    return Request.objects.get(session=session)


def inbox(client, query=""):
    response = client.get(f"/inbox/{query}")
    assert response.status_code == 200
    return parse(response.content)


def cards(page):
    return page.by_id("asks").all("section", "ask")


def answer(reader, asked, **fields):
    return reader.post(f"/sessions/{asked.session.uuid}/requests/{asked.pk}/", fields)


def test_whoever_is_not_signed_in_is_sent_to_sign_in(client, db):
    assert client.get("/inbox/").headers["Location"] == "/sign-in/?next=/inbox/"


def test_every_open_request_stands_there_the_longest_wait_first(owner, reader):
    now = timezone.now()
    for minutes in (5, 50, 20):
        make_request(owner, title=f"{minutes} minutes", now=now - timedelta(minutes=minutes))
    shown = [card.one("p", "whose").one("a").text for card in cards(inbox(reader))]
    assert shown == ["50 minutes", "20 minutes", "5 minutes"]


LONG = "Which of these?\n" + "x" * 300 + "\nand the end"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ask_user_request", "id": "q", "question": LONG, "options": []},
        approval(LONG),
        approval(LONG, tool_name="Edit", preview={"kind": "Edit", "replacements": [{"old": "a", "new": "b"}]}),
        approval(LONG, tool_name="Write", preview={"kind": "WriteNew", "first_lines": [{"text": "a"}, 7]}),
        {"type": "loop_cap_reached", "cap": 50, "recent_tools": []},
        {"type": "loop_cap_reached", "cap": 50, "recent_tools": True},
    ],
    ids=["input", "approval", "with a diff", "with lines of another form", "loop", "loop without a list"],
)
def test_what_is_longer_than_a_line_can_be_read_wherever_it_is_answered(owner, reader, event):
    asked = make_request(owner, event=event)
    Request.objects.filter(pk=asked.pk).update(detail=LONG)  # a loop's words are ours
    place = f"/sessions/{asked.session.uuid}/"
    on_session = parse(reader.get(place).content).by_id(f"ask-{asked.pk}")
    for card in (cards(inbox(reader))[0], on_session):
        assert "".join(map(str, card.one("pre").children)) == LONG
    answers = parse(reader.get("/").content).by_id("needs").one("form", "answers")
    assert answers.all("a")[0].attrs["href"] == f"{place}#ask-{asked.pk}"


def test_what_a_line_says_whole_is_said_once(owner, reader):
    make_request(owner, event={"type": "ask_user_request", "id": "q", "question": "Which?", "options": []})
    assert not cards(inbox(reader))[0].all("pre")


def test_a_session_with_two_requests_shows_both(owner, reader):
    session = make_session(owner)
    make_events(session, START, approval(request_id="a"), approval(request_id="b"))
    assert len(cards(inbox(reader))) == 2


def test_a_card_says_what_who_how_long_and_the_change(owner, reader):
    diff = {"kind": "Edit", "file_path": "a.py", "old_string": "one", "new_string": "two"}
    event = approval("a.py", tool_name="Edit", preview=diff)
    asked = make_request(owner, event=event, now=timezone.now() - timedelta(minutes=2))
    card = inbox(reader).by_id(f"ask-{asked.pk}")
    assert "May I edit a.py" in card.one("header").text
    assert "waiting 2" in card.one("header").one("span", "n").text
    assert card.one("p", "whose").text == "Waiting koda · laptop"
    assert card.all("table", "diff") or card.all("pre")


@pytest.mark.parametrize(
    ("event", "buttons"),
    [
        (approval(), ["Approve", "Deny", "Deny with this"]),
        ({"type": "loop_cap_reached", "cap": 50, "recent_tools": []}, ["Go on for 50", "Go on for 200", "Stop"]),
        ({"type": "ask_user_request", "id": "q", "question": "Which?", "options": ["A"]}, ["A", "Answer"]),
    ],
)
def test_each_kind_has_its_answers(owner, reader, event, buttons):
    make_request(owner, event=event)
    (card,) = cards(inbox(reader))
    assert [button.text for button in card.all("button") if "aria-hidden" not in button.attrs] == buttons


def test_an_answer_goes_back_to_the_inbox_and_into_its_history(owner, reader):
    asked = make_request(owner)
    form = inbox(reader).by_id(f"ask-{asked.pk}").one("form")
    assert form.one("input", name="next").attrs["value"] == "/inbox/"
    gone = answer(reader, asked, action="reject", words="not dist", next="/inbox/")
    assert gone.headers["Location"] == "/inbox/"
    page = inbox(reader)
    assert cards(page) == []
    row = page.by_id("answered").one("tbody").one("tr")
    assert [cell.text for cell in row.all("td")][2:5] == ["Denied: “not dist”", "anna", "requested"]
    command = Command.objects.get()
    commands.take(command.session_id)
    commands.acknowledge(command.pk, is_obeyed=True)
    assert inbox(reader).by_id("answered").one("tbody").all("td")[4].text == "obeyed"


def test_what_expired_is_in_the_history_and_nobody_is_said_to_have_refused(owner, reader):
    asked = make_request(owner)
    make_events(asked.session, END)
    cells = [cell.text for cell in inbox(reader).by_id("answered").one("tbody").all("td")]
    assert cells[2:5] == ["Expired", DASH, DASH]


def test_requests_of_others_do_not_show_and_of_public_sessions_without_answers(owner, reader):
    make_request(make_user())
    shown = make_request(make_user("ben"), session={"visibility": "PUBLIC"})
    (card,) = cards(inbox(reader))
    assert card.attrs["id"] == f"ask-{shown.pk}"
    assert not card.all("form")
    assert "ben or staff may answer" in card.text
    assert parse(reader.get("/inbox/count/").content).by_id("inbox-count").attrs["data-count"] == "0"


def test_staff_sees_and_answers_all(db):
    asked = make_request(make_user())
    (card,) = cards(inbox(signed_in(make_user(is_staff=True))))
    assert card.attrs["id"] == f"ask-{asked.pk}"
    assert card.all("form")


def test_a_deleted_session_asks_nothing(owner, reader):
    asked = make_request(owner)
    asked.session.remove(by="user:1")
    assert cards(inbox(reader)) == []


def test_the_menu_counts_what_waits(owner, reader):
    make_request(owner)
    count = parse(reader.get("/search/").content).by_id("inbox-count")
    assert (count.attrs["data-count"], count.attrs["data-state"]) == ("1", "needs")
    assert signed_in(None).get("/inbox/count/").status_code == 204


def test_an_inbox_without_answers_says_nothing_that_an_answer_makes_untrue(owner, reader):
    """A card that is answered while the page is open stays where it stands; the words below it do, too."""
    make_request(owner)
    words = inbox(reader).by_id("answered").one("p").text
    assert "yet" not in words
    assert "stays above until it is opened again" in words


def test_ticked_approvals_are_answered_together(owner, reader):
    first, second, third = (make_request(owner, title=title) for title in "abc")
    response = reader.post("/inbox/", {"action": "approve", "ask": [first.pk, second.pk]}, follow=True)
    assert "Approved 2." in response.content.decode()
    for asked in (first, second, third):
        asked.refresh_from_db()
    assert [asked.status for asked in (first, second, third)] == ["answered", "answered", "open"]
    assert first.answered_by == owner
    response = reader.post("/inbox/", {"action": "reject", "ask": [second.pk, third.pk]}, follow=True)
    assert "Denied 1. 1 had an answer already." in response.content.decode()


def test_only_own_approvals_are_answered_together(owner, reader):
    others = make_request(make_user(), session={"visibility": "PUBLIC"})
    cap = make_request(owner, event={"type": "loop_cap_reached", "cap": 50, "recent_tools": []})
    reader.post("/inbox/", {"action": "approve", "ask": [others.pk, cap.pk, "9" * 30, "x"]})
    assert not Command.objects.exists()
    assert Request.objects.open().count() == 2
    assert "Tick the requests first" in reader.post("/inbox/", {"action": "approve"}, follow=True).content.decode()


def test_history_leafs_both_ways(owner, reader, monkeypatch):
    monkeypatch.setattr("sessions.web.views.inbox.PAST", 2)
    for title in "abcde":
        answer(reader, make_request(owner, title=title), action="approve")

    def titles(page):
        return [row.all("a")[0].text for row in page.by_id("answered").one("tbody").all("tr")]

    page = inbox(reader)
    assert titles(page) == ["e", "d"]
    page = inbox(reader, page.one("a", rel="next").attrs["href"])
    assert titles(page) == ["c", "b"]
    assert titles(inbox(reader, page.one("a", rel="prev").attrs["href"])) == ["e", "d"]


def test_its_queries_do_not_grow_with_what_waits(owner, reader):
    def fill(count):
        for _ in range(count):
            make_request(owner)
            answer(reader, make_request(owner), action="approve")

    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            inbox(reader)
        return len(queries)

    fill(1)
    few = count_queries()
    fill(8)
    assert count_queries() == few
    assert few <= 9, "session, user, open, settled, commands of both, the count"


def test_the_lists_are_read_from_their_indexes(owner):
    rows = Request.objects.of(Session.objects.visible_to(make_user(is_staff=True)).active())
    if connection.vendor == "sqlite":
        assert "request_inbox" in rows.open().explain()
        assert "request_history" in rows.settled().order_by("-closed_at", "-id").explain()
