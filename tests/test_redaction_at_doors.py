"""With KODA_REDACT no secret is stored, whichever door it comes through: looked for in every column of every table."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from sessions import indexing
from sessions.models import Session
from tests.api.calling import Agent, agent_of
from tests.api.stakpak.calling import call, result, says, storage_of, user
from tests.api.zeroclaw.calling import at, say
from tests.factories import make_session, make_user
from tests.importers.imports import Import, everything
from tests.importers.koda_database import Koda
from tests.retention.words import places_of

HIDDEN = "qzvaxolotlqzvaxo"
SECRET = f"glpat-{HIDDEN}9999"
SHOWN = "[redacted: gitlab token …9999]"

pytestmark = pytest.mark.django_db


def say_all_natively(agent: Agent, *, is_answered_plainly: bool = False) -> Session:
    """Let an agent put the secret into everything that it may write, but ids, keys, paths and names."""
    body = {"agent_name": "koda", "title": f"Use {SECRET}"}
    session = Session.objects.get(uuid=agent.post("sessions", body)["id"])
    path = f"sessions/{session.uuid}"
    calls = [{"id": "c", "function": {"name": "Bash", "arguments": json.dumps({"command": SECRET, SECRET: 1})}}]
    messages = [
        {"role": "user", "content": SECRET},
        {"role": "assistant", "content": SECRET, "tool_calls": calls},
        {"role": "tool", "content": SECRET, "tool_call_id": "c"},
    ]
    events = [
        {"type": "turn_start", "turn_id": "t"},
        {"type": "text_delta", "text": SECRET},
        {"type": "unheard_of", "any": [{SECRET: SECRET}]},
        {"type": "tool_call_start", "id": "d", "name": "Bash", "args": {"command": SECRET}},
        {"type": "tool_call_result", "id": "d", "name": "Bash", "output": SECRET},
        {"type": "approval_request", "id": "r", "tool_name": "Bash", "detail": SECRET, "preview": {"new": SECRET}},
        {"type": "ask_user_request", "id": "q", "question": SECRET, "options": [SECRET]},
    ]
    feedback = {"decision": "reject_with_feedback", "feedback": SECRET}
    asked = [
        {"type": "approval_response", "id": "r", "decision": feedback},
        {"type": "ask_user_response", "id": "q", "answer": SECRET},
        {"type": "user_prompt", "text": SECRET},
    ]
    failed = {"type": "turn_end", "turn_id": "t", "reason": {"kind": "error", "message": SECRET}}
    answers = [
        agent.patch(path, {"title": f"{SECRET} again"}),
        agent.post(f"{path}/messages", {"messages": messages}),
        agent.post(f"{path}/events", {"events": events}),
        agent.put(f"{path}/metadata/progress", {"value": SECRET}),
        agent.put(f"{path}/todo", {"content": f"- [ ] {SECRET}"}),
        agent.post(f"{path}/heartbeat", {"activity": SECRET}),
        *(agent.post(f"{path}/commands", command, Idempotency_Key=command["type"]) for command in asked),
        *(
            agent.post(f"commands/{taken['id']}/ack", {"obeyed": False, "detail": SECRET})
            for taken in agent.get(f"{path}/commands")["commands"]
        ),
        agent.post(f"{path}/compact", {"summary": SECRET, "preserve_count": 1}),
        agent.post(f"{path}/events", {"events": [failed]}),
    ]
    assert [one for one in answers if one.status >= 400] == []
    assert any(HIDDEN in str(one.body) for one in answers) is is_answered_plainly, "what is answered is what is kept"
    return session


def test_nothing_that_an_agent_says_natively_is_stored_with_a_secret_in_it(settings):
    settings.KODA_REDACT = True
    say_all_natively(agent_of())
    indexing.catch_up(seconds=5)
    assert places_of(HIDDEN) == set()
    kept = {"session", "message", "event", "toolcall", "request", "command", "metadata", "turn"}
    assert kept <= places_of(SHOWN)


def test_nothing_that_a_person_writes_on_a_page_is(settings):
    settings.KODA_REDACT = True
    owner = make_user()
    session = make_session(owner)
    agent_of(owner).post(f"sessions/{session.uuid}/events", {"events": [{"type": "ask_user_request", "id": "q"}]})
    browser = Client()
    browser.force_login(owner)
    path = f"/sessions/{session.uuid}"
    asked = session.requests.get()
    forms = {
        f"requests/{asked.pk}/": {"action": "reply", "words": SECRET},
        "tell/": {"action": "prompt", "prompt": SECRET},
        "edit/": {"title": SECRET},
    }
    answers = {place: browser.post(f"{path}/{place}", form).status_code for place, form in forms.items()}
    assert set(answers.values()) == {302}, answers
    assert places_of(HIDDEN) == set()
    assert {"session", "request", "command"} <= places_of(SHOWN)


def test_nothing_that_zeroclaw_keeps_is(settings):
    settings.KODA_REDACT = True
    agent = agent_of()
    say(agent, content=SECRET)
    assert agent.put(at("k", "/messages/last"), {"role": "user", "content": f"{SECRET}!"}).status == 200
    assert agent.put(at("k", "/name"), {"name": SECRET}).body == {"name": "[redacted: GitLab Token …9999]"}
    assert agent.put(at("k", "/state"), {"state": "running", "turn_id": "t"}).status == 200
    assert places_of(HIDDEN) == set()
    assert {"session", "message"} <= places_of(SHOWN)


def test_nothing_that_stakpak_keeps_is(settings):
    settings.KODA_REDACT = True
    storage = storage_of()
    history = [user(SECRET), says(SECRET, call("c", arguments=json.dumps({"command": SECRET}))), result("c", SECRET)]
    made = storage.create_session(SECRET, history[:1])
    storage.create_checkpoint(made["session_id"], history, metadata={"note": SECRET, SECRET: [SECRET]})
    storage.update_session(made["session_id"], title=f"{SECRET} again")
    assert HIDDEN.encode() not in storage.raw
    assert places_of(HIDDEN) == set()
    assert {"session", "message", "toolcall", "checkpoint", "checkpointpiece"} <= places_of(SHOWN)


def test_nothing_that_is_imported_is_and_to_import_it_again_changes_nothing(settings, tmp_path):
    settings.KODA_REDACT = True
    koda = Koda(tmp_path / "koda.db")
    there = koda.start(title=SECRET)
    koda.say(there, "user", SECRET)
    koda.insert("session_metadata", session_id=there, key="todo", value=f"- [ ] {SECRET}")
    koda.close()
    owner = make_user()
    Import(koda.path, owner=owner).pull()
    assert places_of(HIDDEN) == set()
    assert {"session", "message", "metadata"} <= places_of(SHOWN)
    before = everything()
    Import(koda.path, owner=owner).pull()
    assert everything() == before


def test_what_was_stored_before_is_found_in_every_kind_of_record(settings):
    settings.KODA_REDACT = False
    session = say_all_natively(agent_of(), is_answered_plainly=True)
    made = storage_of().create_session("Keys", [], state={"messages": [user(SECRET)], "note": SECRET})
    output = StringIO()
    with pytest.raises(SystemExit):
        call_command("findsecrets", "--json", stdout=output)
    found = json.loads(output.getvalue())["secrets"]
    assert HIDDEN not in output.getvalue()
    assert {one["session"] for one in found} == {str(session.uuid), made["session_id"]}
    assert {(one["kind"], one["part"]) for one in found} >= {
        ("session", "title"), ("message", "content"), ("message", "tool_calls"),
        ("event", "payload"), ("metadata", "value"), ("command", "body"), ("command", "detail"),
        ("checkpoint", "rest"), ("checkpoint messages", "text"),
    }  # fmt: skip
