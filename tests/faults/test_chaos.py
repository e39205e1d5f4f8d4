"""Bad days: servers are killed, Redis goes and comes back, its messages are dropped, and readers stall.

Real processes and real sockets, on SQLite with one server or, where KODA_DATABASE_URL and KODA_REDIS_URL name them, on
PostgreSQL and Redis with two. In the end every follower's view equals the database, none saw anything twice, and
nothing that was acknowledged is missing. It ends by itself: every loop has a count or a deadline.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import truth
from tests.faults.followers import LAGGING, Board, Follower, Page, Program, Wall, rows_of
from tests.faults.house import House, housing, people
from tests.faults.turns import TurnTaker, start

pytestmark = pytest.mark.slow

SESSIONS = 4
PROGRAMS, PAGES, BOARDS, WALLS = 136, 30, 20, 14  # two hundred sockets
STALLED_PROGRAMS, STALLED_PAGES, STALLED_WALLS = 4, 12, 4
STALL_SECONDS = 10  # twice a hurried server's patience; Redis is away for as long
WITHIN_SECONDS = 240


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with housing(tmp_path) as house:
        yield house


async def test_what_everybody_sees_outlives_the_worst_of_days(house: House):
    async with asyncio.timeout(WITHIN_SECONDS), people(house) as (programs, browsers):
        writers = [await start(client) for client in _dealt(programs, SESSIONS)]
        flooder = await start(programs[0])
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
    house: House, followers: list[Follower], swamped: list[Program], writers: list[TurnTaker], flooder: TurnTaker
) -> None:
    """Do all that may happen to a server and its readers while they go on; returns when the writers may end."""
    await _more_is_written(writers)
    for which in (0, -1):
        await asyncio.to_thread(house.kill, which)
        await _more_is_written(writers)
    pages = [follower for follower in followers if isinstance(follower, Page)][:STALLED_PAGES]
    walls = [follower for follower in followers if isinstance(follower, Wall)][:STALLED_WALLS]
    stalled: list[Follower] = [*swamped, *pages, *walls]
    # Who has not come back yet could take nothing in, and would not be missed.
    await _until(lambda: all(follower.is_let_in for follower in stalled))
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
    program: httpx.AsyncClient, browser: httpx.AsyncClient, followers: list[Follower], writers: list[TurnTaker]
) -> None:
    """Hold what each has seen against what the database now says, once all have come to the end."""
    # By which its owner has now seen it.
    shown = {writer.session: await truth.shown(browser, writer.session) for writer in writers}
    logs = {
        writer.session: await truth.items_of(program, f"sessions/{writer.session}/events", "seq") for writer in writers
    }
    for writer in writers:
        await truth.hold(program, writer, logs[writer.session])
    for follower in followers:
        if isinstance(follower, Program):
            await _until(lambda: follower.seen >= len(logs[follower.session]))  # noqa: B023 - awaited here
    truths = {writer.session: await truth.truth_of(program, writer.session) for writer in writers}
    listed = {row["id"]: {word: row[word] for word in Board.WORDS} for row in await truth.rows(program)}
    rows = rows_of((await browser.get("/")).text)
    for follower in followers:
        match follower:
            case Program():
                assert truth.view_of(follower) == truths[follower.session]
            case Page():
                await truth.comes_to(lambda: follower.cursor, len(logs[follower.session]))  # noqa: B023 - awaited here
                assert truth.look_of(follower) == truth.look_of(shown[follower.session])
            case Board():
                await truth.comes_to(lambda: follower.shown, listed)  # noqa: B023
            case Wall():
                await truth.comes_to(lambda: follower.rows, rows)  # noqa: B023
        assert follower.repeats == [], "none saw anything twice"


async def _more_is_written(writers: list[TurnTaker]) -> None:
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


async def _until(is_so: Any) -> None:
    """Wait until something is so; the test's own deadline ends a wait in vain."""
    while not is_so():  # noqa: ASYNC110 - processes and sockets tell, nothing signals
        await asyncio.sleep(0.02)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel, and raise what ended a task before its time."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
