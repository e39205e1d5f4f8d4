"""openai-agents: `SQLiteSession`, which keeps no index and no events."""

import asyncio
import time
from pathlib import Path

from benchmarks.bodies import text_of


def append(place: Path, batch: float, seconds: float) -> float:
    """Return how many messages a second `add_items` takes, `batch` at a time."""
    from agents import SQLiteSession

    size = int(batch)
    session = SQLiteSession("bench", place / f"openai-agents-{size}.sqlite3")
    items = [{"role": "user", "content": text_of(number)} for number in range(size)]

    async def work() -> float:
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            await session.add_items(items)
            done += size
        return done / (time.perf_counter() - began)

    return asyncio.run(work())


def load(place: Path, count: float, looks: float) -> list[float]:
    """Return how many milliseconds it took, each of so many times, to load a session of `count` messages."""
    from agents import SQLiteSession

    session = SQLiteSession("bench", place / f"openai-agents-load-{int(count)}.sqlite3")

    async def work() -> list[float]:
        if not await session.get_items(limit=1):
            await session.add_items([{"role": "user", "content": text_of(number)} for number in range(int(count))])
        taken = []
        for _ in range(int(looks)):
            began = time.perf_counter()
            assert len(await session.get_items()) == count
            taken.append((time.perf_counter() - began) * 1000)
        return taken

    return asyncio.run(work())
