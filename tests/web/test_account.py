"""Signing in and out, and how the pages look to one reader."""

import random
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from sessions import rates
from sessions.management.commands.setup import create_owner
from tests.factories import make_session, make_user
from tests.web.markup import parse


def test_guessing_passwords_is_slowed_down_for_one_name_and_one_address(db):
    make_user("ada")
    wrong, right = ({"username": "ada", "password": password} for password in ("wrong", "secret"))
    # Others may share the cache.
    guesser, at_home = (Client(REMOTE_ADDR=f"2001:db8:{random.getrandbits(16):x}:{end}::1") for end in (1, 2))
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC), tick=False) as clock:
        statuses = [guesser.post("/sign-in/", wrong).status_code for _ in range(7)]
        refused = guesser.post("/sign-in/", right)
        assert statuses == [200] * 6 + [429]
        assert (refused.status_code, refused["Retry-After"]) == (429, "50")
        assert "Wait 50 seconds" in refused.content.decode()
        assert at_home.post("/sign-in/", right).status_code == 302, "who guesses keeps nobody out elsewhere"
        clock.shift(50)
        assert guesser.post("/sign-in/", right).status_code == 302


def test_spelling_a_name_otherwise_gives_no_more_attempts(db):
    make_user("ada")
    guesser = Client(REMOTE_ADDR=f"2001:db8:{random.getrandbits(16):x}:3::1")
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC), tick=False):
        spellings = ["ada", " ada", "ada ", "Ada", "\uff41da", "\tada", "ad\uff41"]
        statuses = [guesser.post("/sign-in/", {"username": one, "password": "x"}).status_code for one in spellings]
    assert statuses == [200] * 6 + [429]


def test_who_signs_in_rightly_again_and_again_is_let_in(db):
    make_user("ada")
    for _ in range(10):
        assert Client().post("/sign-in/", {"username": "ada", "password": "secret"}).status_code == 302


def test_the_admin_has_no_door_for_passwords_of_its_own(db):
    answer = Client().get("/admin/login/?next=/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/?next=/admin/")
    assert Client().post("/admin/login/", {"username": "a", "password": "b"}).status_code == 405
    plain = Client()
    plain.force_login(make_user())
    assert plain.get("/admin/", follow=True).status_code == 403, "and no circle between the two"


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


def test_choosing_a_theme_keeps_the_filter_that_came_after_the_page(reader):
    def leads_to(referrer):
        given = {"theme": "dark", "density": "calm", "next": "/sessions/"}
        return reader.post("/appearance/", given, headers={"Referer": referrer}).headers["Location"]

    assert leads_to("http://testserver/sessions/?q=harbour&sort=old") == "/sessions/?q=harbour&sort=old"
    for elsewhere in ("http://evil.example/?q=x", "http://testserver//evil.example/", "http://[", "http://testserver"):
        assert leads_to(elsewhere) == "/sessions/", elsewhere


@pytest.mark.parametrize(
    ("path", "given", "back"),
    [
        ("/sessions/bulk/", {"action": "seen", "q": "a b"}, "/sessions/?q=a+b"),
        ("/storage/purge/", {"policy": "stale", "age": "9"}, "/storage/?policy=stale&age=9"),
        ("/connect/", {"name": ""}, "/connect/"),
        ("/account/alerts/", {"url": "nowhere"}, "/account/alerts/"),
    ],
)
def test_a_theme_that_is_chosen_on_the_answer_to_a_form_leads_to_a_page(owner, reader, path, given, back):
    drawn = reader.post(path, {**given, "pick": str(make_session(owner).uuid)})
    assert drawn.status_code == 200
    (form,) = [form for form in parse(drawn.content).one("details", "me").all("form") if form.all("select")]
    chosen = {"theme": "dark", "density": "calm", "next": form.one("input", name="next").attrs["value"]}
    leads = reader.post("/appearance/", chosen, headers={"Referer": f"http://testserver{path}"}).headers["Location"]
    assert leads == back
    assert reader.get(leads).status_code == 200


