"""demo: agents of every kind reach the tables through the public API, and the command ends as it should."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessions.management.demo_agent import Agent, Stage, Stopped
from sessions.management.demo_agents import PLAYS
from sessions.management.demo_replay import facts_of, load
from tests.conftest import ROOT, Server, find_free_port, make_environment, manage
from tests.importers.lines import SESSION, call, encode, make_answer, make_prompt, make_result, text

FAST = "40"
PARENT = encode(
    make_prompt("Send a scout"),
    make_answer("m1", call("c1", "Agent", prompt="Look north", subagent_type="scout")),
    make_result("c1", "Snow.", toolUseResult={"agentId": "a1", "agentType": "scout"}),
    make_answer("m2", text("There is snow."), output=9),
)
CHILD = encode(
    make_prompt("Look north", isSidechain=True, agentId="a1"),
    make_answer("m3", text("Snow."), isSidechain=True, agentId="a1"),
)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "project" / f"{SESSION}.jsonl"
    sub = path.with_suffix("") / "subagents" / "agent-a1.jsonl"
    sub.parent.mkdir(parents=True)
    path.write_bytes(PARENT)
    sub.write_bytes(CHILD)
    return path.parent


def get(server: Server, key: str, path: str, **query: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(f"{server.url}/api/v1/{path}", params=query, headers=headers, timeout=20, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_one_round_of_every_agent_reaches_the_server(server: Server):
    key = server.create_key("demo-once", "write", "read", "control")
    told = server.manage("demo", "--url", server.url, "--key", key, "--once", "--speed", FAST)
    assert f"{len(PLAYS) + 1} sessions were played" in told

    found = {
        (item["agent_name"], item["project_root"]): item
        for item in get(server, key, "sessions", source="demo-once", limit=100)["items"]
    }
    assert len(found) == len(PLAYS) + 1
    assert found["koda", "/home/mara/lighthouse"]["state"] == "idle"
    assert found["koda", "/home/mara/lighthouse"]["total_tokens"] > 0
    assert found["koda", "/home/mara/tide-tables"]["needs"] == "approval"
    assert found["archivist", "/home/jon/harbour-logs"]["needs"] == "loop_decision"
    assert found["mender", "/home/jon/old-ferry"]["state"] == "error"
    assert found["night-watch", "/home/jon/buoy-firmware"]["state"] == "running"
    scout, sender = found["scout", "/home/mara/almanac"], found["koda", "/home/mara/almanac"]
    assert scout["parent_id"] == sender["id"]
    assert scout["parent_tool_call_id"]
    builder = get(server, key, f"sessions/{found['builder', '/srv/sea-charts']['id']}/turns")["items"]
    assert [turn["reason"]["kind"] for turn in builder] == ["complete"]


@pytest.mark.slow
def test_an_answered_approval_lets_its_agent_go_on(server: Server):
    key = server.create_key("demo-answered", "write", "read", "control")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--url", server.url, "--key", key, "--speed", FAST],
        cwd=ROOT, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        waiting: list[dict[str, Any]] = []

        def is_asked() -> bool:
            waiting[:] = get(server, key, "sessions", source="demo-answered", needs="approval")["items"]
            return bool(waiting)

        wait_for(is_asked)
        session = waiting[0]["id"]
        events = get(server, key, f"sessions/{session}/events", limit=500)["items"]
        request = next(event for event in events if event["type"] == "approval_request")
        command = {"type": "approval_response", "id": request["id"], "decision": {"decision": "approve"}}
        answer = httpx.post(
            f"{server.url}/api/v1/sessions/{session}/commands",
            json=command, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=20,
        )  # fmt: skip
        assert answer.status_code == 201, answer.text
        wait_for(
            lambda: "spelled out" in get(server, key, f"sessions/{session}/messages/last", role="assistant")["content"]
        )
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "The demo is over" in out


def test_recorded_sessions_are_replayed_through_the_api(server: Server, recorded: Path):
    key = server.create_key("demo-replay", "write", "read")
    told = server.manage("demo", "--url", server.url, "--key", key, "--replay", str(recorded), "--speed", "1000")
    assert "2 sessions were played" in told

    items = get(server, key, "sessions", source="demo-replay")["items"]
    parent = next(item for item in items if item["agent_name"] == "claude-code")
    child = next(item for item in items if item["agent_name"] == "scout")
    assert (child["parent_id"], child["parent_tool_call_id"]) == (parent["id"], "c1")
    messages = get(server, key, f"sessions/{parent['id']}/messages", view="all")["items"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert parent["total_tokens"] == 2 * 10 + 5 + 9
    assert parent["state"] == "idle"
    types = [event["type"] for event in get(server, key, f"sessions/{parent['id']}/events", limit=500)["items"]]
    order = ["turn_start", "tool_call_start", "tool_call_result", "text_delta", "turn_end"]
    assert [kind for kind in types if kind in order] == order


@pytest.mark.slow
def test_serves_by_itself_and_ends_in_time(tmp_path: Path):
    port = find_free_port()
    environment = make_environment(tmp_path / "data")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--host", "127.0.0.1", "--port", str(port), "--speed", FAST, "--once"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, out
    assert f"watch them at http://127.0.0.1:{port}/" in out
    assert "Koda Web has stopped." in out
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
    count = "from sessions.models import ApiKey; print(ApiKey.objects.filter(revoked_at=None).count())"
    assert manage(environment, "shell", "--no-imports", "--command", count).strip() == "0"


def test_a_port_that_is_taken_is_told_before_anything_is_done(tmp_path: Path, server: Server):
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--host", "127.0.0.1", "--port", str(server.port)],
        cwd=ROOT, env=make_environment(tmp_path / "data"), capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode != 0
    assert "listens on" in done.stderr
    assert not list((tmp_path / "data").glob("*.sqlite3"))


def test_a_refused_key_fails_the_command(server: Server):
    with pytest.raises(AssertionError, match="agents were refused"):
        server.manage("demo", "--url", server.url, "--key", "koda_wrong", "--once", "--speed", FAST)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "http://127.0.0.1:1"], "--url and --key go together"),
        (["--url", "http://127.0.0.1:1", "--key", "koda_any"], "Nobody answers at http://127.0.0.1:1"),
        (["--url", "nonsense", "--key", "koda_any"], "Nobody answers at nonsense"),
        (["--speed", "0"], "--speed must be greater"),
        (["--replay", "nowhere"], "nothing at nowhere"),
    ],
)
def test_refuses_with_a_sentence(arguments, words, db):
    from django.core.management import CommandError, call_command

    with pytest.raises(CommandError, match=words):
        call_command("demo", *arguments)


def test_recordings_come_with_parents_first_and_their_links(recorded: Path):
    parent, child = load(recorded)
    assert (parent.session.key, child.session.key) == (SESSION, f"{SESSION}/agent-a1")
    assert facts_of(parent, parent_id=None)["title"] == "Send a scout"
    facts = facts_of(child, parent_id="id-of-parent")
    assert (facts["parent_id"], facts["parent_tool_call_id"], facts["agent_name"]) == ("id-of-parent", "c1", "scout")


def test_an_ended_stage_stops_whoever_waits():
    stage = Stage(speed=2)
    stage.pause(0)
    stage.end()
    assert stage.is_over
    with pytest.raises(Stopped):
        stage.pause(60)


def test_an_agent_waits_for_a_server_that_is_away_and_leaves_when_the_demo_ends():
    import threading

    stage, outcome = Stage(), []

    def come() -> None:
        try:
            Agent(url=f"http://127.0.0.1:{find_free_port()}", key="k", stage=stage, facts={"agent_name": "a"})
        except Stopped:
            outcome.append("stopped")

    thread = threading.Thread(target=come)
    thread.start()
    thread.join(0.4)
    assert thread.is_alive()
    stage.end()
    thread.join(10)
    assert outcome == ["stopped"]
