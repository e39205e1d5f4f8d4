"""Bad days: a server that is killed while many follow and write; nothing is lost, doubled or out of order.

Real processes and real sockets. It ends by itself: every loop has a count or a deadline.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.conftest import Server, launch, start_server, stop_server

pytestmark = pytest.mark.slow

SESSIONS = 4
FOLLOWERS = 200
STALLED = 20  # of the followers; they stop reading while the server is away
EVENTS = 60  # of each session
KILLS = 2
WITHIN_SECONDS = 240
RETRY_SECONDS = 0.1


@dataclass
class Follower:
    """A program that follows one session and comes back to where it stood, whatever happens."""

    url: str
    key: str
    session: str
    seen: list[int] = field(default_factory=list)
    may_read: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except (OSError, WebSocketException, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow_once(self) -> None:
        place = f"{self.url}/ws/api/v1/sessions/{self.session}/?after={self.seen[-1] if self.seen else 0}"
        headers = {"Authorization": f"Bearer {self.key}"}
        async with connect(place, additional_headers=headers, open_timeout=20, close_timeout=1) as socket:
            async for text in socket:
                await self.may_read.wait()
                frame = json.loads(text)
                if "seq" in frame:
                    self.seen.append(frame["seq"])


@dataclass
class Writer:
    """An agent that sends each event until the server has said that it is stored."""

    client: httpx.AsyncClient
    session: str
    acknowledged: list[str] = field(default_factory=list)

    async def write(self) -> None:
        for number in range(EVENTS):
            await self._send(f"{self.session}-{number}")

    async def _send(self, event_id: str) -> None:
        body = {"events": [{"type": "info", "message": event_id, "event_id": event_id}]}
        while True:
            try:
                answer = await self.client.post(f"/api/v1/sessions/{self.session}/events", json=body)
            except httpx.TransportError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if answer.status_code == 201:
                self.acknowledged.append(event_id)
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(RETRY_SECONDS)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as talking:
        yield talking


async def test_followers_and_writers_outlive_a_server_that_is_killed(client: httpx.AsyncClient, tmp_path: Path):
    servers = [start_server(tmp_path / "data")]
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            await _play(servers, client)
    finally:
        stop_server(servers[-1])


async def _play(servers: list[Server], client: httpx.AsyncClient) -> None:
    """Kill and restart the server while all go on, then hold what each has seen against the log."""
    server = servers[-1]
    key = server.create_key("chaos", "write", "read")
    client.base_url = httpx.URL(server.url)
    client.headers["Authorization"] = f"Bearer {key}"
    writers = [Writer(client, await _start(client, number)) for number in range(SESSIONS)]
    url = server.url.replace("http", "ws")
    followers = [Follower(url, key, writers[number % SESSIONS].session) for number in range(FOLLOWERS)]
    for follower in followers:
        follower.may_read.set()
    following = [asyncio.create_task(follower.follow()) for follower in followers]
    writing = [asyncio.create_task(writer.write()) for writer in writers]
    try:
        for kill in range(1, KILLS + 1):
            await _until(lambda: _written(writers) >= kill * SESSIONS * EVENTS // (KILLS + 1))  # noqa: B023 - awaited here
            await _kill_and_restart(servers, followers[:STALLED])
        await asyncio.gather(*writing)
        logs = {writer.session: await _log(client, writer.session) for writer in writers}
        for follower in followers:
            await _until(lambda: follower.seen and follower.seen[-1] >= len(logs[follower.session]))  # noqa: B023
    finally:
        for task in (*following, *writing):
            task.cancel()
        await asyncio.gather(*following, *writing, return_exceptions=True)
    for follower in followers:
        assert follower.seen == list(range(1, len(logs[follower.session]) + 1)), "each once, in order, without a gap"
    for writer in writers:
        stored = [event["event_id"] for event in logs[writer.session] if event["type"] == "info"]
        assert stored == writer.acknowledged, "what was acknowledged is there, once"


async def _start(client: httpx.AsyncClient, number: int) -> str:
    answer = await client.post("/api/v1/sessions", json={"agent_name": "koda", "title": f"Chaos {number}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _kill_and_restart(servers: list[Server], stalled: list[Follower]) -> None:
    """SIGKILL, then a new process on the same data and port; some followers stop reading in the meantime."""
    for follower in stalled:
        follower.may_read.clear()
    killed = servers[-1]
    killed.process.kill()
    await asyncio.to_thread(killed.process.wait)
    servers.append(await asyncio.to_thread(launch, killed.data_dir, killed.environment, port=killed.port))
    for follower in stalled:
        follower.may_read.set()


async def _log(client: httpx.AsyncClient, session: str) -> list[dict]:
    """Return the whole log as the API tells it."""
    events: list[dict] = []
    while True:
        after = events[-1]["seq"] if events else 0
        answer = await client.get(f"/api/v1/sessions/{session}/events?after={after}&limit=500")
        answer.raise_for_status()
        items = answer.json()["items"]
        if not items:
            return events
        events += items


def _written(writers: list[Writer]) -> int:
    return sum(len(writer.acknowledged) for writer in writers)


async def _until(is_so) -> None:
    """Wait until something is so; the test's own deadline ends a wait in vain."""
    while not is_so():  # noqa: ASYNC110 - processes and sockets tell, nothing signals
        await asyncio.sleep(0.02)
