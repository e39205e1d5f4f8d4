"""Rules that hold for every page: the policy, unique ids, links behind every request, forms with their token."""

import json

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from sessions import transcripts
from sessions.models import Event, Message, Request, Session, overview
from sessions.models.message import with_calls
from sessions.models.rows import with_requests, worded
from sessions.web.tabs import TABS
from tests.factories import make_events, make_message, make_session, make_user
from tests.web.conftest import signed_in
from tests.web.markup import parse


@pytest.fixture
def busy(owner) -> Session:
    """A session with one of everything that a page can show."""
    session = make_session(owner, title="Busy", project_root="/srv/shop")
    call = {"id": "1", "name": "Edit", "arguments": {"file_path": "a", "old_string": "a", "new_string": "b"}}
    make_message(session, content="please")
    make_message(session, role="assistant", content="**yes**", thinking="hm", tool_calls=[call])
    make_message(session, role="tool", tool_call_id="1", content="done")
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "2", "name": "Bash", "args": {"command": "ls"}, "turn_id": "t"},
        {"type": "text_delta", "text": "so", "turn_id": "t"},
        {"type": "approval_request", "id": "q", "tool_name": "Bash", "detail": "ls", "turn_id": "t"},
    )
    return with_requests(worded(Session.objects.filter(pk=session.pk)))[0]


def urls_of(session):
    base = f"/sessions/{session.uuid}/"
    tool = session.tool_calls.order_by("pk").first()
    return [
        "/",
        "/?q=Busy",
        "/inbox/",
        "/sessions/",
        "/connect/",
        "/account/",
        "/account/password/",
        base,
        *(f"{base}?tab={tab}" for tab in TABS),
        f"{base}delete/",
        f"{base}tools/{tool.pk}/",
        f"{base}events/2/",
    ]


def pages_of(reader, session):
    for url in urls_of(session):
        response = reader.get(url)
        assert response.status_code == 200, url
        yield url, parse(response.content)
    yield "/sign-in/", parse(signed_in(None).get("/sign-in/").content)
    yield "404", parse(reader.get("/nope/").content)


def test_no_page_holds_anything_that_the_policy_forbids(reader, busy):
    for url, page in pages_of(reader, busy):
        for element in page.all():
            assert "style" not in element.attrs, url
            assert not [name for name in element.attrs if name.startswith(("on", "hx-on"))], url
            assert element.tag != "style", url
            if element.tag == "script":
                assert element.attrs["src"].startswith("/static/"), url
                assert not element.text
            for name in ("src", "href", "action", "hx-get", "ws-connect"):
                target = element.attrs.get(name, "/")
                assert target.startswith(("/", "?", "#")), (url, target)
                assert not target.startswith("//"), (url, target)


def test_the_policy_is_sent_with_every_page(reader, busy):
    for url in urls_of(busy):
        policy = reader.get(url).headers["Content-Security-Policy"]
        assert "script-src 'self';" in f"{policy};"
        assert "unsafe" not in policy


def test_htmx_is_told_to_evaluate_nothing(reader, busy):
    for url, page in pages_of(reader, busy):
        told = json.loads(page.one("meta", name="htmx-config").attrs["content"])
        assert (told["allowEval"], told["allowScriptTags"], told["selfRequestsOnly"]) == (False, False, True), url
        assert (told["includeIndicatorStyles"], told["historyCacheSize"]) == (False, 0), url


def test_ids_are_unique(reader, busy):
    for url, page in pages_of(reader, busy):
        ids = [element.attrs["id"] for element in page.all() if "id" in element.attrs]
        assert len(ids) == len(set(ids)), (url, [name for name in ids if ids.count(name) > 1])


def test_every_icon_exists(reader, busy):
    for url, page in pages_of(reader, busy):
        symbols = {f"#{symbol.attrs['id']}" for symbol in page.all("symbol")}
        assert {use.attrs["href"] for use in page.all("use")} <= symbols, url


