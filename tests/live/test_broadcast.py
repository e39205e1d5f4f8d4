"""The bell's hints: after commit, once, from any thread, and never at the writer's cost."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from sessions.api.native.polling import LOOK_AGAIN_SECONDS, wait_for_commands
from sessions.live import broadcast
from sessions.models import Command, EventDraft, Session
from sessions.protocol import ingest
from sessions.respite import Respite
from tests.conftest import ROOT
from tests.factories import make_events, make_key, make_message, make_session, make_user
from tests.live.sockets import PATIENCE, in_db, program

pytestmark = pytest.mark.django_db(transaction=True)

NOWHERE = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1"], "prefix": "koda"},
    }
}


@pytest.fixture
def heard(monkeypatch):
    """Hints as the server's loop would get them, and who put them there."""
    hints: list[tuple[int, int]] = []

    class Ear:
        is_open = True

        def put(self, session_id, seq):
            hints.append((session_id, seq))

    monkeypatch.setattr(broadcast, "_outlet", Ear())
    return hints


@pytest.fixture
def without_server(monkeypatch):
    """A process that serves nothing, such as a command."""
    monkeypatch.setattr(broadcast, "_outlet", None)
    monkeypatch.setattr(broadcast, "_respite", Respite(seconds=10))


def test_a_transaction_that_is_rolled_back_rings_nothing(heard):
    session = make_session()
    heard.clear()
    with transaction.atomic():
        make_message(session)
        transaction.set_rollback(True)
    assert Session.objects.get().message_count == 0
    assert heard == []


def test_nothing_is_heard_before_the_commit_and_then_once_a_session(heard):
    session = make_session()
    heard.clear()
    with transaction.atomic():
        make_message(session)
        assert heard == []
    assert heard == [(session.pk, 2)]


def test_a_batch_of_events_is_one_hint(heard):
    session = make_session()
    heard.clear()
    make_events(session, *({"type": "info"} for _ in range(10)))
    assert heard == [(session.pk, 11)]


def test_a_writer_does_not_wait_for_a_loop_that_is_busy():
    loop = asyncio.new_event_loop()  # never runs: as busy as can be
    outlet = broadcast.Outlet(loop, lambda _: None)
    began = time.monotonic()
    for seq in range(1_000):
        outlet.put(1, seq)
    assert time.monotonic() - began < 1
    loop.close()


def test_a_writer_does_not_mind_a_loop_that_has_ended():
    loop = asyncio.new_event_loop()
    loop.close()
    outlet = broadcast.Outlet(loop, lambda _: None)
    outlet.put(1, 1)
    assert not outlet.is_open


