"""Whatever stands in the address of a page, it is answered: as a page, as 404, as a bad request, never as a fault."""

import pytest
from django.test import Client

from sessions.models import Session
from tests.admin.everything import make_everything
from tests.factories import make_user
from tests.koda_web.test_permissions import path_of

NAMES = [
    "q", "agent", "project", "source", "state", "liveness", "since", "until", "sort", "days", "role", "tool", "cursor",
    "before", "after", "at", "find", "archived", "tab", "part", "format", "key", "from", "to", "next", "first",
    "past_before", "past_after", "open_before", "open_after", "all", "policy", "age", "visibility", "page", "o", "p",
]  # fmt: skip
"""Every word that a page looks for, and some of the admin's."""
ODD = ["a\0b", "9" * 30, "9" * 5000, "-1", "0001-01-01", "9999-12-31", '"' * 3000]
HERE = [
    "web:search", "web:sessions", "web:wall", "web:inbox", "web:figures", "web:session", "web:messages", "web:events",
    "web:checkpoints", "web:connect", "web:find",
]  # fmt: skip
"""Pages that look for words in their address."""


@pytest.fixture
def browser(db) -> Client:
    owner = make_user(is_staff=True, is_superuser=True)
    make_everything(owner=owner)
    client = Client(raise_request_exception=False)
    client.force_login(owner)
    return client


def status_of(browser: Client, path: str, words: dict[str, str]) -> int:
    response = browser.get(path, words)
    if response.streaming:
        list(response)  # read to its end, which closes what it reads from
    return response.status_code


@pytest.mark.slow
def test_no_page_fails_over_the_words_of_its_address(browser):
    session = Session.objects.first()
    failed = [
        (name, odd[:20], *list(words)[:2])
        for name in HERE
        for odd in ODD
        # All words at once may be refused over one of them, before another is looked at.
        for words in (dict.fromkeys(NAMES, odd), {"since": odd}, {"until": odd, "q": "a"})
        if status_of(browser, path_of(name, session), words) >= 500
    ]
    assert failed == []
