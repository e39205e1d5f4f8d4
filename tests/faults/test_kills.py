"""SIGKILL at random moments while messages, events, index entries and the log are written."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.conftest import ROOT, launch
from tests.databases import own_database
from tests.faults.serving import ask, look_through, serving, set_up
from tests.faults.writers import Writer

pytestmark = pytest.mark.slow

KILLS = 200
SERVER_KILLS = 2
SESSIONS = 3
_START = f"""
from django.contrib.auth.models import User
from sessions.models import Session
owner = User.objects.get()
for number in range({SESSIONS}):
    print(Session.objects.start(owner=owner, source="laptop", agent_name="koda").session.uuid)
"""


def test_every_acknowledged_message_is_there_once_after_two_hundred_kills(tmp_path, django_db_setup):
    seed = random.randrange(10**6)
    with own_database() as database:
        environment, _ = set_up(tmp_path, **database)
        sessions = ask(environment, _START).split()
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.killing", str(seed), str(KILLS), *sessions],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, (seed, done.stderr)
        told = json.loads(done.stdout)
        stored = look_through(environment)

    assert told["killed"] >= KILLS
    for acknowledged, kept in ((told["message"], stored.messages), (told["event"], stored.events)):
        counts = Counter(name for names in kept.values() for name in names)
        assert len(acknowledged) > KILLS / 4, "writers got to write before they were killed"
        assert set(acknowledged) <= set(counts), f"lost, with seed {seed}"
        assert max(counts.values()) == 1, f"doubled, with seed {seed}"
        unheard = len(counts) - len(acknowledged)
        assert unheard <= told["killed"] * 10, "what nobody was told of is at most one batch a kill"


def test_servers_are_killed_and_writers_go_on(tmp_path, django_db_setup):
    with own_database() as database:
        environment, key = set_up(tmp_path, **database)
        with serving(tmp_path, environment) as servers:
            port = servers[0].port
            with Writer(servers, key) as one, Writer(servers, key) as other:
                for _ in range(SERVER_KILLS):
                    one.write_more(random.randrange(5, 20))
                    servers[-1].process.kill()
                    servers[-1].process.wait()
                    servers.append(launch(tmp_path, environment, port=port))
                for writer in (one, other):
                    writer.write_more(5)
                    writer.end()
        stored = look_through(environment)
    assert stored.messages == {writer.session: writer.told.acknowledged for writer in (one, other)}
    assert one.told.broken_off + other.told.broken_off > 0
