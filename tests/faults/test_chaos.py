"""Bad days: servers are killed, Redis goes and comes back, its messages are dropped, and readers stall.

Real processes and real sockets, on SQLite with one server or, where KODA_DATABASE_URL and KODA_REDIS_URL name them, on
PostgreSQL and Redis with two. In the end every follower's view equals the database, none saw anything twice, and
nothing that was acknowledged is missing. It ends by itself: every loop has a count or a deadline.
"""

import asyncio
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import OWNER, PASSWORD, Server, find_free_port, launch, prepare, stop_server
from tests.faults.followers import LAGGING, Board, Follower, Page, Program, Wall, rows_of
from tests.tunnel import Tunnel

pytestmark = pytest.mark.slow

SESSIONS = 4
PROGRAMS, PAGES, BOARDS, WALLS = 136, 30, 20, 14  # two hundred sockets
STALLED_PROGRAMS, STALLED_PAGES, STALLED_WALLS = 4, 10, 2
FLOODS, FLOOD_EVENTS, FLOOD_CHARACTERS = 5, 10, 100_000
PAUSE_SECONDS = 0.2  # of a writer, so that two hundred readers and four writers fit on a small machine
STALL_SECONDS = 10  # twice a hurried server's patience; Redis is away for as long
SETTLE_SECONDS = 20
WITHIN_SECONDS = 240
HURRIED = ("-m", "tests.faults.hurried")


class Deaf(Tunnel):
    """A line to Redis on which a part of what is published never arrives."""

    dropped = 0
    _PUBLISHED = re.compile(rb"([*>]3\r\n\$7\r\nmessage\r\n\$\d+\r\n[^\r\n]*\r\n\$(\d+)\r\n)")

    def passes(self, data: bytes) -> bool:
        """Say whether what Redis said is to be carried on: of whole published messages only every other one."""
        found = self._PUBLISHED.match(data)
        if found and len(data) == found.end() + int(found[2]) + 2 and random.random() < 0.5:
            self.dropped += 1
            return False
        return True


@dataclass
class House:
    """The servers on one database, and the line to their Redis."""

    servers: list[Server]
    redis: Deaf | None

    def kill(self, which: int) -> None:
        """SIGKILL, then a new process on the same data and port."""
        killed = self.servers[which]
        killed.process.kill()
        killed.process.wait()
        self.servers[which] = launch(killed.data_dir, killed.environment, port=killed.port, command=HURRIED)


