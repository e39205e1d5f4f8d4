"""The servers of a bad day, the line to their Redis, and clients of those who speak to them."""

import os
import random
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import HURRIED, OWNER, PASSWORD, Server, find_free_port, launch, prepare, stop_server
from tests.tunnel import Tunnel


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


@contextmanager
def housing(folder: Path) -> Iterator[House]:
    """One server on SQLite; or two on PostgreSQL and Redis, where the environment names both."""
    database, redis = os.environ.get("KODA_DATABASE_URL", ""), os.environ.get("KODA_REDIS_URL", "")
    settings = {"KODA_RATE_LIMIT": "1000000"}  # Counted, in Redis where there is one, and never reached.
    if not (database and redis):
        yield from _serve(House([], None), [folder / "data"], settings)
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
            yield from _serve(House([], tunnel), [folder / "one", folder / "two"], settings)
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


@asynccontextmanager
async def people(house: House) -> AsyncIterator[tuple[list[httpx.AsyncClient], list[httpx.AsyncClient]]]:
    """Give a client with a key, and one who has signed in, for each server."""
    key = house.servers[0].create_key("chaos", "write", "read")
    limits = httpx.Limits(max_connections=20)
    programs, browsers = (
        [
            httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False, limits=limits, headers=headers)
            for server in house.servers
        ]
        for headers in ({"Authorization": f"Bearer {key}"}, {})
    )
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
