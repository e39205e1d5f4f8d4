"""The example agent against a real server: people steer it, the network fails, and nothing is lost or doubled."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from examples.agent import Agent, work
from tests.conftest import ROOT, Server, find_free_port

WITHIN_SECONDS = 30
FACTS = {"agent_name": "example", "project_root": "/home/ada/lamps"}


class Person:
    """Who looks at the server and steers agents, by a key of their own."""

    def __init__(self, server: Server) -> None:
        key = server.create_key("person", "read", "control")
        self.http = httpx.Client(
            base_url=f"{server.url}/api/v1/", headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )

    def read(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, session_id: str, **command: Any) -> int:
        answer = self.http.post(f"sessions/{session_id}/commands", json=command)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def wait_for(self, session_id: str, **facts: Any) -> Any:
        return until(lambda: self._session_if(session_id, facts))

    def wait_for_event(self, session_id: str, kind: str, *, number: int = 1) -> Any:
        return until(lambda: (self.events(session_id, kind)[number - 1 : number] or [None])[0])

    def events(self, session_id: str, kind: str) -> list[Any]:
        items = self.read(f"sessions/{session_id}/events?limit=500")["items"]
        return [event for event in items if event["type"] == kind]

    def turns(self, session_id: str) -> list[Any]:
        return self.read(f"sessions/{session_id}/turns")["items"]

    def messages(self, session_id: str) -> list[tuple[str, str | None]]:
        items = self.read(f"sessions/{session_id}/messages?limit=500")["items"]
        return [(message["role"], message["content"]) for message in items]

    def obeyed(self, session_id: str) -> dict[int, str]:
        acks = self.events(session_id, "server.command_acknowledged")
        return {ack["command_id"]: ack["status"] for ack in acks}

    def _session_if(self, session_id: str, facts: dict[str, Any]) -> Any:
        session = self.read(f"sessions/{session_id}")
        return session if all(session[name] == value for name, value in facts.items()) else None


def until(find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def person(server: Server) -> Iterator[Person]:
    person = Person(server)
    yield person
    person.http.close()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return server.create_key("agent", "write")


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the threads of an agent end with it."""
    monkeypatch.setattr("examples.agent.POLL_SECONDS", 1)


@pytest.fixture
def agent(server: Server, key: str) -> Iterator[Agent]:
    with Agent(server.url, key, **FACTS) as agent:
        yield agent


