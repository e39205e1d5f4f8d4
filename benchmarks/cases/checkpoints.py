"""Stakpak's step: read the session with its newest checkpoint, post the next one."""

import http.client
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

from benchmarks.bodies import state_of
from benchmarks.ground import Target, daphne
from benchmarks.lines import Line, interleaved, is_at_least
from benchmarks.run import Run

_MEGABYTE = 1024 * 1024
_PEER = "langgraph-checkpoint-sqlite"
_PUT, _STEP = f"{_PEER}, put alone", f"{_PEER}, read and put"
_TOLD_PUT, _TOLD_STEP = "put alone", "read and put"
_PEERS = {
    _PUT: "langgraph-put",
    _STEP: "langgraph-step",
    _TOLD_PUT: "langgraph-put-of-langchain",
    _TOLD_STEP: "langgraph-step-of-langchain",
}
"""What is asked of `benchmarks.peers`: with plain dictionaries, and with messages in which a graph keeps them."""
_DAPHNE = "plain Daphne, which stores nothing"


class Stepping(AbstractContextManager["Stepping"]):
    """Speaks Stakpak's contract over one connection, with a client that parses nothing."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of an answer."""
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content[:1000]
        return content

    def begin(self, messages: Sequence[dict[str, str]]) -> str:
        """Make a session with a first checkpoint and return its path."""
        body = json.dumps({"title": "bench", "state": {"messages": messages}}).encode()
        return f"/v1/sessions/{json.loads(self.ask('POST', '/v1/sessions', body))['session_id']}"

    def steps_a_second(self, messages: Sequence[dict[str, str]], *, seconds: float) -> float:
        """Read the session and post its state with one message more, again and again."""
        path = self.begin(messages)
        state = json.dumps({"state": {"messages": messages}})[: -len("]}}")]
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            self.ask("GET", path)
            state += f', {{"role": "assistant", "content": "step {done}"}}'
            self.ask("POST", f"{path}/checkpoints", f"{state}]}}}}".encode())
            done += 1
        return done / (time.perf_counter() - began)


def measure(run: Run) -> list[Line]:
    """Measure steps and bytes beside a neighbour that puts the same states in process, whole each time.

    And beside the same bodies on the same way, read by nobody and stored nowhere.
    """
    size, count = run.size.state, run.size.checkpoints
    messages = state_of(max(size, count))
    with (
        run.serve("checkpoints") as target, Stepping(target.port, target.key) as stepping,
        daphne("benchmarks.echo:application", target.environment) as (port, _), Stepping(port, "none") as echoing,
    ):  # fmt: skip
        figures = {
            "ours": partial(stepping.steps_a_second, messages[:size], seconds=run.seconds),
            _DAPHNE: partial(echoing.steps_a_second, messages[:size], seconds=run.seconds),
            **{
                name: partial(run.peers.ask, _PEER, what, run.place, size, run.seconds) for name, what in _PEERS.items()
            },
        }
        taken = interleaved(figures, rounds=run.rounds)
        before = _bytes_on_disk(target)
        path = stepping.begin(messages[:1])
        for length in range(2, count + 1):
            body = json.dumps({"state": {"messages": messages[:length]}}).encode()
            stepping.ask("POST", f"{path}/checkpoints", body)
        grown = (_bytes_on_disk(target) - before) / _MEGABYTE
    beside = interleaved({_PEER: partial(run.peers.ask, _PEER, "langgraph-growth", run.place, count)}, rounds=1)
    rate = float(taken["ours"])
    is_small = None if isinstance(beside[_PEER], str) else grown <= float(beside[_PEER]) / 10
    return [
        Line(f"Stakpak step over HTTP, {size:,} messages", rate, "steps/s", f"ahead of {_PEER} in process",
             is_at_least(rate, 1, taken[_PUT]), {name: taken[name] for name in (_PUT, _STEP, _DAPHNE)}),
        Line("the same, beside messages of LangChain", rate, "steps/s", "ahead of its step, read and put",
             is_at_least(rate, 1, taken[_TOLD_STEP]), {name: taken[name] for name in (_TOLD_PUT, _TOLD_STEP)}),
        Line(f"{count:,} checkpoints that grow by a message, on disk", grown, "MB", "a tenth", is_small, beside),
    ]  # fmt: skip


def _bytes_on_disk(target: Target) -> int:
    """Return what the database takes when nothing is left in its write-ahead log, and the files beside it."""
    folder = Path(target.environment["KODA_DATA_DIR"])
    with closing(sqlite3.connect(folder / "koda.sqlite3")) as database:
        ((pages,),) = database.execute("PRAGMA page_count").fetchall()
        ((size,),) = database.execute("PRAGMA page_size").fetchall()
    files = folder / "files"
    return int(pages) * int(size) + sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
