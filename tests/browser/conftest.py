"""A person at a browser and an agent at the API, both outside the server's process; no Django here."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import OWNER, PASSWORD, Server, start_server, stop_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Agent:
    """Speaks for one source with a key of its own."""

    client: httpx.Client

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def start(self, title: str, **facts: Any) -> str:
        """Begin a session and return its id."""
        return self.post("sessions", {"agent_name": "koda", "project_root": "/w/web-shop", "title": title, **facts})[
            "id"
        ]

    def say(self, session: str, text: str, role: str = "assistant", **facts: Any) -> None:
        self.post(f"sessions/{session}/messages", {"role": role, "content": text, **facts})

    def tell(self, session: str, *events: dict[str, Any]) -> None:
        self.post(f"sessions/{session}/events", {"events": list(events)})

    def commands(self, session: str) -> list[dict[str, Any]]:
        """Take what people have asked for."""
        return self.client.get(f"/api/v1/sessions/{session}/commands").json()["commands"]


def agent_at(server: Server, *scopes: str) -> Agent:
    key = server.create_key(f"laptop-{next(_numbers)}", *(scopes or ("write", "read", "control")))
    headers = {"Authorization": f"Bearer {key}"}
    return Agent(httpx.Client(base_url=server.url, headers=headers, timeout=20, trust_env=False))


class Person:
    """Somebody who has signed in; whatever their browser complains of fails the test."""

    def __init__(self, context: "BrowserContext", server: Server) -> None:
        self.context = context
        self.server = server
        self.complaints: list[str] = []
        self.is_away = False

    def open(self, path: str) -> "Page":
        """Open a page in a new tab and wait until it is live, if it is a page that lives."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self._complain(f"error: {error}"))
        page.on("console", lambda message: message.type == "error" and self._complain(f"console: {message.text}"))
        page.on("dialog", lambda dialog: self._complain(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._check_host(request.url))
        page.goto(self.server.url + path)
        return page

    def sign_in(self, name: str = OWNER, password: str = PASSWORD) -> None:
        page = self.open("/sign-in/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(self.server.url + "/")
        page.close()

    def _complain(self, words: str) -> None:
        if not self.is_away:
            self.complaints.append(words)

    def _check_host(self, url: str) -> None:
        if not url.startswith((self.server.url, self.server.url.replace("http", "ws"), "data:", "blob:")):
            self.complaints.append(f"request to another host: {url}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own, so that its wall shows nothing of others."""
    running = start_server(tmp_path_factory.mktemp("browser"))
    yield running
    stop_server(running)


@pytest.fixture(scope="module")
def agent(served: Server) -> Iterator[Agent]:
    speaking = agent_at(served)
    yield speaking
    speaking.client.close()


@pytest.fixture
def person(chromium: "Browser", served: Server, request: pytest.FixtureRequest) -> Iterator[Person]:
    """The owner, signed in, at a wide screen unless the test is parametrised with other options."""
    options = {"viewport": {"width": 1440, "height": 900}, **getattr(request, "param", {})}
    context = chromium.new_context(**options)
    context.set_default_timeout(10_000)
    someone = Person(context, served)
    someone.sign_in()
    yield someone
    pictures = Path("test-results")
    if getattr(request.node, "report", None) is not None and request.node.report.failed:
        pictures.mkdir(exist_ok=True)
        for number, page in enumerate(context.pages):
            page.screenshot(path=pictures / f"{request.node.name}-{number}.png")
    context.close()
    assert someone.complaints == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.report = report
    return report
