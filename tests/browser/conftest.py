"""A person at a browser and an agent at the API, both outside the server's process; no Django here."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.conftest import (
    OWNER,
    PASSWORD,
    Server,
    find_free_port,
    launch,
    make_environment,
    manage,
    prepare,
    stop_server,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PICTURES = Path("test-results")
SESSION = "koda_session"
"""The cookie of who is signed in."""
NEWCOMER = "newcomer"
"""One of the staff who has never signed in."""
NEIGHBOUR = "neighbour"
"""Somebody who has nothing here."""


@dataclass(frozen=True)
class Agent:
    """Speaks for one source with a key of its own."""

    client: httpx.Client

    def post(self, path: str, body: Any, *, code: int = 201) -> Any:
        # JSON as agents write it: characters that are not text (lone surrogates) included.
        answer = self.client.post(
            f"/api/v1/{path}", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == code, answer.text
        return answer.json()

    def start(self, title: str, **facts: Any) -> str:
        """Begin a session and return its id."""
        return self.post("sessions", {"agent_name": "koda", "project_root": "/w/web-shop", "title": title, **facts})[
            "id"
        ]

    def say(self, session: str, text: str | None, role: str = "assistant", **facts: Any) -> int:
        """Store one message and return its id."""
        return self.post(f"sessions/{session}/messages", {"role": role, "content": text, **facts})["ids"][0]

    def say_all(self, session: str, texts: list[str]) -> None:
        """Store many messages at once, people and agent in turn."""
        roles = itertools.cycle(("user", "assistant"))
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
        for start in range(0, len(messages), 1000):
            self.post(f"sessions/{session}/messages", {"messages": messages[start : start + 1000]})

    def tell(self, session: str, *events: dict[str, Any]) -> None:
        self.post(f"sessions/{session}/events", {"events": list(events)})

    def beat(self, session: str, **facts: Any) -> list[dict[str, Any]]:
        """Send a sign of life and return the commands that came back with it."""
        return self.post(f"sessions/{session}/heartbeat", facts, code=200)["commands"]

    def put(self, session: str, place: str, body: Any) -> None:
        answer = self.client.put(f"/api/v1/sessions/{session}/{place}", json=body)
        assert answer.is_success, answer.text

    def change(self, session: str, **facts: Any) -> None:
        answer = self.client.patch(f"/api/v1/sessions/{session}", json=facts)
        assert answer.status_code == 200, answer.text

    def commands(self, session: str) -> list[dict[str, Any]]:
        """Take what people have asked for."""
        return self.client.get(f"/api/v1/sessions/{session}/commands").json()["commands"]

    def obey(self, command: dict[str, Any]) -> None:
        self.post(f"commands/{command['id']}/ack", {"obeyed": True}, code=200)


def agent_at(server: Server, key: str) -> Agent:
    """Return an agent with `key`; the caller closes its client."""
    headers = {"Authorization": f"Bearer {key}"}
    return Agent(httpx.Client(base_url=server.url, headers=headers, timeout=20, trust_env=False))


class Person:
    """Somebody at a browser; whatever it complains of fails the test."""

    def __init__(self, context: "BrowserContext", server: Server, *, url: str = "") -> None:
        """Take a context; `url` is where the server is reached, if not where it listens."""
        self.context = context
        self.server = server
        self.url = url or server.url
        self.complaints: list[str] = []
        self.is_away = False

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let the browser complain of a network, or of a server, that is gone on purpose."""
        self.is_away = True
        yield
        self.is_away = False

    def open(self, path: str) -> "Page":
        """Open a page in a new tab."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self._complain(f"error: {error}"))
        page.on("console", lambda said: said.type in {"error", "warning"} and self._note_words(said.text))
        page.on("dialog", self._refuse_dialog)
        page.on("request", lambda request: self._check_host(request.url))
        page.on("response", lambda answer: answer.status >= 500 and self._complain(f"{answer.status}: {answer.url}"))
        page.on("requestfailed", lambda request: self._note_failure(request.url, request.failure or ""))
        page.goto(self.url + path)
        return page

    def open_live(self, path: str) -> "Page":
        """Open a page, wait until its socket speaks, and leave a mark that a reload would take away."""
        from playwright.sync_api import expect

        page = self.open(path)
        expect(page.locator("#fresh")).to_have_attribute("data-state", "live")
        page.evaluate("window.isNotReloaded = true")
        return page

    def sign_in(self, name: str = OWNER, password: str = PASSWORD) -> None:
        page = self.open("/sign-in/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(self.url + "/")
        page.close()

    def come_in(self, name: str = OWNER) -> None:
        """Be signed in, as one who was here before; to sign in by the form is tested once, and hashes slowly."""
        cookie = _cookie_of(self.server, name)
        self.context.add_cookies([{"name": SESSION, "value": cookie, "url": self.url, "httpOnly": True}])

    def _complain(self, words: str) -> None:
        if not self.is_away:
            self.complaints.append(words)

    def _refuse_dialog(self, dialog: Any) -> None:
        self._complain(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note_words(self, words: str) -> None:
        """Complain of it, but for a request that the next one replaced, as hx-sync has it: it ends, then is aborted."""
        if not words.startswith("htmx:sendAbort"):
            self._complain(f"console: {words}")
        elif self.complaints and self.complaints[-1].startswith("console: htmx:afterRequest"):
            self.complaints.pop()

    def _note_failure(self, url: str, reason: str) -> None:
        if "ERR_ABORTED" not in reason:  # the reader went on before it was there
            self._complain(f"{reason}: {url}")

    def _check_host(self, url: str) -> None:
        if not url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.complaints.append(f"request to another host: {url}")


_cookies: dict[tuple[str, str], str] = {}


def _cookie_of(server: Server, name: str) -> str:
    """Return the cookie of somebody who is signed in; whoever signs out with it makes the next one sign in again."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20, headers={"Referer": server.url}) as client:
        known = _cookies.get((server.url, name))
        if known and client.get("/account/", headers={"Cookie": f"{SESSION}={known}"}).status_code == 200:
            return known
        client.get("/sign-in/")
        form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["koda_csrf"]}
        answer = client.post("/sign-in/", data=form)
        assert answer.status_code == 302, answer.text
        known = _cookies[server.url, name] = client.cookies[SESSION]
        return known