def test_whatever_is_fetched_has_a_link_or_a_form_for_those_without_script(reader, busy):
    for url, page in pages_of(reader, busy):
        for element in page.all():
            if "hx-get" not in element.attrs:
                continue
            links = {link.attrs["href"] for link in [element, *element.all("a")] if "href" in link.attrs}
            has_form = element.tag == "form" and element.attrs["action"] == element.attrs["hx-get"]
            is_itself = element.attrs["hx-get"] == url  # a part of this page, asked for again
            assert has_form or links or is_itself, (url, element.attrs)


def test_every_post_carries_its_token(reader, busy):
    for url, page in pages_of(reader, busy):
        for form in page.all("form", method="post"):
            assert form.all("input", name="csrfmiddlewaretoken"), (url, form.attrs)
        assert "x-csrftoken" in json.loads(page.one("body").attrs["hx-headers"])


def test_every_control_has_a_name_for_who_cannot_see_it(reader, busy):
    for url, page in pages_of(reader, busy):
        for control in [*page.all("input"), *page.all("select")]:
            if control.attrs.get("type") == "hidden":
                continue
            is_in_label = control.parent.tag == "label" or control.parent.parent.tag == "label"
            assert "aria-label" in control.attrs or is_in_label, (url, control.attrs)
        for picture in page.all("svg"):
            assert {"aria-hidden", "aria-label", "hidden"} & set(picture.attrs), (url, picture.attrs)
        for control in [*page.all("button"), *page.all("a"), *page.all("summary")]:
            assert control.text or control.attrs.get("aria-label"), (url, control.attrs)


def test_every_page_has_one_heading_of_the_first_rank_and_a_way_past_the_menu(reader, busy):
    for url, page in pages_of(reader, busy):
        assert len(page.all("h1")) == 1, url
        assert page.one("a", "skip").attrs["href"] == "#main"
        assert page.by_id("main").tag == "main"


FRAGMENTS = ["row", "counters", "inbox_count", "ask", "message", "tool", "now", "verdict", "event"]


@pytest.mark.parametrize("name", FRAGMENTS)
@pytest.mark.parametrize("oob", ["", "morph", "delete"])
def test_a_fragment_is_one_element_with_its_id_and_asks_no_database(busy, django_assert_num_queries, name, oob):
    message = with_calls(Message.objects.of(busy.pk).for_transcript())[1]
    objects = {
        "session": busy,
        "message": message,
        "call": message.calls_made[0],
        "event": Event.objects.get(session=busy, seq=2),
        "present": transcripts.present(busy),
        "counts": overview.band_counts(busy.owner, now=timezone.now()),
        "request": Request.objects.for_inbox().get(session=busy),
        "asked_count": 1,
        "is_listed": True,
    }
    ids = {
        "row": f"session-{busy.pk}",
        "counters": "counters",
        "inbox_count": "inbox-count",
        "ask": f"ask-{objects['request'].pk}",
        "message": f"message-{message.pk}",
        "tool": f"tool-{objects['call'].pk}",
        "now": "now",
        "verdict": "verdict",
        "event": "event-2",
    }
    context = {**objects, "now": timezone.now(), "oob": oob, "can_change": True}
    with django_assert_num_queries(0):
        html = render_to_string(f"sessions/_{name}.html", context)
    root = parse(html)
    assert [element.attrs["id"] for element in root.elements] == [ids[name]]
    assert root.elements[0].attrs.get("hx-swap-oob", "") == oob
    assert not [element for element in root.elements[0].all() if "hx-swap-oob" in element.attrs]
    assert not "".join(child for child in root.children if isinstance(child, str)).strip()


def test_a_fragment_reads_the_same_in_the_page_and_alone(reader, busy):
    page = parse(reader.get(f"/sessions/{busy.uuid}/").content)
    alone = parse(render_to_string("sessions/_verdict.html", {"session": busy, "now": timezone.now()}))
    assert alone.by_id("verdict").one("strong").text == page.by_id("verdict").one("strong").text


def test_a_stranger_on_a_public_page_gets_no_form(owner):
    session = make_session(make_user(), visibility="PUBLIC")
    page = parse(signed_in(None).get(f"/sessions/{session.uuid}/").content)
    assert not page.all("form", method="post")
    assert page.one("header", "top").all("a", "button")[0].attrs["href"].startswith("/sign-in/?next=")
