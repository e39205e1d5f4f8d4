"""langgraph-checkpoint-sqlite: states put whole, one behind the other, as a graph does after each step.

Their messages are plain dictionaries, or those of LangChain, in which a graph keeps a conversation.
"""

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.bodies import state_of


def _saver(path: Path) -> AbstractContextManager[Any]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver.from_conn_string(str(path))


def _of_langchain(messages: list[dict[str, str]]) -> list[Any]:
    """Return messages as a graph keeps them, each with the id that it gets there."""
    from langchain_core.messages import AIMessage, HumanMessage

    kinds = {"user": HumanMessage, "assistant": AIMessage}
    return [kinds[one["role"]](one["content"], id=f"message-{at}") for at, one in enumerate(messages)]


def _checkpoint(number: int, messages: list[Any]) -> Any:
    from langgraph.checkpoint.base import empty_checkpoint

    return {**empty_checkpoint(), "id": f"{number:08}", "channel_values": {"messages": messages}}


_CONFIG = {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}}


def put(place: Path, count: float, seconds: float, *, is_read: bool = False, is_of_langchain: bool = False) -> float:
    """Return how many states of `count` messages a second `put` takes, each read before with `is_read`."""
    messages: list[Any] = state_of(int(count))
    if is_of_langchain:
        messages = _of_langchain(messages)
    with _saver(place / f"langgraph-{time.monotonic_ns()}.sqlite3") as saver:
        config = saver.put(_CONFIG, _checkpoint(0, messages), {}, {})
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            if is_read:
                assert len(saver.get_tuple(_CONFIG).checkpoint["channel_values"]["messages"]) == count
            config = saver.put(config, _checkpoint(done + 1, messages), {}, {})
            done += 1
        return done / (time.perf_counter() - began)


def step(place: Path, count: float, seconds: float) -> float:
    """Return how many steps a second it does: read the newest state, put the next."""
    return put(place, count, seconds, is_read=True)


def step_of_langchain(place: Path, count: float, seconds: float) -> float:
    """Return how many steps a second it does with messages of LangChain."""
    return put(place, count, seconds, is_read=True, is_of_langchain=True)


def put_of_langchain(place: Path, count: float, seconds: float) -> float:
    """Return how many states of messages of LangChain a second `put` takes."""
    return put(place, count, seconds, is_of_langchain=True)


def growth(place: Path, count: float) -> float:
    """Return the megabytes on disk of `count` states of which each has one message more than the last."""
    path = place / "langgraph-growth.sqlite3"
    messages = state_of(int(count))
    with _saver(path) as saver:
        config = _CONFIG
        for number in range(int(count)):
            config = saver.put(config, _checkpoint(number, messages[: number + 1]), {}, {})
        saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size / 1024**2