def test_a_theme_that_is_chosen_where_a_form_is_taken_leads_to_its_page(reader):
    refusal = reader.get("/sessions/bulk/", headers={"Accept": "text/html"})
    assert parse(refusal.content).one("details", "me").one("input", name="next").attrs["value"] == "/sessions/"


def test_a_theme_that_is_none_is_not_kept(reader):
    reader.post("/appearance/", {"theme": '"><script>', "density": "calm"})
    assert "koda_theme" not in reader.cookies
    reader.cookies["koda_theme"] = '"><script>'
    assert parse(reader.get("/").content).one("html").attrs == {"lang": "en"}


@pytest.mark.parametrize(
    "target",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "nowhere", "admin:index",
     "\n//evil.example/", "///evil.example", "\x01https://evil.example", ""],
)  # fmt: skip
def test_choosing_a_theme_never_leads_elsewhere(reader, target):
    response = reader.post("/appearance/", {"theme": "dark", "density": "calm", "next": target})
    assert response.headers["Location"] == "/"


def test_the_cookies_of_the_theme_are_not_for_scripts(reader):
    reader.post("/appearance/", {"theme": "dark", "density": "calm"})
    assert reader.cookies["koda_theme"]["httponly"]
    assert reader.cookies["koda_theme"]["samesite"] == "Lax"


def test_the_account_page_leads_to_all_that_is_ones_own(reader):
    shown = parse(reader.get("/account/").content)
    links = {link.attrs["href"] for link in shown.one("main").all("a")}
    assert links == {"/account/password/", "/account/alerts/", "/connect/"}
    assert "Signed in here only." in shown.one("main").text


def test_other_browsers_are_counted_and_signed_out_and_nobody_elses(owner, reader):
    other, neighbour = Client(), Client()
    other.force_login(owner)
    neighbour.force_login(make_user())
    assert "in 1 other browser." in parse(reader.get("/account/").content).one("main").text
    response = reader.post("/account/browsers/", follow=True)
    assert "Signed out of 1 other browser." in response.content.decode()
    assert other.get("/").status_code == 302
    assert neighbour.get("/").status_code == reader.get("/").status_code == 200


def test_a_password_is_changed_and_other_browsers_are_out(owner, reader):
    other = Client()
    other.force_login(owner)
    new = "heron-over-grey-water-7"
    given = {"old_password": "secret", "new_password1": new, "new_password2": new}
    assert reader.post("/account/password/", given).headers["Location"] == "/account/"
    owner.refresh_from_db()
    assert owner.check_password(new)
    assert reader.get("/").status_code == 200
    assert other.get("/").status_code == 302


def test_password_managers_read_whose_password_is_changed(owner, reader):
    name = parse(reader.get("/account/password/").content).one("input", name="username").attrs
    assert (name["value"], name["autocomplete"]) == (owner.get_username(), "username")
    assert name.get("type", "text") == "text", "one of the type hidden is not read"
    assert "hidden" in name


@pytest.mark.parametrize(
    "wrong", [{"old_password": "no"}, {"new_password2": "other"}, {"new_password1": "1234", "new_password2": "1234"}]
)
def test_what_is_wrong_with_a_password_is_said_beside_the_form(owner, reader, wrong):
    new = "heron-over-grey-water-7"
    given = {"old_password": "secret", "new_password1": new, "new_password2": new, **wrong}
    shown = parse(reader.post("/account/password/", given).content)
    assert shown.one("p", "note").attrs["role"] == "alert"
    owner.refresh_from_db()
    assert owner.check_password("secret")


def test_who_came_with_a_given_password_is_told_why_and_goes_on_to_the_wall(reader):
    shown = parse(reader.get("/account/password/?first=1").content)
    assert shown.one("h1").text == "A password of your own"
    new = "heron-over-grey-water-7"
    given = {"old_password": "secret", "new_password1": new, "new_password2": new}
    assert reader.post("/account/password/?first=1", given).headers["Location"] == "/"


