"""The one list of pages. Whoever adds a page adds a line; what holds for every page is tested in test_every_page.py."""

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import Page

from tests.browser.conftest import NEIGHBOUR, Agent
from tests.conftest import OWNER, Server

LONG = "unbroken-" + "w" * 150
NOBODY = ""


_ID = re.compile(r"/(?:[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+)(?=/)")


def form_of(method: str, url: str) -> str:
    """Return what a form does, whichever thing it does it to: `POST /sessions/<id>/edit/`."""
    return f"{method.upper()} {_ID.sub('/<id>', urlsplit(url).path)}"


@dataclass(frozen=True)
class Place:
    """Where a page stands, on which site, who looks at it, and what they do there before it shows."""

    path: str
    site: str = "full"
    who: str = OWNER
    do: Callable[[Page], None] | None = None


def ask_to(verb: str) -> Callable[[Page], None]:
    """Tick what the list shows, and ask to have something done to it."""

    def do(page: Page) -> None:
        page.locator("#pick-all").check()
        page.get_by_role("button", name=verb).click()
        page.wait_for_url("**/sessions/bulk/")

    return do


def make_a_key(page: Page) -> None:
    page.get_by_label("Name").fill("attic")
    page.get_by_role("button", name="Make the key").click()
    page.locator("#paste-key").wait_for()


def add_a_private_address(page: Page) -> None:
    page.get_by_label("Address").fill("http://10.0.0.1/hook")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("alert").wait_for()


def show_the_secret(page: Page) -> None:
    page.get_by_text("Show the secret").click()
    page.get_by_text("Remove this webhook…").click()


def type_another_number(page: Page) -> None:
    page.get_by_label("to confirm").fill("77")
    page.get_by_role("button", name="Destroy").click()
    page.get_by_role("alert").wait_for()