def in_background(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def finish(thread: threading.Thread) -> None:
    thread.join(WITHIN_SECONDS)
    assert not thread.is_alive()


def approve(person: Person, agent: Agent, **decision: Any) -> int:
    request = person.wait_for_event(agent.id, "approval_request")
    return person.command(agent.id, type="approval_response", id=request["id"], decision=decision)


@pytest.mark.parametrize(
    ("decision", "output", "counted"),
    [
        ({"decision": "approve"}, "1 replacement", "successful"),
        ({"decision": "reject"}, "User rejected this action.", "rejected"),
        (
            {"decision": "reject_with_feedback", "feedback": "eight"},
            "User rejected this action with feedback: eight",
            "rejected",
        ),
    ],
)
def test_an_edit_waits_for_a_person_and_their_decision_is_its_result(person, agent, decision, output, counted):
    thread = in_background(lambda: work(agent, "edit"))
    request = person.wait_for_event(agent.id, "approval_request")
    assert request["preview"]["kind"] == "Edit"
    assert person.wait_for(agent.id, needs="approval")["state"] == "running"
    command_id = approve(person, agent, **decision)
    finish(thread)

    assert person.obeyed(agent.id) == {command_id: "obeyed"}
    (turn,) = person.turns(agent.id)
    assert (turn["reason"]["kind"], turn["elapsed_ms"], turn["tools"]["total"]) == ("complete", 1200, 2)
    assert turn["tools"][counted] == (2 if counted == "successful" else 1)
    assert [role for role, _ in person.messages(agent.id)] == [
        "user", "assistant", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert person.messages(agent.id)[2] == ("tool", output)
    assert person.wait_for(agent.id, state="idle", needs="")["total_tokens"] == 940


@pytest.mark.parametrize(("action", "rounds"), [("stop", 3), ("continue50", 53), ("continue200", 203)])
def test_at_the_cap_a_person_decides_how_far_it_goes(person, agent, action, rounds):
    counted: list[int] = []

    def loop() -> None:
        with agent.turn("loop"):
            for number in agent.rounds(cap=3):
                if number < 3:
                    agent.use_tool("Grep", {"pattern": f"lamp {number}"}, lambda: "nothing")
                counted.append(number)

    thread = in_background(loop)
    cap = person.wait_for_event(agent.id, "loop_cap_reached")
    assert (cap["cap"], cap["recent_tools"]) == (3, ["Grep"] * 3)
    person.wait_for(agent.id, needs="loop_decision")
    person.command(agent.id, type="loop_decision", action=action)
    if action != "stop":
        person.wait_for_event(agent.id, "loop_cap_reached", number=2)
        person.command(agent.id, type="loop_decision", action="stop")
    finish(thread)
    assert len(counted) == rounds
    assert person.turns(agent.id)[0]["reason"]["kind"] == "complete"


def test_a_question_is_answered(person, agent):
    answers: list[str] = []

    def ask() -> None:
        with agent.turn("ask"):
            answers.append(agent.ask_user("Which lamp?", ["red", "green"]))

    thread = in_background(ask)
    question = person.wait_for_event(agent.id, "ask_user_request")
    assert (question["question"], question["options"]) == ("Which lamp?", ["red", "green"])
    person.wait_for(agent.id, needs="input")
    person.command(agent.id, type="ask_user_response", id=question["id"], answer="green")
    finish(thread)
    assert answers == ["green"]


def test_an_interrupt_stops_what_streams_and_keeps_what_was_said(person, agent):
    thread = in_background(lambda: work(agent, "long"))
    person.wait_for_event(agent.id, "text_delta")
    command_id = person.command(agent.id, type="interrupt")
    finish(thread)

    assert person.obeyed(agent.id) == {command_id: "obeyed"}
    (turn,) = person.turns(agent.id)
    assert turn["reason"]["kind"] == "cancelled"
    streamed = "".join(event["text"] for event in person.events(agent.id, "text_delta"))
    assert person.messages(agent.id)[-1] == ("assistant", streamed)
    assert len(streamed) < 1600
    assert person.wait_for(agent.id, state="idle")["total_tokens"] == 0


def test_an_interrupt_ends_the_wait_for_an_approval(person, agent):
    thread = in_background(lambda: work(agent, "edit"))
    request = person.wait_for_event(agent.id, "approval_request")
    person.command(agent.id, type="interrupt")
    finish(thread)
    (turn,) = person.turns(agent.id)
    assert (turn["reason"]["kind"], turn["tools"]["aborted"]) == ("cancelled", 1)
    late = {"type": "approval_response", "id": request["id"], "decision": {"decision": "approve"}}
    assert person.http.post(f"sessions/{agent.id}/commands", json=late).status_code == 409


def test_what_nobody_waits_for_is_refused(person, agent):
    interrupt = person.command(agent.id, type="interrupt")
    slash = person.command(agent.id, type="slash_command", cmd="compact")
    until(lambda: person.obeyed(agent.id) == {interrupt: "refused", slash: "refused"})


def test_an_error_ends_the_turn_with_its_words(person, agent):
    with pytest.raises(RuntimeError):
        work(agent, "fail")
    (turn,) = person.turns(agent.id)
    assert turn["reason"] == {"kind": "error", "message": "LLM inference failed"}
    assert person.wait_for(agent.id, state="error")


def test_heartbeats_come_while_it_rests(person, agent):
    session = until(lambda: person.wait_for(agent.id, state="idle"))
    assert session["liveness"] == "resting"
    with agent.turn("wait"):
        assert person.wait_for(agent.id, state="running")["liveness"] == "live"


def test_the_script_works_on_prompts_until_it_is_told_to_quit(person, server, key):
    process = subprocess.Popen(
        [sys.executable, "examples/agent.py", "--url", server.url, "--key", key, "--prompt", "Count the lamps"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = re.search(r"session (\S+)", process.stderr.readline())
        assert found is not None
        session_id = found[1]
        until(lambda: [turn for turn in person.turns(session_id) if turn["ended_at"]])
        prompt = person.command(session_id, type="user_prompt", text="And again")
        until(lambda: len([turn for turn in person.turns(session_id) if turn["ended_at"]]) == 2)
        end = person.command(session_id, type="quit")
        _, said = process.communicate(timeout=WITHIN_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert person.obeyed(session_id) == {prompt: "obeyed", end: "obeyed"}
    users = [content for role, content in person.messages(session_id) if role == "user"]
    assert users == ["Count the lamps", "And again"]


class Flaky(BaseHTTPRequestHandler):
    """A way to the server on which every request fails in one way or another before it gets through."""

    target = ""
    faults: ClassVar[dict[bytes, int]] = {}
    lock = threading.Lock()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            attempt = self.faults[self.identity(body)] = self.faults.get(self.identity(body), 0) + 1
        if attempt == 1 and self.command == "POST":
            self.answer(503, b'{"code": "unavailable"}', {"Retry-After": "0"})
            return
        if attempt == 2 and self.command == "POST":
            self.answer(429, b'{"code": "rate_limited"}', {"Retry-After": "0"})
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        reply = httpx.request(
            self.command, f"{self.target}{self.path}", content=body, headers=headers, timeout=60, trust_env=False
        )
        if attempt == 3 and self.command == "POST":
            self.close_connection = True  # stored, and the answer is lost
            return
        self.answer(reply.status_code, reply.content, {"Content-Type": reply.headers["Content-Type"]})

    do_GET = do_POST = handle_any  # noqa: N815 - the names that http.server calls

    def identity(self, body: bytes) -> bytes:
        return f"{self.command} {self.path} ".encode() + body

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture
def flaky(server: Server) -> Iterator[str]:
    handler = type("Way", (Flaky,), {"target": server.url, "faults": {}})
    way = ThreadingHTTPServer(("127.0.0.1", find_free_port()), handler)
    way.daemon_threads = True
    thread = in_background(way.serve_forever)
    yield f"http://127.0.0.1:{way.server_address[1]}"
    way.shutdown()
    way.server_close()
    finish(thread)


@pytest.mark.slow
def test_on_a_bad_network_everything_arrives_once(person, flaky, key, monkeypatch):
    monkeypatch.setattr("examples.agent.FIRST_PAUSE", 0.01)
    with Agent(flaky, key, **FACTS) as agent:
        thread = in_background(lambda: work(agent, "edit"))
        approve(person, agent, decision="approve")
        finish(thread)
        events = person.read(f"sessions/{agent.id}/events?limit=500")["items"]
        kinds = [event["type"] for event in events if not event["type"].startswith("server.")]
        assert kinds[:4] == ["turn_start", "thinking_start", "thinking_delta", "thinking_done"]
        for once in ("turn_start", "turn_end", "approval_request", "footer", "text_done"):
            assert kinds.count(once) == 1, once
        assert kinds.count("tool_call_start") == kinds.count("tool_call_result") == 2
        streamed = "".join(event["text"] for event in person.events(agent.id, "text_delta"))
        assert person.messages(agent.id)[-1] == ("assistant", streamed)
        assert len(person.messages(agent.id)) == 6


def test_a_key_that_is_refused_is_told_at_once(server):
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        Agent(server.url, "koda_wrong", **FACTS)
