"""Sockets of a real server, spoken to over the network."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conftest import HURRIED, OWNER, PASSWORD, Server, start_server, stop_server

PATIENCE = 15  # seconds


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return server.create_key(f"live-{uuid.uuid4().hex[:8]}", "write", "read")


@pytest.fixture
def api(server: Server, key: str):
    with httpx.Client(
        base_url=f"{server.url}/api/v1", headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=PATIENCE
    ) as client:
        yield client


@pytest.fixture
def session(api) -> str:
    return api.post("/sessions", json={"agent_name": "koda"}).raise_for_status().json()["id"]


def follow(server: Server, key: str, session: str, *, after: int = 0):
    return connect(
        f"ws://127.0.0.1:{server.port}/ws/api/v1/sessions/{session}/?after={after}",
        additional_headers={"Authorization": f"Bearer {key}"},
        proxy=None,
        compression=None,
    )


def frames_of(socket, *, until: int) -> list[dict]:
    found: list[dict] = []
    while not found or found[-1].get("seq", 0) < until:
        found.append(json.loads(socket.recv(timeout=PATIENCE)))
    return [frame for frame in found if "seq" in frame]


@contextmanager
def signed_in(server: Server) -> Iterator[httpx.Client]:
    """A browser in which the owner has signed in."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE, headers={"Origin": server.url}) as client:
        form = client.get("/sign-in/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
        answer = client.post("/sign-in/", data={"username": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": token})
        assert answer.status_code == 302, answer.text
        yield client


@pytest.fixture
def browser(server: Server):
    with signed_in(server) as client:
        yield client


def test_what_is_posted_arrives_at_once(server, key, api, session):
    with follow(server, key, session, after=1) as socket:
        assert json.loads(socket.recv(timeout=PATIENCE))["last_seq"] == 1
        began = time.monotonic()
        api.post(f"/sessions/{session}/messages", json={"role": "user", "content": "hello"}).raise_for_status()
        (event,) = frames_of(socket, until=2)
        assert event["type"] == "server.messages_added"
        assert time.monotonic() - began < 5


def test_a_write_from_another_process_reaches_an_open_socket(server, key, session):
    code = (
        "from sessions.models import EventDraft, Session\nfrom sessions.protocol import ingest\n"
        f"session = Session.objects.get(uuid='{session}')\n"
        "for n in range(3): ingest(session.pk, [EventDraft(type='info', payload={'n': n})])"
    )
    with follow(server, key, session, after=1) as socket:
        socket.recv(timeout=PATIENCE)
        server.manage("shell", "--no-imports", "--command", code)
        began = time.monotonic()
        assert [event["n"] for event in frames_of(socket, until=4)] == [0, 1, 2]
        assert time.monotonic() - began < 5, "the keeper saw it, not the slow beat"


def test_events_of_megabytes_pass_a_client_that_takes_one_at_most(server, key, api, session):
    output = "x" * 3_000_000
    event = {"type": "tool_call_result", "id": "c1", "output": output}
    api.post(f"/sessions/{session}/events", json={"events": [event]}).raise_for_status()
    with follow(server, key, session, after=1) as socket:
        socket.recv(timeout=PATIENCE)
        pieces = [json.loads(socket.recv(timeout=PATIENCE))]
        while len(pieces) < pieces[0]["pieces"]:
            pieces.append(json.loads(socket.recv(timeout=PATIENCE)))
    assert json.loads("".join(piece["json"] for piece in pieces))["output"] == output


def open_socket(server: Server, browser: httpx.Client, path: str, *, origin: str | None = None):
    return connect(
        f"ws://127.0.0.1:{server.port}{path}",
        origin=origin or server.url,
        additional_headers={"Cookie": f"koda_session={browser.cookies['koda_session']}"},
        proxy=None,
    )


def socket_of(page: str) -> str:
    """Return where the page opens its socket, as link.js puts it together."""
    path = re.search(r'ws-connect="([^"]+)"', page)[1].replace("&amp;", "&")
    if "since=" in path:
        return path
    after = re.search(r'id="cursor" hidden data-seq="(\d+)"', page)[1]
    return f"{path}{'&' if '?' in path else '?'}after={after}"


def take_in(socket, message: str) -> None:
    """Acknowledge a batch, as link.js does."""
    number = re.search(r'id="cursor" hidden data-seq="(\d+)"', message)[1]
    socket.send(json.dumps({"ack": int(number)}))


def read_on(socket) -> None:
    """Take in whatever comes, until the server closes."""
    while True:
        message = socket.recv(timeout=20)
        if message.startswith("<"):
            take_in(socket, message)


def test_a_session_page_follows_its_session(server, browser, api, session):
    with open_socket(server, browser, socket_of(browser.get(f"/sessions/{session}/").text)) as socket:
        assert json.loads(socket.recv(timeout=PATIENCE))["type"] == "hello"
        for number in range(3):
            api.post(f"/sessions/{session}/messages", json={"role": "user", "content": f"as it happens {number}"})
            html = socket.recv(timeout=PATIENCE)
            assert f"as it happens {number}" in html
            take_in(socket, html)


def test_the_wall_is_told_of_a_session(server, browser, session):
    with open_socket(server, browser, socket_of(browser.get("/").text)) as socket:
        assert json.loads(socket.recv(timeout=PATIENCE))["type"] == "hello"
        html = ""
        while f'href="/sessions/{session}/"' not in html:
            html = socket.recv(timeout=PATIENCE)
            take_in(socket, html)


@pytest.mark.parametrize("origin", ["null", "http://127.0.0.1:9", "http://evil.example", "http://localhost:{port}"])
def test_pages_of_other_origins_are_refused_with_403(server, browser, origin):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(server, browser, "/ws/board/", origin=origin.format(port=server.port))
    assert refused.value.response.status_code == 403


def test_signing_out_closes_the_sockets_of_that_browser_within_a_beat(tmp_path):
    server = start_server(tmp_path, command=HURRIED)
    try:
        with signed_in(server) as browser, open_socket(server, browser, "/ws/board/") as socket:
            socket.recv(timeout=PATIENCE)
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/").text)[1]
            browser.post("/sign-out/", data={"csrfmiddlewaretoken": token})
            with pytest.raises(ConnectionClosed) as closed:
                read_on(socket)
    finally:
        stop_server(server)
    assert closed.value.rcvd.code == 4401


def test_an_unknown_path_is_refused_and_the_log_has_no_traceback(server):
    before = server.log.stat().st_size  # what other tests did is there, too
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/ws/nowhere/", proxy=None)
    assert refused.value.response.status_code == 403
    said = server.log.read_bytes()[before:]
    assert b"Traceback" not in said
