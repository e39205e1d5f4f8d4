"""Real servers and a real receiver: what a killed server was to tell, the next one tells; two tell once."""

import httpx
import pytest

from tests.conftest import HURRIED, Server, start_server, stop_server
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.slow

START = {"type": "turn_start", "turn_id": "t"}
ASKS = {"type": "approval_request", "id": "a", "tool_name": "Bash", "turn_id": "t"}


def add_webhook(server: Server, receiver: Receiver) -> None:
    server.manage(
        "shell", "--no-imports", "--command",
        "from django.contrib.auth.models import User; from sessions.models import Webhook\n"
        f"Webhook.objects.register(owner=User.objects.get(username='owner'), url={receiver.url!r})",
    )  # fmt: skip


def ask(server: Server, key: str, title: str) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False, timeout=20) as agent:
        session = agent.post("/sessions", json={"agent_name": "koda", "title": title}).raise_for_status().json()["id"]
        agent.post(f"/sessions/{session}/events", json={"events": [START, ASKS]}).raise_for_status()
    return session


def test_a_server_that_is_killed_leaves_what_it_was_to_tell_to_the_next(tmp_path):
    with receiving() as receiver:
        receiver.status = 503
        first = start_server(tmp_path / "data", command=HURRIED, KODA_WEBHOOK_PRIVATE="on")
        try:
            add_webhook(first, receiver)
            key = first.create_key("laptop")
            sessions = [ask(first, key, "tried once")]
            receiver.wait_for(calls=1)
            sessions.append(ask(first, key, "never tried"))
        finally:
            first.process.kill()
            first.process.wait()
        before = len(receiver.calls)
        receiver.status = 204
        second = start_server(tmp_path / "data", command=HURRIED, KODA_WEBHOOK_PRIVATE="on")
        try:
            receiver.wait_for(calls=before + 2)
        finally:
            stop_server(second)
        assert sorted(told["session"] for told in receiver.told[before:]) == sorted(sessions)
        assert receiver.told[0]["id"] in {told["id"] for told in receiver.told[before:]}


def test_two_servers_on_one_database_tell_everything_once(tmp_path):
    with receiving() as receiver:
        servers = [start_server(tmp_path / "data", KODA_WEBHOOK_PRIVATE="on")]
        try:
            servers.append(start_server(tmp_path / "data", KODA_WEBHOOK_PRIVATE="on"))
            add_webhook(servers[0], receiver)
            key = servers[0].create_key("laptop")
            sessions = [ask(servers[number % 2], key, f"s{number}") for number in range(12)]
            receiver.wait_for(calls=12)
            for number in (12, 13):  # each a round more, in which a second call of the others would come
                sessions.append(ask(servers[0], key, f"s{number}"))
                receiver.wait_for(calls=number + 1)
        finally:
            for server in servers:
                stop_server(server)
        assert sorted(told["session"] for told in receiver.told) == sorted(sessions)