@dataclass
class Writer:
    """An agent that sends each thing until the server has said that it is stored."""

    client: httpx.AsyncClient
    session: str
    events: list[str] = field(default_factory=list)
    """Ids of the events that were acknowledged."""
    messages: list[int] = field(default_factory=list)
    has_ended: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self) -> None:
        turn = 0
        while not self.is_over.is_set():
            await self.take_turn(f"turn-{turn}")
            turn += 1
        self.has_ended = True

    async def take_turn(self, turn: str) -> None:
        """Run one turn with two tool calls, one of which stays without a result."""
        told = {"turn_id": turn}
        await self.tell({"type": "turn_start", **told})
        deltas = [uuid.uuid4().hex for _ in range(3)]
        await self.tell(*({"type": "text_delta", "text": f"{name} ", "event_id": name, **told} for name in deltas))
        calls = [f"{turn}-a", f"{turn}-b"]
        await self.say(
            "assistant", tool_calls=[{"id": one, "function_name": "Read", "arguments": "{}"} for one in calls]
        )
        await self.tell(*({"type": "tool_call_start", "id": one, "name": "Read", "args": {}, **told} for one in calls))
        await self.tell({"type": "tool_call_result", "id": calls[0], "name": "Read", "output": "fine", **told})
        await self.say("tool", content="fine", tool_call_id=calls[0])
        reason = random.choice([{"kind": "complete"}, {"kind": "cancelled"}, {"kind": "error", "message": "m"}])
        await self.tell({"type": "turn_end", "reason": reason, **told})

    async def flood(self) -> None:
        """Say more than the buffers of the machine hold."""
        for _ in range(FLOODS):
            await self.tell(*[{"type": "info", "message": "x" * FLOOD_CHARACTERS}] * FLOOD_EVENTS)

    async def tell(self, *events: dict[str, Any]) -> None:
        named = [{"event_id": uuid.uuid4().hex, **event} for event in events]
        await self._send("events", {"events": named})
        self.events += [event["event_id"] for event in named]

    async def say(self, role: str, **facts: Any) -> None:
        answer = await self._send("messages", {"role": role, "client_id": uuid.uuid4().hex, **facts})
        self.messages += answer["ids"]

    async def _send(self, what: str, body: dict[str, Any]) -> Any:
        while True:
            try:
                answer = await self.client.post(f"/api/v1/sessions/{self.session}/{what}", json=body)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if answer.status_code == 201:
                await asyncio.sleep(PAUSE_SECONDS)
                return answer.json()
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(PAUSE_SECONDS)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """One server on SQLite; or two on PostgreSQL and Redis, where the environment names both."""
    database, redis = os.environ.get("KODA_DATABASE_URL", ""), os.environ.get("KODA_REDIS_URL", "")
    settings = {"KODA_RATE_LIMIT": "1000000"}  # Counted, in Redis where there is one, and never reached.
    if not (database and redis):
        yield from _serve(House([], None), [tmp_path / "data"], settings)
        return
    import psycopg

    name = f"chaos_{uuid.uuid4().hex[:8]}"
    address = httpx.URL(redis)
    tunnel = Deaf(address.port or 6379)
    with psycopg.connect(database, autocommit=True) as postgres:
        postgres.execute(f"CREATE DATABASE {name}")
        try:
            settings |= {
                "KODA_DATABASE_URL": str(httpx.URL(database).copy_with(path=f"/{name}")),
                "KODA_REDIS_URL": str(address.copy_with(port=tunnel.port)),
                "KODA_SECRET_KEY": uuid.uuid4().hex * 2,
            }
            yield from _serve(House([], tunnel), [tmp_path / "one", tmp_path / "two"], settings)
        finally:
            tunnel.close()
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _serve(house: House, folders: list[Path], settings: dict[str, str]) -> Iterator[House]:
    try:
        for folder in folders:
            environment = prepare(folder, **settings)
            house.servers.append(launch(folder, environment, port=find_free_port(), command=HURRIED))
        yield house
        for server in house.servers:
            stop_server(server)
    finally:
        for server in house.servers:
            server.process.kill()
            server.process.wait()


async def test_what_everybody_sees_outlives_the_worst_of_days(house: House):
    async with asyncio.timeout(WITHIN_SECONDS), _people(house) as (programs, browsers):
        writers = [Writer(client, await _start(client)) for client in _dealt(programs, SESSIONS)]
        flooder = Writer(programs[0], await _start(programs[0]))
        followers = _followers(programs, browsers, [writer.session for writer in writers])
        swamped = [
            Program(_place(programs[0]), programs[0], session=flooder.session, is_narrow=True)
            for _ in range(STALLED_PROGRAMS)
        ]
        followers = [*swamped, *followers[STALLED_PROGRAMS:]]
        assert len(followers) == 200
        following = [asyncio.create_task(follower.follow()) for follower in followers]
        writing = [asyncio.create_task(writer.work()) for writer in writers]
        try:
            await _worst_of_days(house, followers, swamped, writers, flooder)
            await asyncio.gather(*writing)
            await _agree(programs[0], browsers[0], followers, [*writers, flooder])
        finally:
            await _end([*following, *writing])
    if house.redis is not None:
        assert house.redis.dropped > 0


