"""Parts of an open page whose reader is no longer signed in: the whole page goes to the door, whichever part asks."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions.models import Receipt, Session, Webhook
from tests.admin.everything import make_everything
from tests.factories import make_key
from tests.koda_web.test_permissions import DOOR, PAGES, path_of

CLOSED = [name for name, (_, _, row) in PAGES.items() if name.startswith("web:") and row["nobody"] == DOOR]
CLOSED.remove("web:sign-out")  # it leads to the door itself, and back to nowhere


@pytest.fixture
def session(owner: User) -> Session:
    make_key(owner)
    receipt = Receipt.objects.begin("stale", "of a test", {}, owner=owner, by="test", now=timezone.now())
    receipt.complete(counts={}, size=0, session_count=0, is_complete=True, bytes_after=0, now=timezone.now())
    Webhook.objects.register(owner=owner, url="https://example.org/hook")
    return make_everything(owner=owner)


def ask_part(path: str, *, current: str, method: str = "GET"):
    return Client().generic(method, path, headers={"HX-Request": "true", "HX-Current-URL": current})


def led_to(answer) -> str:
    """Return where the reader comes to after signing in."""
    assert (answer.status_code, answer.content) == (200, b"")
    door = urlsplit(answer["HX-Redirect"])
    assert door.path == "/sign-in/"
    return parse_qs(door.query)["next"][0]


@pytest.mark.parametrize("name", CLOSED)
def test_every_part_of_a_page_sends_the_whole_page_to_the_door(session, name):
    page = f"/sessions/{session.uuid}/?tab=events"
    answer = ask_part(path_of(name, session), current=f"http://testserver{page}", method=PAGES[name][0])
    assert led_to(answer) == page
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "current",
    [
        "http://elsewhere.example/inbox/",
        "http://testserver//elsewhere.example/",
        "javascript:alert(1)",
        "http://[::1/",
        "",
    ],
)
def test_nobody_is_led_elsewhere_by_the_page_that_a_part_names(session, current):
    assert led_to(ask_part("/inbox/", current=current)) == "/"


def test_a_page_that_turned_private_under_its_reader_goes_to_the_door(session):
    session.edit(by="test", visibility="PUBLIC")
    path = f"/sessions/{session.uuid}/"
    assert ask_part(f"{path}glance/", current=f"http://testserver{path}").status_code == 200
    session.edit(by="test", visibility="PRIVATE")
    assert led_to(ask_part(f"{path}glance/", current=f"http://testserver{path}")) == path


def test_a_glance_bears_a_page_that_is_no_address(session):
    session.edit(by="test", visibility="PUBLIC")
    assert ask_part(f"/sessions/{session.uuid}/glance/", current="http://[::1/").status_code == 200


def test_without_a_script_the_door_is_a_redirect_as_before(session):
    answer = Client().get("/inbox/")
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/?next=/inbox/")
