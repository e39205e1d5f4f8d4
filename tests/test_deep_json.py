"""JSON inside a text, nested so deep that nobody could walk through it: kept as text, indexed, shown, and no fault."""

import json

import pytest
from django.test import Client

from sessions import indexing
from sessions.models import ToolCall, Unindexed
from sessions.models.fields import DEEPEST, load_written
from tests.api.calling import agent_of
from tests.factories import make_session, make_user

pytestmark = pytest.mark.django_db
DEPTHS = [DEEPEST + 2, 300, 600, *range(880, 1000, 4), 5_000]
"""Near the interpreter's own limit it matters how deep the code stands that reads it: so many, close together."""


def arrays(depth: int) -> str:
    return "[" * depth + "]" * depth


def objects(depth: int) -> str:
    return '{"command":' * depth + '"ls"' + "}" * depth


def texts_in_texts(levels: int) -> str:
    """Return JSON whose innermost text is JSON whose innermost text is JSON, each as deep as may be."""
    inner = "ls"
    for _ in range(levels):
        inner = "[" * DEEPEST + json.dumps(inner) + "]" * DEEPEST
    return inner


DEEP = [make(depth) for depth in DEPTHS for make in (arrays, objects)] + [texts_in_texts(12)]


@pytest.fixture
def owner():
    return make_user()


def test_what_is_no_deeper_than_may_be_is_read_and_what_is_deeper_is_none():
    assert load_written(arrays(DEEPEST)) == json.loads(arrays(DEEPEST))
    for text in (arrays(DEEPEST + 2), objects(DEEPEST + 1), arrays(100_000), "{", "9" * 5_000):
        with pytest.raises(ValueError, match=r".+"):
            load_written(text)


def test_every_door_takes_it(owner):
    agent = agent_of(owner)
    path = f"sessions/{make_session(owner).uuid}"
    call = {"type": "function", "function": {"name": "Bash"}}
    for number, text in enumerate(DEEP):
        asked = {"id": f"m{number}", "function_name": "Bash", "arguments": text}
        said = [{"role": "assistant", "tool_calls": [asked]}, {"role": "tool", "tool_call_id": f"m{number}"}]
        events = [
            {"type": "tool_call_start", "id": f"e{number}", "name": "Bash", "args": text},
            {"type": "tool_call_result", "id": f"e{number}", "name": "Bash", "output": text, "status": "failed"},
            {"type": "approval_request", "id": f"a{number}", "tool_name": "Bash", "detail": text, "preview": text},
        ]
        call = {"id": f"s{number}", "type": "function", "function": {"name": "Bash", "arguments": text}}
        history = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": f"s{number}"}]
        history[-1]["content"] = text
        assert agent.post(f"{path}/messages", {"messages": [*said, {"role": "user", "content": text}]}).status == 201
        assert agent.post(f"{path}/events", {"events": events}).status == 201
        assert agent.post(f"{path}/checkpoints", {"state": {"messages": history}}).status == 201
    assert ToolCall.objects.filter(args=None).count() == 0


def test_it_is_indexed_and_shown(owner):
    agent = agent_of(owner)
    session = make_session(owner)
    calls = [{"id": f"c{number}", "function_name": "Edit", "arguments": text} for number, text in enumerate(DEEP)]
    results = [{"role": "tool", "tool_call_id": f"c{number}", "content": text} for number, text in enumerate(DEEP)]
    agent.post(f"sessions/{session.uuid}/messages", {"messages": [{"role": "assistant", "tool_calls": calls}]})
    agent.post(f"sessions/{session.uuid}/messages", {"messages": [*results, {"role": "user", "content": "zebra"}]})
    events = [
        {"type": "approval_request", "id": f"a{n}", "tool_name": "Edit", "detail": text, "preview": text}
        for n, text in enumerate(DEEP)
    ]
    agent.post(f"sessions/{session.uuid}/events", {"events": events})
    indexing.finish()
    assert not Unindexed.objects.exists()
    assert agent.get("search?q=zebra")["items"] != []

    browser = Client(raise_request_exception=False)
    browser.force_login(owner)
    pages = [f"/sessions/{session.uuid}/?tab={tab}" for tab in ("transcript", "timeline", "events", "usage")]
    pages += [f"/sessions/{session.uuid}/tools/{call.pk}/" for call in session.tool_calls.all()]
    pages += [f"/sessions/{session.uuid}/events/{event.seq}/" for event in session.events.all()]
    pages += [f"/sessions/{session.uuid}/export/?format={word}" for word in ("html", "markdown", "jsonl", "json")]
    pages += ["/inbox/", "/", "/search/?q=zebra"]
    assert {page: _status(browser, page) for page in pages} == dict.fromkeys(pages, 200)


def _status(browser: Client, page: str) -> int:
    response = browser.get(page)
    if response.streaming:
        list(response)  # read to its end, which closes what it reads from
    return response.status_code