def sign_in_wrongly(page: Page) -> None:
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("a wrong one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()


def sign_in_without_cookies(page: Page) -> None:
    page.context.clear_cookies(name="koda_csrf")
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("a wrong one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="This form is too old").wait_for()


TABS = ("timeline", "usage", "todo", "files", "metadata", "events")
PAGES = {
    "wall": Place("/"),
    "wall, nothing matches": Place("/?q=nothing-like-it"),
    "inbox": Place("/inbox/"),
    "sessions": Place("/sessions/"),
    "sessions, nothing matches": Place("/sessions/?q=nothing-like-it"),
    "bulk": Place("/sessions/", do=ask_to("Delete…")),
    "bulk, nothing would change": Place("/sessions/?q=charts", do=ask_to("Make private…")),
    "storage": Place("/storage/"),
    "storage, previewed": Place("/storage/?policy=deleted&age=0"),
    "storage, not confirmed": Place("/storage/?policy=deleted&age=0", do=type_another_number),
    "receipts": Place("/storage/receipts/"),
    "receipt": Place("{receipt}"),
    "connect": Place("/connect/"),
    "connect, a key is made": Place("/connect/", do=make_a_key),
    "search": Place("/search/"),
    "search, found": Place("/search/?q=harbour"),
    "search, nothing": Place("/search/?q=nothing-like-it"),
    "figures": Place("/figures/?days=7"),
    "figures, a year": Place("/figures/?days=365"),
    "figures, nothing": Place("/figures/?agent=nobody"),
    "session": Place("/sessions/{session}/"),
    **{f"session, {tab}": Place(f"/sessions/{{session}}/?tab={tab}") for tab in TABS},
    "session, found": Place("/sessions/{session}/?find=harbour"),
    "session, shared": Place("/sessions/{shared}/", who=NOBODY),
    "export": Place("/sessions/{session}/export/"),
    "compact": Place("/sessions/{session}/compact/"),
    "fork": Place("/sessions/{session}/fork/"),
    "checkpoints": Place("/sessions/{kept}/checkpoints/"),
    "checkpoints, compared": Place("/sessions/{kept}/checkpoints/?from=1&to=3"),
    "checkpoints, none": Place("/sessions/{session}/checkpoints/"),
    "event": Place("/sessions/{session}/events/3/"),
    "tool call": Place("{tool}"),
    "style": Place("/styleguide/"),
    "delete": Place("/sessions/{session}/delete/"),
    "account": Place("/account/"),
    "password": Place("/account/password/"),
    "alerts": Place("/account/alerts/"),
    "alerts, refused": Place("/account/alerts/", site="bare", do=add_a_private_address),
    "webhook": Place("{webhook}", do=show_the_secret),
    "sign in": Place("/sign-in/", who=NOBODY),
    "sign in, refused": Place("/sign-in/", who=NOBODY, do=sign_in_wrongly),
    "wall of nothing": Place("/", site="bare"),
    "inbox of nothing": Place("/inbox/", site="bare"),
    "sessions, none": Place("/sessions/", site="bare"),
    "search in nothing": Place("/search/", site="bare"),
    "figures of nothing": Place("/figures/", site="bare"),
    "storage of nothing": Place("/storage/", site="bare"),
    "receipts, none": Place("/storage/receipts/", site="bare"),
    "alerts, none": Place("/account/alerts/", site="bare"),
    "reference": Place("/api/v1/docs"),
    "reference, opened": Place("/api/v1/docs#append_messages", who=NOBODY),
    "reference of ZeroClaw's": Place("/api/zeroclaw/docs"),
    "reference of Stakpak's": Place("/v1/docs"),
    "not here": Place("/nowhere/"),
    "not here for a stranger": Place("/nowhere/", who=NOBODY),
    "not allowed": Place("/styleguide/", who=NEIGHBOUR),
    "takes a form": Place("/sessions/bulk/"),
    "form too old": Place("/sign-in/", who=NOBODY, do=sign_in_without_cookies),
    "other name": Place("http://localhost:{port}/", site="broken", who=NOBODY),
    "our fault": Place("/account/alerts/", site="broken"),
    "database away": Place("/storage/receipts/", site="broken"),
}
"""What it shows, and where it stands. `{session}` holds all that one can, `{tool}` is the place of a call of it, and
`{kept}` has checkpoints on two branches; the bare site has no session, and of the broken one somebody else wrote into
the database."""


def save_states(agent: Agent) -> str:
    """Let there be a session with checkpoints, one of which rewrites what was said; return it."""
    asked = {"role": "user", "content": LONG}
    first, other = ({"role": "assistant", "content": text} for text in (f"# One {LONG}", "Two"))
    histories = ([asked], [asked, first], [asked, other])
    begun = agent.client.post("/v1/sessions", json={"title": LONG, "state": {"messages": histories[0]}})
    assert begun.status_code == 201, begun.text
    session = str(begun.json()["session_id"])
    for history in histories[1:]:
        answer = agent.client.post(f"/v1/sessions/{session}/checkpoints", json={"state": {"messages": history}})
        assert answer.status_code == 201, answer.text
    return session


def furnish(agent: Agent) -> str:
    """Let there be a session in each state; return the one with all that a page can hold, each of it too long."""
    session = agent.start("The harbour lights", model="large-2", agent_name="koda", project_root=f"/w/{LONG}")
    edit = {"path": "lights.py", "old": "on = 1", "new": "on = 2"}
    call = {"id": "c1", "function_name": "Edit", "arguments": json.dumps(edit)}
    usage = {"prompt_tokens": 123_456, "completion_tokens": 2_345, "cache_read_tokens": 9_000}
    agent.say(session, f"Turn the harbour lights on, {LONG}", role="user")
    table = "| Lamp | State |\n|---|---|\n| 1 | on |"
    agent.say(
        session,
        f"# Plan\n\n{table}\n\n```python\nprint('{LONG}')  # now\n```\n\n- [x] one\n\n> said",
        tool_calls=[call],
        usage=usage,
    )
    agent.say(session, LONG * 3, role="tool", tool_call_id="c1")
    agent.tell(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "tool_call_start", "id": "c2", "name": "Bash", "args": {"command": f"make {LONG}"}},
        {"type": "tool_call_result", "id": "c2", "name": "Bash", "output": "no", "is_error": True},
        {"type": "tool_call_start", "id": "c3", "name": "Bash", "args": {"command": "sleep 9"}},
        {"type": "approval_request", "id": "r", "tool_name": "Edit", "detail": LONG, "preview": None},
        {"type": "ask_user_request", "id": "q", "question": f"Which of {LONG}?", "options": [LONG, "Keep"]},
    )
    agent.put(session, "todo", {"content": f"- [x] look\n- [ ] {LONG}"})
    agent.put(session, "metadata/note", {"value": LONG * 3})
    agent.put(session, "files", {"path": f"/w/{LONG}"})
    for title, kind in ((f"The tide tables, {LONG}", "complete"), ("The old ferry", "error")):
        other = agent.start(title, agent_name="claude-code")
        agent.say(other, "Draw the harbour", role="user")
        agent.tell(other, {"type": "turn_start", "turn_id": "t"})
        agent.tell(other, {"type": "turn_end", "turn_id": "t", "reason": {"kind": kind, "message": "Out of ink"}})
    agent.tell(agent.start("Sea charts"), {"type": "turn_start", "turn_id": "t"})
    return session


def share(agent: Agent) -> str:
    """Let there be a session that whoever has its link may read; return it."""
    session = agent.start("The harbour plan", project_root="/w/pier")
    agent.say(session, "Is the harbour deep enough?", role="user")
    agent.say(session, "At every tide, by **two metres**.")
    agent.change(session, visibility="PUBLIC")
    return session


def throw_away(agent: Agent, server: Server) -> None:
    """Let there be a receipt of what was purged, and a deleted session that could be purged next."""
    for number, title in enumerate(("The first pier", "The second pier")):
        session = agent.start(title, project_root="/w/pier")
        agent.say(session, "It was never built.")
        assert agent.client.delete(f"/api/v1/sessions/{session}").is_success
        if number == 0:
            server.manage("purgedeleted", "--older-than", "0", "--yes")


def break_things(server: Server) -> None:
    """Write into the database what no verb would: an address that is none, and a table under another name."""
    add = (
        "from django.contrib.auth.models import User; from sessions.models import Webhook\n"
        f"Webhook.objects.register(owner=User.objects.get(username={OWNER!r}), url='https://example.org/hook')"
    )
    server.manage("shell", "--no-imports", "--command", add)
    with sqlite3.connect(server.data_dir / "koda.sqlite3", timeout=20) as database:
        database.execute("UPDATE koda_sessions_webhook SET url = 'http://['")
    database.close()
    rename_table(server, "koda_sessions_receipt", "taken_away")


def rename_table(server: Server, name: str, other: str) -> None:
    """Take a table from under a server that runs, or give it back."""
    with sqlite3.connect(server.data_dir / "koda.sqlite3", timeout=20) as database:
        database.execute(f"ALTER TABLE {name} RENAME TO {other}")
    database.close()