async def _worst_of_days(
    house: House, followers: list[Follower], swamped: list[Program], writers: list[Writer], flooder: Writer
) -> None:
    """Do all that may happen to a server and its readers while they go on; returns when the writers may end."""
    await _more_is_written(writers)
    for which in (0, -1):
        await asyncio.to_thread(house.kill, which)
        await _more_is_written(writers)
    pages = [follower for follower in followers if isinstance(follower, Page)][:STALLED_PAGES]
    walls = [follower for follower in followers if isinstance(follower, Wall)][:STALLED_WALLS]
    stalled: list[Follower] = [*swamped, *pages, *walls]
    for follower in stalled:
        follower.closes.clear()
        follower.may_take.clear()
    if house.redis is not None:
        house.redis.cut()
    await _more_is_written(writers)
    await flooder.flood()
    await asyncio.sleep(STALL_SECONDS)
    if house.redis is not None:
        house.redis.mend()
    await _until(lambda: all(follower.closes[LAGGING] for follower in (*pages, *walls)))
    for follower in stalled:
        follower.may_take.set()
    await _until(lambda: all(follower.closes for follower in swamped))  # The code came after what they had not taken.
    await _more_is_written(writers)
    for writer in writers:
        writer.is_over.set()


async def _agree(  # noqa: C901 - one case a kind of follower
    program: httpx.AsyncClient, browser: httpx.AsyncClient, followers: list[Follower], writers: list[Writer]
) -> None:
    """Hold what each has seen against what the database now says, once all have come to the end."""
    shown = {writer.session: await _shown(browser, writer.session) for writer in writers}  # Its owner has now seen it.
    logs = {writer.session: await _items(program, f"sessions/{writer.session}/events", "seq") for writer in writers}
    for writer in writers:
        await _hold(program, writer, logs[writer.session])
    for follower in followers:
        if isinstance(follower, Program):
            await _until(lambda: follower.seen >= len(logs[follower.session]))  # noqa: B023 - awaited here
    truths = {writer.session: await _truth(program, writer.session) for writer in writers}
    listed = {row["id"]: {word: row[word] for word in Board.WORDS} for row in await _list(program)}
    rows = rows_of((await browser.get("/")).text)
    for follower in followers:
        match follower:
            case Program():
                assert _view(follower) == truths[follower.session]
            case Page():
                await _comes_to(lambda: follower.cursor, len(logs[follower.session]))  # noqa: B023 - awaited here
                assert _look(follower) == _look(shown[follower.session])
            case Board():
                await _comes_to(lambda: follower.shown, listed)  # noqa: B023
            case Wall():
                await _comes_to(lambda: follower.rows, rows)  # noqa: B023
        assert follower.repeats == [], "none saw anything twice"


async def _hold(client: httpx.AsyncClient, writer: Writer, log: list[dict[str, Any]]) -> None:
    """Hold the log of a session against what its writer was told is stored."""
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert [name for event in log for name in _names(event)] == writer.events, "what was acknowledged is there, once"
    kept = [row["id"] for row in await _items(client, f"sessions/{writer.session}/messages?view=all", "id")]
    assert kept == writer.messages, "each message once, in order"


def _view(follower: Program) -> dict[str, Any]:
    """Return what a program has come to, from events alone."""
    folded = follower.folded
    outcomes = {turn: [call.outcome for call in folded.calls if call.turn_id == turn] for turn in folded.turns}
    return {
        "session": (folded.state, folded.turn_id, folded.liveness, folded.needs),
        "turns": folded.turns,
        "tools": {
            turn: (len(found), found.count("success"), found.count("aborted")) for turn, found in outcomes.items()
        },
        "messages": follower.messages,
    }


async def _truth(client: httpx.AsyncClient, session: str) -> dict[str, Any]:
    """Return the same from the tables."""
    row = (await client.get(f"/api/v1/sessions/{session}")).json()
    turns = await _items(client, f"sessions/{session}/turns", None)
    tools = {turn["turn_id"]: turn["tools"] for turn in turns}
    return {
        "session": (row["state"], row["turn_id"], row["liveness"], row["needs"]),
        "turns": {turn["turn_id"]: turn["reason"] and turn["reason"]["kind"] for turn in turns},
        "tools": {turn: (found["total"], found["successful"], found["aborted"]) for turn, found in tools.items()},
        "messages": [message["id"] for message in await _items(client, f"sessions/{session}/messages?view=all", "id")],
    }