async def test_hints_from_many_threads_are_coalesced_and_the_newest_of_each_session_arrives():
    got: list[dict[int, int]] = []
    outlet = broadcast.Outlet(asyncio.get_running_loop(), lambda seqs: got.append(dict(seqs)))

    def put(session_id):
        for seq in range(1, 501):
            outlet.put(session_id, seq)

    threads = [threading.Thread(target=put, args=(session_id,)) for session_id in (1, 2, 3)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.to_thread(lambda: [thread.start() for thread in threads] + [thread.join() for thread in threads])
    async with asyncio.timeout(PATIENCE):
        while {pk for seqs in got for pk, seq in seqs.items() if seq == 500} != {1, 2, 3}:  # noqa: ASYNC110
            await asyncio.sleep(broadcast.COALESCE_SECONDS / 2)
    assert len(got) <= (loop.time() - began) / broadcast.COALESCE_SECONDS + 2


async def test_the_first_hint_after_a_pause_does_not_wait():
    arrived = asyncio.Event()
    outlet = broadcast.Outlet(asyncio.get_running_loop(), lambda _: arrived.set())
    began = time.monotonic()
    outlet.put(1, 1)
    await arrived.wait()
    assert time.monotonic() - began < broadcast.COALESCE_SECONDS


def test_a_redis_that_is_down_fails_no_write_and_is_then_left_alone(without_server, settings, monkeypatch, caplog):
    settings.CHANNEL_LAYERS = NOWHERE
    tries = []
    send = broadcast._send_alone

    async def count(seqs):
        tries.append(seqs)
        await send(seqs)

    monkeypatch.setattr(broadcast, "_send_alone", count)
    session = make_session()
    make_message(session)
    session.refresh_from_db()
    assert session.message_count == 1
    assert len(tries) == 1
    assert caplog.text.count("could not be told") == 1


async def test_a_redis_that_is_down_costs_this_processs_sockets_nothing(settings, caplog):
    settings.CHANNEL_LAYERS = NOWHERE
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    key = (await in_db(make_key)(user)).plain
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    await in_db(make_message)(session)
    assert [event["seq"] for event in await peer.events(until=2)] == [2]
    await peer.leave()
    assert "cannot be heard" in caplog.text


async def test_the_group_of_an_installation_is_its_own_and_has_a_name_that_channels_takes(settings):
    ours = broadcast.group()
    assert len(ours) < 100
    assert ours.replace(".", "").isalnum()
    settings.SECRET_KEY = "x" * 60
    assert broadcast.group() != ours


async def test_a_hint_of_another_server_wakes_a_poll():
    session = await in_db(make_session)()
    ears = asyncio.create_task(broadcast.listen_to_others(lambda _seqs: None))
    poll = asyncio.create_task(wait_for_commands(session.pk, seconds=30, check=lambda: None))
    await asyncio.sleep(0.3)
    asked = {"session": session, "body": {"type": "interrupt"}, "created_at": timezone.now()}
    command = await in_db(Command.objects.create)(**asked)  # no bell rings in this process
    hint = {"type": "hint", "from": "another server", "seqs": [[session.pk, 2]]}
    await get_channel_layer().group_send(broadcast.group(), hint)
    async with asyncio.timeout(LOOK_AGAIN_SECONDS - 1):
        assert await poll == [command]
    ears.cancel()
    await asyncio.gather(ears, return_exceptions=True)


# --- With Redis ---------------------------------------------------------------------------------------------

needs_redis = pytest.mark.skipif(not settings.KODA_REDIS_URL, reason="KODA_REDIS_URL names no Redis")


def write_elsewhere(session: Session, *, times: int = 1) -> None:
    """Write to the session from a process of its own, on this run's database."""
    name = connection.settings_dict["NAME"]
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = os.environ["KODA_DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}"
    code = (
        "from sessions.models import EventDraft\nfrom sessions.protocol import ingest\n"
        f"for n in range({times}): ingest({session.pk}, [EventDraft(type='info', payload={{'n': n}})])"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "koda_web.settings",
        "KODA_DATA_DIR": str(settings.KODA_DATA_DIR),
        "KODA_DATABASE_URL": url,
    }
    command = [sys.executable, str(Path(ROOT) / "manage.py"), "shell", "--no-imports", "--command", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr


@needs_redis
async def test_a_command_in_another_process_reaches_an_open_socket_through_redis():
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    key = (await in_db(make_key)(user)).plain
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    await asyncio.to_thread(write_elsewhere, session, times=3)
    # No keeper runs here and the hub's beat is 15 s away: only Redis can have told.
    assert [event["n"] for event in await peer.events(until=4)] == [0, 1, 2]
    await peer.leave()


@needs_redis
async def test_other_servers_are_told_of_what_this_one_writes():
    from channels.layers import channel_layers

    layer = channel_layers.make_backend("default")
    channel = await layer.new_channel()
    await layer.group_add(broadcast.group(), channel)
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    key = (await in_db(make_key)(user)).plain
    peer = await program(f"sessions/{session.uuid}/?after=1", key).open()
    await peer.frame()
    await in_db(make_message)(session)
    async with asyncio.timeout(PATIENCE):
        told: dict[int, int] = {}
        while told.get(session.pk) != 2:
            told |= dict((await layer.receive(channel))["seqs"])
    await peer.leave()
    await layer.flush()


@needs_redis
def test_a_command_sends_at_once_and_leaves_nothing_open(without_server):
    session = make_session()
    for _ in range(3):
        ingest(session.pk, [EventDraft(type="info")])
    session.refresh_from_db()
    assert session.last_seq == 4
