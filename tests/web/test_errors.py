"""The pages for what went wrong."""

import pytest
from django.db import OperationalError, connection
from django.template import loader
from django.test import Client
from django.urls import path

from koda_web import urls
from tests.factories import make_session, make_user
from tests.web.markup import parse

UUID = "00000000-0000-4000-8000-000000000001"


def test_an_unknown_address_is_told_in_the_same_look(reader):
    response = reader.get("/no/such/page/")
    assert response.status_code == 404
    shown = parse(response.content)
    assert shown.one("h1").text == "Nothing here that you may see"
    assert shown.one("details", "me")


def test_an_unknown_address_is_told_to_strangers_too(db):
    response = Client().get("/no/such/page/")
    assert response.status_code == 404
    assert "Sign in" in response.content.decode()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/admin/", "The admin is for staff."),
        ("/styleguide/", "for staff."),
        ("", "You may read this session; only its owner and staff may change it."),
    ],
)
def test_whoever_may_not_is_told_what_is_for_others(reader, place, why):
    session = make_session(make_user("bea"), visibility="PUBLIC")
    response = reader.get(place or f"/sessions/{session.uuid}/delete/", follow=True)
    assert response.status_code == 403
    shown = parse(response.content)
    assert shown.one("h1").text == "Not allowed"
    assert shown.one("div", "empty").one("p").text.endswith(why)


def test_the_page_for_our_own_fault_needs_no_database_and_no_request():
    # No database fixture: a query here would fail this test.
    shown = parse(loader.get_template("500.html").render())
    assert shown.one("h1").text == "The server failed at this"
    assert not shown.all("script")


def _fail(_request):
    raise RuntimeError("on purpose")


urlpatterns = [path("failing/", _fail), *urls.urlpatterns]
handler500 = urls.handler500


def test_a_view_that_fails_shows_that_page(reader, settings):
    settings.ROOT_URLCONF = __name__
    reader.raise_request_exception = False
    response = reader.get("/failing/")
    assert response.status_code == 500
    assert "The server failed at this" in response.content.decode()
    assert "on purpose" not in response.content.decode()


def _break(*_arguments):
    raise OperationalError("the connection is lost")


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_database_that_does_not_answer_is_told_as_such(reader, method):
    reader.raise_request_exception = False
    with connection.execute_wrapper(_break):
        response = getattr(reader, method)("/account/alerts/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    shown = parse(response.content)
    assert shown.one("h1").text == "The database does not answer"
    for way in (shown.all("script"), shown.all("noscript")):
        assert len(way) == (method == "get"), "only what was read is asked for again"


def test_the_same_is_a_problem_below_the_api(reader):
    reader.raise_request_exception = False
    with connection.execute_wrapper(_break):
        response = reader.get("/api/v1/sessions")
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response["Retry-After"]


AS_A_BROWSER = {"Accept": "text/html,application/xhtml+xml"}
PARENTS = {
    "/sessions/bulk/": "/sessions/",
    "/storage/purge/": "/storage/",
    "/connect/7/revoke/": "/connect/",
    "/account/alerts/webhooks/7/test/": "/account/alerts/webhooks/7/",
    "/account/browsers/": "/account/",
    "/appearance/": "/",
    "/sign-out/": "/",
    f"/sessions/{UUID}/requests/7/": f"/sessions/{UUID}/",
    f"/sessions/{UUID}/checkpoints/7/fork/": f"/sessions/{UUID}/checkpoints/",
}


@pytest.mark.parametrize("path", PARENTS)
def test_an_address_that_takes_forms_alone_leads_to_the_page_they_stand_on(reader, path):
    response = reader.get(path, headers=AS_A_BROWSER)
    assert (response.status_code, response["Allow"].split(", ")[0]) == (405, "POST")
    shown = parse(response.content)
    assert shown.one("h1").text == "This address takes a form"
    assert shown.one("main").all("a")[0].attrs["href"] == PARENTS[path]
    assert shown.one("details", "me"), "in the frame of every page"


def test_what_was_sent_before_signing_in_was_not_done_and_the_page_says_so(owner, db):
    stranger = Client()
    door = stranger.post("/sessions/bulk/", {"action": "delete"})
    assert door["Location"] == "/sign-in/?next=/sessions/bulk/"
    stranger.force_login(owner)
    page = stranger.get("/sessions/bulk/", headers=AS_A_BROWSER)
    assert "it was not done" in parse(page.content).one("main").text


def test_programs_and_fragments_are_told_by_the_status_alone(reader):
    assert reader.get("/sessions/bulk/").content == b""
    assert reader.get("/sessions/bulk/", headers={**AS_A_BROWSER, "HX-Request": "true"}).content == b""


def test_a_head_of_a_page_is_a_head(reader):
    assert reader.head("/sessions/bulk/", headers=AS_A_BROWSER).status_code == 405


def test_a_host_that_was_forgotten_is_named_with_the_setting_that_takes_it(reader):
    response = reader.get("/", headers={"Host": "koda.example.net"})
    assert response.status_code == 400
    shown = parse(response.content)
    assert shown.one("main").all("b")[0].text == "koda.example.net"
    assert "KODA_ALLOWED_HOSTS" in shown.one("main").text


def test_a_form_that_is_larger_than_pages_send_is_told_so(reader, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    response = reader.post("/account/alerts/", {"url": "https://example.org/" + "x" * 100})
    assert response.status_code == 400
    assert parse(response.content).one("h1").text == "That was not understood"
