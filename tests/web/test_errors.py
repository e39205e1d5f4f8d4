"""The pages for what went wrong."""

import pytest
from django.db import OperationalError, connection
from django.template import loader
from django.test import Client

from tests.web.markup import parse


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


def test_the_page_for_our_own_fault_needs_no_database_and_no_request():
    # No database fixture: a query here would fail this test.
    shown = parse(loader.get_template("500.html").render())
    assert shown.one("h1").text == "The server failed at this"
    assert not shown.all("script")


def test_a_view_that_fails_shows_that_page(reader, monkeypatch):
    from sessions.models import Session

    def fail(*_args, **_more):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(type(Session.objects.all()), "visible_to", fail)
    reader.raise_request_exception = False
    response = reader.get("/")
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
    assert len(shown.all("meta", **{"http-equiv": "refresh"})) == (method == "get"), "only what was read is read again"


def test_the_same_is_a_problem_below_the_api(reader):
    reader.raise_request_exception = False
    with connection.execute_wrapper(_break):
        response = reader.get("/api/v1/sessions")
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response["Retry-After"]