def test_who_has_the_one_time_password_gets_nowhere_before_choosing_another(db):
    password, new, html = create_owner(), "heron-over-grey-water-7", {"Accept": "text/html"}
    first, second = Client(headers=html), Client(headers=html)
    for browser in (first, second):
        given = {"username": "owner", "password": password}
        assert browser.post("/sign-in/", given).headers["Location"] == "/account/password/?first=1"
        for page in ("/", "/sessions/", "/admin/", "/connect/", "/nowhere/"):
            assert browser.get(page).headers["Location"] == "/account/password/?first=1", page
        assert browser.get("/account/password/?first=1").status_code == 200
        answer = browser.get("/api/v1/sessions", headers={"Accept": "application/json"})
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    given = {"old_password": password, "new_password1": new, "new_password2": new}
    assert first.post("/account/password/?first=1", given).headers["Location"] == "/"
    assert first.get("/").status_code == 200
    assert second.get("/").headers["Location"].startswith("/sign-in/"), "the old password ended there"
    assert second.post("/sign-in/", {"username": "owner", "password": new}).headers["Location"] == "/"
    assert second.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/connect/", "/connect/"), ("/search/?q=a&role=user", "/search/?q=a&role=user"), ("//evil.example/", "/")],
)
def test_who_chooses_a_password_first_goes_on_to_the_page_they_came_for(db, wanted, reached):
    password, new = create_owner(), "heron-over-grey-water-7"
    browser = Client(headers={"Accept": "text/html"})
    to_choose = browser.post("/sign-in/", {"username": "owner", "password": password, "next": wanted})["Location"]
    assert to_choose.startswith("/account/password/?first=1")
    given = {"old_password": password, "new_password1": new, "new_password2": new}
    assert browser.post(to_choose, given)["Location"] == reached


def test_the_page_for_a_password_leads_to_no_other_server(reader):
    for wanted in ("//evil.example/", "https://evil.example/", "javascript:alert(1)"):
        address = f"/account/password/?first=1&{urlencode({'next': wanted})}"
        links = [link.attrs["href"] for link in parse(reader.get(address).content).all("a") if link.text == "Later"]
        assert links == ["/"]


def test_a_password_that_was_set_at_the_shell_is_not_asked_for_again(db):
    create_owner()
    owner = User.objects.get(username="owner")
    owner.set_password("secret")
    owner.save()
    browser = Client()
    browser.post("/sign-in/", {"username": "owner", "password": "secret"})
    assert browser.get("/").status_code == 200


def test_other_callers_do_not_make_the_failures_forgotten(db, settings):
    settings.CACHES = {
        name: {**cache, "OPTIONS": {"MAX_ENTRIES": 10}, "LOCATION": f"few-{name}"}
        for name, cache in settings.CACHES.items()
    }
    if "locmem" not in settings.CACHES["default"]["BACKEND"]:
        pytest.skip("Redis forgets nothing")
    wrong, guesser = {"username": "ada", "password": "wrong"}, Client(REMOTE_ADDR="127.0.8.8")
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC), tick=False):
        statuses = [guesser.post("/sign-in/", wrong).status_code for _ in range(7)]
        for number in range(30):
            rates.count_call(f"key:{number}")
        statuses.append(guesser.post("/sign-in/", wrong).status_code)
    assert statuses == [200] * 6 + [429] * 2


def test_who_has_a_whole_network_has_no_more_attempts(db):
    make_user("ada")
    network = f"2001:db8:{random.getrandbits(16):x}"
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC), tick=False):
        statuses = [
            Client(REMOTE_ADDR=f"{network}::{end}").post("/sign-in/", {"username": "ada", "password": "x"}).status_code
            for end in range(1, 9)
        ]
    assert statuses == [200] * 6 + [429] * 2


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"), ("unknown", "unknown"), (None, "unknown"),
    ],
)  # fmt: skip
def test_an_address_of_ipv6_is_counted_by_its_network(address, origin):
    assert rates.origin_of(address, "") == origin
