"""Signing in and out, and how the pages look to one reader."""

import pytest
from django.test import Client

from tests.factories import make_user
from tests.web.markup import parse


def test_signing_in_goes_where_one_wanted_to_go(db):
    make_user("anna")
    client = Client()
    form = parse(client.get("/sign-in/?next=/%3Fq%3Dx").content).one("form")
    assert form.one("input", name="next").attrs["value"] == "/?q=x"
    response = client.post("/sign-in/", {"username": "anna", "password": "secret", "next": "/?q=x"})
    assert response.headers["Location"] == "/?q=x"
    assert client.get("/").status_code == 200


def test_signing_in_never_leads_elsewhere(db):
    make_user("anna")
    response = Client().post("/sign-in/", {"username": "anna", "password": "secret", "next": "https://evil.example/"})
    assert response.headers["Location"] == "/"


def test_a_wrong_password_is_said_beside_the_form_and_keeps_the_name(db):
    make_user("anna")
    shown = parse(Client().post("/sign-in/", {"username": "anna", "password": "wrong"}).content)
    assert "correct username and password" in shown.one("p", "note").text
    assert shown.one("p", "note").attrs["role"] == "alert"
    assert shown.one("input", name="username").attrs["value"] == "anna"
    assert "value" not in shown.one("input", name="password").attrs


def test_who_is_signed_in_goes_on(reader):
    assert reader.get("/sign-in/").headers["Location"] == "/"


def test_signing_out_is_a_post_and_ends_the_session(reader):
    assert reader.get("/sign-out/").status_code == 405
    assert reader.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert reader.get("/").status_code == 302


@pytest.mark.parametrize(
    ("theme", "density", "attributes"),
    [
        ("dark", "calm", {"lang": "en", "data-theme": "dark"}),
        ("light", "tight", {"lang": "en", "data-theme": "light", "data-density": "tight"}),
        ("system", "calm", {"lang": "en"}),
    ],
)
def test_theme_and_density_come_with_the_page(reader, theme, density, attributes):
    response = reader.post("/appearance/", {"theme": theme, "density": density, "next": "/?q=x"})
    assert response.headers["Location"] == "/?q=x"
    shown = parse(reader.get("/").content)
    assert shown.one("html").attrs == attributes
    menu = shown.one("details", "me")
    chosen = [option.attrs["value"] for option in menu.all("option") if "selected" in option.attrs]
    assert chosen == [theme, density]


def test_a_theme_that_is_none_is_not_kept(reader):
    reader.post("/appearance/", {"theme": '"><script>', "density": "calm"})
    assert "koda_theme" not in reader.cookies
    reader.cookies["koda_theme"] = '"><script>'
    assert parse(reader.get("/").content).one("html").attrs == {"lang": "en"}


def test_choosing_a_theme_never_leads_elsewhere(reader):
    response = reader.post("/appearance/", {"theme": "dark", "density": "calm", "next": "//evil.example/"})
    assert response.headers["Location"] == "/"


def test_the_cookies_of_the_theme_are_not_for_scripts(reader):
    reader.post("/appearance/", {"theme": "dark", "density": "calm"})
    assert reader.cookies["koda_theme"]["httponly"]
    assert reader.cookies["koda_theme"]["samesite"] == "Lax"
