"""An export that cannot be read to its end is not taken for a whole one."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from tests.conftest import Server

PATIENCE = 20  # seconds
MESSAGES = 300


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.create_key('exports', 'write', 'read')}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def session(client: httpx.Client) -> str:
    made = client.post("/api/v1/sessions", json={"agent_name": "koda"}).json()["id"]
    for start in range(0, MESSAGES, 100):
        said = [{"role": "user", "content": f"{number} " + "word " * 1_000} for number in range(start, start + 100)]
        client.post(f"/api/v1/sessions/{made}/messages", json={"messages": said}).raise_for_status()
    return str(made)


@contextmanager
def unreadable_end(server: Server) -> Iterator[None]:
    """Write what is no text into the newest message, as no verb would."""
    where = "WHERE id = (SELECT max(id) FROM koda_sessions_message)"
    with closing(sqlite3.connect(server.data_dir / "koda.sqlite3", timeout=PATIENCE, isolation_level=None)) as database:
        ((before,),) = database.execute(f"SELECT content FROM koda_sessions_message {where}").fetchall()
        database.execute(f"UPDATE koda_sessions_message SET content = CAST(x'ff' AS TEXT) {where}")
        try:
            yield
        finally:
            database.execute(f"UPDATE koda_sessions_message SET content = ? {where}", (before,))


@pytest.mark.parametrize("form", ["json", "jsonl", "markdown", "html"])
def test_an_export_that_breaks_off_in_the_middle_is_seen_to_be_incomplete(server, client, session, form):
    path = f"/api/v1/sessions/{session}/export?format={form}"
    whole = client.get(path).raise_for_status().content
    taken = b""
    with unreadable_end(server), client.stream("GET", path) as answer:
        assert answer.status_code == 200
        try:
            for piece in answer.iter_raw():
                taken += piece
        except httpx.TransportError:
            pass
        else:
            pytest.fail(f"it looks whole: …{taken[-200:]!r}")
    assert 0 < len(taken) < len(whole)
    assert len(client.get(path).raise_for_status().content) == len(whole), "and the next is whole again"


@pytest.mark.parametrize("form", ["json", "jsonl", "markdown", "html"])
def test_who_leaves_an_export_in_the_middle_leaves_no_reader_behind(server, client, session, form):
    """A thread keeps its connection: a query not read to its end would keep the log from being written back."""
    for _ in range(3):
        with client.stream("GET", f"/api/v1/sessions/{session}/export?format={form}") as answer:
            assert next(answer.iter_raw())
    client.post(f"/api/v1/sessions/{session}/messages", json={"role": "user", "content": "after"}).raise_for_status()
    with closing(sqlite3.connect(server.data_dir / "koda.sqlite3", timeout=PATIENCE)) as database:
        until = time.monotonic() + PATIENCE
        while (told := database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())[0] and time.monotonic() < until:
            time.sleep(0.05)
    assert told == (0, 0, 0), "nobody stands in the way, and nothing is left in the log"