def _look(page: Page) -> tuple[Any, ...]:
    """Return what can be compared of two pages: one that was followed, and one that was just opened."""
    newest = page.messages[-20:]
    return (newest, page.verdict, sorted(page.tools.items())[-20:])


async def _shown(browser: httpx.AsyncClient, session: str) -> Page:
    page = Page("", browser, session=session)
    await page.prepare()
    return page


def _names(event: dict[str, Any]) -> list[str]:
    """Return the ids of the events that a row of the log holds: the deltas say theirs in their text."""
    if event["type"] == "text_delta":
        return str(event["text"]).split()
    return [event["event_id"]] if event["event_id"] else []


async def _items(client: httpx.AsyncClient, path: str, by: str | None) -> list[dict[str, Any]]:
    """Return all items of a list, page after page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        answer = (await client.get(f"/api/v1/{path}", params={**httpx.URL(path).params, **more})).json()
        items += answer["items"]
        cursor = answer["next_cursor"]
    return sorted(items, key=lambda item: item[by]) if by else items


async def _list(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await client.get("/api/v1/sessions?limit=500")).json()["items"]


async def _more_is_written(writers: list[Writer]) -> None:
    """Wait until each writer has got on by a few events."""
    before = [len(writer.events) for writer in writers]
    await _until(lambda: all(len(one.events) > count + 3 for one, count in zip(writers, before, strict=True)))


def _followers(
    programs: list[httpx.AsyncClient], browsers: list[httpx.AsyncClient], sessions: list[str]
) -> list[Follower]:
    """Return two hundred followers, spread over the servers and the sessions."""
    session = cycle(sessions)
    return [
        *(Program(_place(client), client, session=next(session)) for client in _dealt(programs, PROGRAMS)),
        *(Page(_place(client), client, session=next(session)) for client in _dealt(browsers, PAGES)),
        *(Board(_place(client), client) for client in _dealt(programs, BOARDS)),
        *(Wall(_place(client), client) for client in _dealt(browsers, WALLS)),
    ]


def _dealt(clients: list[httpx.AsyncClient], count: int) -> Iterable[httpx.AsyncClient]:
    return [clients[number % len(clients)] for number in range(count)]


def _place(client: httpx.AsyncClient) -> str:
    return client.base_url.netloc.decode()


@asynccontextmanager
async def _people(house: House) -> AsyncIterator[tuple[list[httpx.AsyncClient], list[httpx.AsyncClient]]]:
    """Give a client with a key, and one who has signed in, for each server."""
    key = house.servers[0].create_key("chaos", "write", "read")
    limits = httpx.Limits(max_connections=20)
    async with asyncio.TaskGroup():
        programs = [
            httpx.AsyncClient(
                base_url=server.url, timeout=20, trust_env=False, limits=limits,
                headers={"Authorization": f"Bearer {key}"},
            )
            for server in house.servers
        ]  # fmt: skip
        browsers = [
            httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False, limits=limits)
            for server in house.servers
        ]
    try:
        for browser in browsers:
            form = (await browser.get("/sign-in/")).text
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]*)"', form)
            assert token
            said = {"username": OWNER, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
            assert (await browser.post("/sign-in/", data=said)).status_code == 302
        yield programs, browsers
    finally:
        for client in (*programs, *browsers):
            await client.aclose()


async def _start(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/v1/sessions", json={"agent_name": "koda", "title": "Chaos"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _until(is_so: Any) -> None:
    """Wait until something is so; the test's own deadline ends a wait in vain."""
    while not is_so():  # noqa: ASYNC110 - processes and sockets tell, nothing signals
        await asyncio.sleep(0.02)


async def _comes_to(view: Callable[[], Any], truth: Any) -> None:
    """Wait until a view is as it should be; fail with the difference when it does not become so."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (seen := view()) != truth and time.monotonic() < deadline:  # noqa: ASYNC110 - sockets tell, nothing signals
        await asyncio.sleep(0.05)
    assert seen == truth


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel, and raise what ended a task before its time."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
