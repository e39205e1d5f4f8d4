"""Answering from a page: each button is one command, the first answer wins, and only who may change may speak."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from sessions import commands
from sessions.models import Command, Request, Session
from tests.factories import make_events, make_session, make_user
from tests.web.markup import parse

pytestmark = pytest.mark.django_db

START = {"type": "turn_start", "turn_id": "t"}
ASKS = {
    "approval": {
        "type": "approval_request",
        "id": "r1",
        "tool_name": "Bash",
        "detail": "rm -rf dist/",
        "preview": None,
    },
    "loop_decision": {"type": "loop_cap_reached", "cap": 50, "recent_tools": ["Edit", "Bash"]},
    "input": {"type": "ask_user_request", "id": "r1", "question": "Keep or replace?", "options": ["Keep", "Replace"]},
}


def ask(kind, owner):
    session = make_session(owner)
    make_events(session, START, ASKS[kind])
    return session, Request.objects.get(session=session)


def answer(client, session, request, htmx=False, **fields):
    headers = {"HX-Request": "true"} if htmx else {}
    return client.post(reverse("web:answer", args=[session.uuid, request.pk]), fields, headers=headers)


@pytest.fixture
def owner():
    return make_user("anna")


@pytest.fixture
def annas(client, owner):
    client.force_login(owner)
    return client


@pytest.mark.parametrize(
    ("kind", "fields", "body"),
    [
        ("approval", {"action": "approve"}, {"decision": {"decision": "approve"}}),
        ("approval", {"action": "reject", "words": ""}, {"decision": {"decision": "reject"}}),
        (
            "approval",
            {"action": "reject", "words": "only build/"},
            {"decision": {"decision": "reject_with_feedback", "feedback": "only build/"}},
        ),
        ("loop_decision", {"action": "continue50"}, {"action": "continue50"}),
        ("loop_decision", {"action": "continue200"}, {"action": "continue200"}),
        ("loop_decision", {"action": "stop"}, {"action": "stop"}),
        ("input", {"action": "reply", "choice": "Replace", "words": ""}, {"answer": "Replace"}),
        ("input", {"action": "reply", "words": "neither"}, {"answer": "neither"}),
        ("input", {"action": "reply", "words": ""}, {"answer": ""}),
    ],
)
def test_each_button_gives_the_agent_one_command(annas, owner, kind, fields, body):
    session, request = ask(kind, owner)
    response = answer(annas, session, request, **fields)
    assert response.status_code == 302
    [command] = Command.objects.filter(session=session)
    assert body.items() <= command.body.items()
    assert command.asked_by == owner
    request.refresh_from_db()
    assert request.answered_by == owner
    session.refresh_from_db()
    assert session.needs == ""


def test_a_page_that_stays_is_told_in_words_and_not_reloaded(annas, owner):
    session, request = ask("approval", owner)
    response = answer(annas, session, request, htmx=True, action="approve")
    assert response.status_code == 204
    assert json.loads(response["HX-Trigger"]) == {"koda:tell": {"words": "Approved."}}


def test_a_prompt_that_is_refused_is_not_said_to_be_sent(annas, owner):
    session, _ = ask("input", owner)

    def tell(prompt):
        given = {"action": "prompt", "prompt": prompt}
        response = annas.post(f"/sessions/{session.uuid}/tell/", given, headers={"HX-Request": "true"})
        return json.loads(response["HX-Trigger"])

    assert "koda:sent" in tell("Go on")
    assert tell("x" * 100_001) == {"koda:tell": {"words": "A prompt has at most 100,000 characters."}}
    assert tell(" ") == {"koda:tell": {"words": "A prompt needs words."}}
    assert tell("a\0b") == {"koda:tell": {"words": "Null characters are not allowed."}}


def test_who_clicks_second_is_told_and_changes_nothing(annas, owner):
    session, request = ask("approval", owner)
    answer(annas, session, request, action="approve")
    response = answer(annas, session, request, htmx=True, action="reject")
    assert "answered already" in json.loads(response["HX-Trigger"])["koda:tell"]["words"]
    assert Command.objects.filter(session=session).count() == 1


@pytest.mark.parametrize("action", ["stop", "reply", "", "approve_all"])
def test_an_answer_of_another_kind_is_no_answer(annas, owner, action):
    session, request = ask("approval", owner)
    answer(annas, session, request, action=action)
    assert not Command.objects.exists()
    request.refresh_from_db()
    assert request.is_open


def test_a_request_of_another_session_is_not_found(annas, owner):
    _, request = ask("approval", owner)
    assert answer(annas, make_session(owner), request, action="approve").status_code == 404


def test_only_who_may_change_the_session_may_answer(client, owner):
    session, request = ask("approval", owner)
    stranger, staff = make_user(), make_user(is_staff=True)
    assert answer(client, session, request, action="approve").status_code == 302  # to the sign-in page
    client.force_login(stranger)
    assert answer(client, session, request, action="approve").status_code == 404
    session.edit(by="test", visibility="PUBLIC")
    assert answer(client, session, request, action="approve").status_code == 403
    assert not Command.objects.exists()
    client.force_login(staff)
    answer(client, session, request, action="approve")
    assert Command.objects.get().asked_by == staff


def test_an_answer_without_a_token_against_forgery_is_refused(owner):
    session, request = ask("approval", owner)
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert answer(client, session, request, action="approve").status_code == 403
    assert not Command.objects.exists()


def tell(client, session, **fields):
    return client.post(reverse("web:tell", args=[session.uuid]), fields)


def test_a_stop_and_a_prompt_are_commands(annas, owner):
    session = make_session(owner)
    make_events(session, START)
    tell(annas, session, action="interrupt")
    tell(annas, session, action="prompt", prompt="Then the changelog")
    bodies = [command.body for command in Command.objects.order_by("id")]
    assert bodies == [{"type": "interrupt"}, {"type": "user_prompt", "text": "Then the changelog", "images": []}]


@pytest.mark.parametrize("fields", [{"action": "prompt", "prompt": ""}, {"action": "dance"}, {}])
def test_nothing_is_sent_for_nothing(annas, owner, fields):
    tell(annas, make_session(owner), **fields)
    assert not Command.objects.exists()


def test_a_form_returns_to_the_page_it_came_from_and_never_to_another_host(annas, owner):
    session, request = ask("approval", owner)
    assert answer(annas, session, request, action="approve", next="/?state=needs")["Location"] == "/?state=needs"
    session, request = ask("approval", owner)
    target = answer(annas, session, request, action="approve", next="https://elsewhere.example/")["Location"]
    assert target == reverse("web:session", args=[session.uuid])


@pytest.mark.parametrize("kind", ASKS)
def test_wall_and_session_show_the_buttons_to_who_may_answer_only(annas, owner, client, kind):
    session, request = ask(kind, owner)
    url = reverse("web:answer", args=[session.uuid, request.pk])
    page = reverse("web:session", args=[session.uuid])
    assert url in annas.get(page).content.decode()
    assert (url in annas.get("/").content.decode()) or kind == "input"
    session.edit(by="test", visibility="PUBLIC")
    client.force_login(make_user())
    for path in ("/", page):
        shown = client.get(path).content.decode()
        assert url not in shown
        assert str(session.uuid) in shown


def test_the_page_says_how_far_each_command_has_got(annas, owner):
    session, request = ask("approval", owner)
    page = reverse("web:session", args=[session.uuid])
    answer(annas, session, request, action="approve")
    assert "requested" in annas.get(page).content.decode()
    [command] = commands.take(session.pk)
    assert "delivered" in annas.get(page).content.decode()
    commands.acknowledge(command.pk, is_obeyed=False, detail="the file has gone")
    shown = annas.get(page).content.decode()
    assert "refused" in shown
    assert "the file has gone" in shown
    assert Session.objects.get(pk=session.pk).needs == ""


def test_who_takes_no_commands_is_offered_none_and_gets_the_field_when_that_changes(annas, owner):
    session, imported = make_session(owner), make_session(owner, is_imported=True)

    def shown(one):
        return parse(annas.get(reverse("web:session", args=[one.uuid])).content)

    assert not shown(imported).all("form", "composer")
    page = shown(session)
    assert page.one("form", "composer")  # hidden, while nothing on the page says `data-told`
    assert "data-told" not in page.by_id("acts").attrs
    make_events(session, {"type": "turn_start", "turn_id": "t"})
    assert "data-told" in shown(session).by_id("acts").attrs