def is_unreloaded(page: "Page") -> bool:
    """Say whether this is still the page that `open_live` opened."""
    return bool(page.evaluate("window.isNotReloaded === true"))


@contextmanager
def browsing(
    chromium: "Browser", server: Server, request: pytest.FixtureRequest, *, url: str = "", **options: Any
) -> Iterator[Person]:
    """Somebody at a wide screen; a failed test leaves pictures of their tabs and the server's last words."""
    context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(10_000)
    someone = Person(context, server, url=url)
    try:
        yield someone
        assert someone.complaints == []
    except BaseException:
        _keep_evidence(someone, request.node)
        raise
    else:
        if getattr(request.node, "has_failed", False):
            _keep_evidence(someone, request.node)
    finally:
        context.close()


def _keep_evidence(someone: Person, item: pytest.Item) -> None:
    PICTURES.mkdir(exist_ok=True)
    for number, page in enumerate(someone.context.pages):
        if not page.is_closed():
            page.screenshot(path=PICTURES / f"{item.name}-{number}.png")
    log = someone.server.log.read_text(errors="replace")[-3000:]
    (PICTURES / f"{item.name}.log").write_text("\n".join([*someone.complaints, "", log]))


@dataclass(frozen=True)
class Prepared:
    """A data folder as `setup` leaves it, with the owner, NEWCOMER, NEIGHBOUR and a key; servers get copies of it."""

    folder: Path
    key: str

    def serve(self, folder: Path, **settings: str) -> Server:
        """Start a server on a copy of its own; the caller stops the server."""
        shutil.copytree(self.folder, folder)
        return launch(folder, make_environment(folder, **settings), port=find_free_port())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    environment = prepare(folder)
    people = (
        "from django.contrib.auth import get_user_model as model\n"
        f"model().objects.create_superuser({NEWCOMER!r}, password={PASSWORD!r})\n"
        f"model().objects.create_user({NEIGHBOUR!r}, password={PASSWORD!r})"
    )
    manage(environment, "shell", "--no-imports", "--command", people)
    scopes = [part for scope in ("write", "read", "control") for part in ("--scope", scope)]
    key = manage(environment, "createapikey", "laptop", "--user", OWNER, *scopes, "--plain").strip()
    return Prepared(folder, key)


@pytest.fixture(scope="session")
def serve(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Server]:
    """Start a server of its own, with the settings that are given; the caller stops it."""
    return lambda **settings: prepared.serve(tmp_path_factory.mktemp("served") / "data", **settings)


@pytest.fixture(scope="session")
def served(serve: Callable[..., Server]) -> Iterator[Server]:
    """The server of all browser tests that need no settings or numbers of their own."""
    running = serve()
    yield running
    stop_server(running)


@pytest.fixture(scope="session")
def agent(served: Server, prepared: Prepared) -> Iterator[Agent]:
    someone = agent_at(served, prepared.key)
    yield someone
    someone.client.close()


@pytest.fixture
def person(chromium: "Browser", served: Server, request: pytest.FixtureRequest) -> Iterator[Person]:
    """The owner, signed in; `@pytest.mark.parametrize("person", [options], indirect=True)` for another browser."""
    with browsing(chromium, served, request, **getattr(request, "param", {})) as someone:
        someone.come_in()
        yield someone


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.has_failed = report.failed
    return report
