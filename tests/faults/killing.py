"""A process that is started for tests/faults/test_kills.py: it forks writers and kills them at random moments.

Writers do what a server does: append messages and events through the verbs, index, and write SQLite's log into the
database. Each tells through a pipe what was acknowledged to it, after the verb has returned. The parent never connects,
so no connection is shared.
"""

import contextlib
import gc
import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator

import django

AT_ONCE = 3
WAITED_FOR = 0.7
"""How many are killed only after something was acknowledged to them, however slow the machine is."""
PATIENCE_SECONDS = 20
LIVES_ON_SECONDS = 0.04


def main(seed: int, kills: int, sessions: list[str]) -> None:
    """Print what was acknowledged, as `{"messages": …, "events": …, "killed": …}`."""
    django.setup()
    _load()
    chance = random.Random(seed)
    told: dict[str, list[str]] = {"message": [], "event": []}
    killed = 0
    while killed < kills:
        writers = [_fork(sessions, seed=chance.random()) for _ in range(AT_ONCE)]
        for pid, pipe in writers:
            if chance.random() < WAITED_FOR:
                select.select([pipe], [], [], PATIENCE_SECONDS)
            time.sleep(chance.uniform(0, LIVES_ON_SECONDS))
            os.kill(pid, signal.SIGKILL)
        for pid, pipe in writers:
            _, status = os.waitpid(pid, 0)
            assert os.WIFSIGNALED(status), f"a writer ended by itself with {status}"
            killed += 1
            with os.fdopen(pipe, encoding="ascii") as lines:
                for line in lines:
                    kind, name = line.split()
                    told[kind].append(name)
    print(json.dumps({**told, "killed": killed}))  # noqa: T201 - a program


def _load() -> None:
    """Load what writers use before they are born: they shall be killed while they write, not while they read code."""
    from sessions import indexing, protocol, transcripts
    from sessions.live import wal

    assert all((indexing, protocol, transcripts, wal))
    gc.freeze()


def _fork(sessions: list[str], *, seed: float) -> tuple[int, int]:
    """Start a writer; return its id and the pipe from which to read what was acknowledged to it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        for line in _write(sessions, random.Random(seed)):
            os.write(writing, f"{line}\n".encode())
    finally:
        import traceback

        traceback.print_exc()
        os._exit(1)  # it shall be killed, and never return


def _write(sessions: list[str], chance: random.Random) -> Iterator[str]:
    """Write without an end; yield each name once it is acknowledged."""
    from django.db import connection

    from sessions import indexing, protocol, transcripts
    from sessions.live import wal
    from sessions.models import EventDraft, Session

    ids = dict(Session.objects.filter(uuid__in=sessions).values_list("uuid", "pk"))
    while True:
        session = chance.choice(list(ids))
        names = [f"{session}-{chance.getrandbits(64):x}" for _ in range(chance.choice([1, 1, 10]))]
        if chance.random() < 0.6:
            drafts = [_message(name, chance) for name in names]
            transcripts.append(ids[session], drafts)
            yield from (f"message {name}" for name in names)
        else:
            events = [EventDraft(type="info", event_id=name, payload={"message": name}) for name in names]
            protocol.ingest(ids[session], events)
            yield from (f"event {name}" for name in names)
        if chance.random() < 0.1:
            indexing.catch_up()
        if connection.vendor == "sqlite" and chance.random() < 0.1:
            with contextlib.suppress(Exception):  # busy: another writes
                wal.checkpoint(at_least=1)


def _message(name: str, chance: random.Random):
    from sessions.transcripts import MessageDraft, TokenCounts

    usage = TokenCounts(prompt_tokens=chance.randrange(100), completion_tokens=chance.randrange(100))
    return MessageDraft(role="assistant", content=f"says {name}", client_id=name, usage=usage)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
