"""The storage over a real server process, as reqwest sends it: HTTP/1.1, few headers, bodies of megabytes."""

import http.client
import uuid

import httpx
import pytest

from tests.api.stakpak import rust
from tests.api.stakpak.calling import call, result, says, usage, user
from tests.conftest import Server


class Remote:
    """The client with an endpoint as a person types it, slash and all."""

    def __init__(self, endpoint: str, key: str) -> None:
        self.endpoint = endpoint
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "Stakpak/0.3.88"}
        self.http = httpx.Client(headers=headers, trust_env=False, timeout=60)
        for unasked in ("Accept", "Accept-Encoding"):
            del self.http.headers[unasked]

    def send(self, method: str, path: str, read, **more):
        url = f"{self.endpoint}/v1{path}"
        response = self.http.request(method, url, follow_redirects=True, **more)
        assert not response.history
        return rust.read_answer(response.status_code, response.reason_phrase, response.content, read, url=url)


@pytest.fixture
def remote(server: Server):
    key = server.manage(
        "createapikey", f"s-{uuid.uuid4().hex[:8]}", "--user", "owner", "--scope", "read", "--scope", "write",
        "--prefix", "stkpk_api", "--plain",
    ).strip()  # fmt: skip
    assert key.startswith("stkpk_api")
    client = Remote(f"{server.url}/", key)
    yield client
    client.http.close()


def test_a_run_as_the_agent_makes_it(remote):
    """Start, first turn, steps, title, resume, list, delete: the calls of contracts/stakpak.md 2.5 in their order."""
    assert remote.send("GET", "/account", rust.ACCOUNT)["username"] == "owner"
    history = [user("make the build faster " + "x" * 50_000)]
    body = {"title": "make the build faster", "visibility": "PRIVATE", "cwd": "/srv", "state": {"messages": history}}
    made = remote.send("POST", "/sessions", rust.CREATED, json=body)
    session, parent = made["session_id"], made["checkpoint"]["id"]
    for step in range(3):
        if step:
            parent = remote.send("GET", f"/sessions/{session}", rust.ONE_SESSION)["session"]["active_checkpoint"]["id"]
        ending = says(f"step {step}\n", call(f"c{step}"), **usage(10, 1))
        body = {"state": {"messages": [*history, ending]}, "parent_id": parent}
        newest = remote.send("POST", f"/sessions/{session}/checkpoints", rust.ONE_CHECKPOINT, json=body)["checkpoint"]
        history += [says(f"step {step}", call(f"c{step}")), result(f"c{step}", "y" * 500_000)]
    renamed = remote.send("PATCH", f"/sessions/{session}", rust.ONE_SESSION, json={"title": "Faster builds"})
    assert renamed["session"]["active_checkpoint"]["id"] == newest["id"]
    assert remote.send("GET", f"/sessions/checkpoints/{newest['id']}", rust.ONE_CHECKPOINT)["checkpoint"] == newest
    listed = remote.send("GET", "/sessions?limit=20&offset=0", rust.SESSIONS)["sessions"]
    assert (listed[0]["id"], listed[0]["title"], listed[0]["message_count"]) == (session, "Faster builds", 6)
    assert len(remote.send("GET", f"/sessions/{session}/checkpoints", rust.CHECKPOINTS)["checkpoints"]) == 4
    remote.send("DELETE", f"/sessions/{session}", None)
    assert session not in {one["id"] for one in remote.send("GET", "/sessions", rust.SESSIONS)["sessions"]}


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/sessions/8f400a01-4290-4011-a429-0e1d40140029", "NotFound"),
        ("GET", "/sessions/no-uuid", "NotFound"),
        ("GET", "/nothing/here/", "NotFound"),
        ("PUT", "/sessions", "InvalidRequest"),
        ("GET", "/sessions?limit=x", "InvalidRequest"),
    ],
)
def test_errors_are_what_the_client_takes_them_for(remote, method, path, kind):
    with pytest.raises(rust.StorageError) as caught:
        remote.send(method, path, rust.SESSIONS)
    assert caught.value.kind == kind


def test_a_body_over_the_limit_is_refused_before_it_is_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "//v1/sessions")
    connection.putheader("Content-Length", str(65 * 1024**2))
    connection.endheaders()
    response = connection.getresponse()
    body = response.read(int(response.headers["Content-Length"]))
    connection.close()
    with pytest.raises(rust.StorageError) as caught:
        rust.read_answer(response.status, response.reason, body, rust.CREATED)
    assert caught.value.kind == "Internal"
    assert "limit" in caught.value.message


def test_a_stranger_is_unauthorized(server):
    stranger = Remote(server.url, "stkpk_api_stranger")
    with pytest.raises(rust.StorageError) as caught:
        stranger.send("GET", "/account", rust.ACCOUNT)
    assert caught.value.kind == "Unauthorized"
    stranger.http.close()
