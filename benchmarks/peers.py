"""The neighbours of the field, in processes of their own with packages of their own (`benchmarks/peers.txt`).

Run with the interpreter of that environment: `python benchmarks/peers.py NAME PLACE`; prints what it did as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

SECONDS = 2
TEXT = ("the agent reads a file and changes two lines of it then runs the tests again " * 13)[:1000]


def openai_agents(place: Path, *, batch: int) -> float:
    """Return how many messages a second `SQLiteSession.add_items` takes, `batch` at a time."""
    from agents import SQLiteSession

    session = SQLiteSession("bench", place / f"openai-agents-{batch}.sqlite3")
    items = [{"role": "user", "content": TEXT} for _ in range(batch)]

    async def work() -> float:
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + SECONDS:
            await session.add_items(items)
            done += batch
        return done / (time.perf_counter() - began)

    return asyncio.run(work())


def openai_agents_load(place: Path) -> float:
    """Return how many milliseconds it takes to load a session of 10,000 messages."""
    from agents import SQLiteSession

    session = SQLiteSession("bench", place / "openai-agents-load.sqlite3")

    async def work() -> float:
        if not await session.get_items(limit=1):
            await session.add_items([{"role": "user", "content": TEXT} for _ in range(10_000)])
        began = time.perf_counter()
        assert len(await session.get_items()) == 10_000
        return (time.perf_counter() - began) * 1000

    return asyncio.run(work())


def langgraph_steps(place: Path) -> float:
    """Return how many checkpoints of 1,000 messages a second `SqliteSaver.put` takes."""
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(place / "langgraph-steps.sqlite3")) as saver:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"messages": [{"role": "user", "content": TEXT} for _ in range(1000)]}
        config = {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}}
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + SECONDS:
            checkpoint["id"] = f"{done:08}"
            config = saver.put(config, checkpoint, {}, {})
            done += 1
        return done / (time.perf_counter() - began)


FIGURES = {
    "openai-agents-1": lambda place: openai_agents(place, batch=1),
    "openai-agents-100": lambda place: openai_agents(place, batch=100),
    "openai-agents-load": openai_agents_load,
    "langgraph-steps": langgraph_steps,
}

if __name__ == "__main__":
    print(json.dumps(FIGURES[sys.argv[1]](Path(sys.argv[2]))))
