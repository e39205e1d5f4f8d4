"""The one list of pages. Whoever adds a page adds a line; what holds for every page is tested in test_every_page.py."""

import json

from tests.browser.conftest import Agent

LONG = "unbroken-" + "w" * 150

TABS = ("timeline", "usage", "todo", "files", "metadata", "events")
PAGES = {
    "wall": "/",
    "wall, nothing matches": "/?q=nothing-like-it",
    "inbox": "/inbox/",
    "sessions": "/sessions/",
    "sessions, nothing matches": "/sessions/?q=nothing-like-it",
    "storage": "/storage/",
    "receipts": "/storage/receipts/",
    "connect": "/connect/",
    "search": "/search/",
    "search, found": "/search/?q=harbour",
    "search, nothing": "/search/?q=nothing-like-it",
    "figures": "/figures/?days=7",
    "figures, a year": "/figures/?days=365",
    "figures, nothing": "/figures/?agent=nobody",
    "session": "/sessions/{session}/",
    **{f"session, {tab}": f"/sessions/{{session}}/?tab={tab}" for tab in TABS},
    "session, found": "/sessions/{session}/?find=harbour",
    "export": "/sessions/{session}/export/",
    "compact": "/sessions/{session}/compact/",
    "fork": "/sessions/{session}/fork/",
    "checkpoints": "/sessions/{kept}/checkpoints/",
    "checkpoints, compared": "/sessions/{kept}/checkpoints/?from=1&to=3",
    "checkpoints, none": "/sessions/{session}/checkpoints/",
    "event": "/sessions/{session}/events/3/",
    "tool call": "{tool}",
    "style": "/styleguide/",
    "delete": "/sessions/{session}/delete/",
    "account": "/account/",
    "password": "/account/password/",
    "alerts": "/account/alerts/",
    "not here": "/nowhere/",
    "sign in": "/sign-in/",
}
"""What it shows, and where it stands. `{session}` holds all that one can, `{tool}` is the place of a call of it, and
`{kept}` has checkpoints on two branches."""


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
