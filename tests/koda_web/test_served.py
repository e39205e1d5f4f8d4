"""The ground as a client sees it: headers, hosts, static files, the admin in a browser."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import OWNER, PASSWORD, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIGN_IN = "/sign-in/"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def test_a_page_allows_nothing_but_its_own_files(client: httpx.Client):
    headers = client.get(SIGN_IN).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def test_cookies_have_names_of_our_own(client: httpx.Client):
    client.get(SIGN_IN)
    assert set(client.cookies) == {"koda_csrf"}


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test"])
def test_an_unlisted_host_name_is_refused(client: httpx.Client, host):
    assert client.get(SIGN_IN, headers={"Host": host}).status_code == 400


def test_static_files_have_a_hash_and_stay_in_the_cache(client: httpx.Client):
    path = re.search(r'href="(/static/koda/[a-z]+\.[0-9a-f]{12}\.css)"', client.get(SIGN_IN).text)
    assert path
    answer = client.get(path[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_is_not_there_tells_nothing_of_the_code(client: httpx.Client):
    answer = client.get("/there/is/no/such/page/")
    assert answer.status_code == 404
    assert "urlconf" not in answer.text.lower()


@pytest.mark.browser
def test_the_admin_runs_under_the_policy(server: Server, chromium: "Browser"):
    page = chromium.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.location['url']} {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}{SIGN_IN}?next=/admin/")
    page.fill("input[name=username]", OWNER)
    page.fill("input[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_url(f"{server.url}/admin/")
    assert page.locator("#user-tools").is_visible()
    page.close()
    # The admin names no icon, so the browser asks at the root.
    assert [text for text in complaints if "/favicon.ico" not in text] == []
