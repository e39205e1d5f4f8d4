import asyncio
import logging
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.utils import timezone

from koda_web.logs import Dampened
from sessions import indexing, liveness
from sessions.live import keeper as module
from sessions.live.keeper import Job, Keeper, jobs, when_written_elsewhere
from sessions.models import Lease, Session
from tests.factories import make_copies, make_session
from tests.live.log_file import size_of_log
from tests.steps import counted_steps

pytestmark = pytest.mark.django_db(transaction=True)

SOON = timedelta(milliseconds=10)
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's log")


@pytest.fixture
def listeners(monkeypatch):
    """An empty list of listeners, for the time of a test."""
    found = []
    monkeypatch.setattr(module, "_listeners", found)
    return found


@pytest.fixture(autouse=True)
async def _no_connection_is_left():
    """Close what the async calls of a test opened on asgiref's thread."""
    yield
    await sync_to_async(connections.close_all)()


async def wait_until(condition, *, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def write_from_another_process():
    """Commit something as a command in another process would."""
    now = timezone.now()
    Lease.objects.get_or_create(name="other", defaults={"owner": "other", "until": now})
    script = f"import sqlite3; c = sqlite3.connect({str(connection.settings_dict['NAME'])!r}, timeout=20)\n"
    script += "c.execute('UPDATE koda_sessions_lease SET owner = owner'); c.commit(); c.close()"
    subprocess.run([sys.executable, "-c", script], check=True)


# --- Rounds ------------------------------------------------------------------------------------------------


async def test_a_job_is_done_again_and_again_until_the_keeper_stops(listeners):
    rounds = []
    keeper = Keeper([Job(name="count", every=SOON, run=lambda: rounds.append(1))])
    await keeper.start()
    await wait_until(lambda: len(rounds) >= 3)
    await keeper.stop()
    done = len(rounds)
    await asyncio.sleep(0.1)
    assert len(rounds) == done


async def test_a_slow_job_holds_up_no_other(listeners):
    rounds, released = [], threading.Event()
    slow = Job(name="slow", every=SOON, run=lambda: released.wait(20), is_slow=True)
    keeper = Keeper([slow, Job(name="count", every=SOON, run=lambda: rounds.append(1))])
    await keeper.start()
    try:
        await wait_until(lambda: len(rounds) >= 3)
        assert not released.is_set()
    finally:
        released.set()
        await keeper.stop()


async def test_a_job_that_fails_is_counted_logged_and_done_again(listeners, caplog):
    def fail():
        raise ZeroDivisionError

    keeper = Keeper([Job(name="broken", every=SOON, run=fail)])
    await keeper.start()
    await wait_until(lambda: keeper.failures["broken"] >= 2)
    await keeper.stop()
    assert "The keeper's job broken failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_job_that_fails_all_day_is_one_traceback_and_it_is_told_when_it_works_again(listeners, caplog):
    caplog.set_level(logging.INFO, logger=module.logger.name)
    dampened = Dampened(later=lambda _seconds, _act: None)  # what comes again and again comes through once a minute
    rounds = []

    def work():
        rounds.append(1)
        if len(rounds) <= 40:
            raise (OSError if len(rounds) > 30 else ZeroDivisionError)("no")

    keeper = Keeper([Job(name="broken", every=timedelta(milliseconds=1), run=work)])
    await keeper.start()
    await wait_until(lambda: len(rounds) >= 50)
    await keeper.stop()
    told = [record for record in caplog.records if "job broken" in record.getMessage()]
    again = [record for record in told if not record.exc_info]
    assert [record.exc_info[0] for record in told if record.exc_info] == [ZeroDivisionError, OSError]
    assert {record.getMessage() for record in again[:-1]} == {"The keeper's job broken failed again: no"}
    assert again[-1].getMessage() == "The keeper's job broken works again; rounds that had failed: 40"
    assert len([record for record in again[:-1] if dampened.filter(record)]) <= 1


async def test_a_failing_job_does_not_keep_another_from_its_work(listeners, caplog):
    rounds = []

    def fail():
        raise ZeroDivisionError

    keeper = Keeper(
        [Job(name="broken", every=SOON, run=fail), Job(name="whole", every=SOON, run=lambda: rounds.append(1))]
    )
    await keeper.start()
    await wait_until(lambda: keeper.failures["broken"] >= 2 and len(rounds) >= 2)
    await keeper.stop()


async def test_a_job_leaves_no_connection_open(listeners):
    seen = []

    def work():
        assert Lease.objects.count() >= 0
        seen.append(connection.connection is not None)

    keeper = Keeper([Job(name="query", every=timedelta(hours=1), run=work)])
    await keeper.start()
    await wait_until(lambda: seen)
    loop = asyncio.get_running_loop()
    is_open = await loop.run_in_executor(keeper._thread, lambda: connection.connection is not None)
    await keeper.stop()
    assert seen == [True]
    assert not is_open


# --- Leases ------------------------------------------------------------------------------------------------


async def test_of_two_servers_one_does_the_shared_job(listeners):
    done = []
    both = [
        Keeper(
            [
                Job(name="shared", every=SOON, run=lambda name=name: done.append(name), is_shared=True),
                Job(name="own", every=SOON, run=lambda name=name: done.append(f"own {name}")),
            ],
            owner=name,
        )
        for name in ("first", "second")
    ]
    await both[0].start()
    await wait_until(lambda: "first" in done)
    await both[1].start()
    await wait_until(lambda: done.count("own second") >= 5)
    assert "second" not in done
    lease = await Lease.objects.aget(name="shared")
    assert lease.owner == "first"
    assert lease.ran_at is not None
    # A server that stops hands over at once, rather than when its lease runs out.
    await both[0].stop()
    await wait_until(lambda: "second" in done)
    assert (await Lease.objects.aget(name="shared")).owner == "second"
    await both[1].stop()


async def test_the_job_of_a_server_that_died_is_taken_over_when_its_lease_is_over(listeners):
    later = timezone.now() + timedelta(seconds=40)
    await Lease.objects.acreate(name="shared", owner="dead", until=later)
    done = []
    keeper = Keeper([Job(name="shared", every=SOON, run=lambda: done.append(1), is_shared=True)])
    await keeper.start()
    await asyncio.sleep(0.1)
    assert done == []
    await Lease.objects.filter(name="shared").aupdate(until=timezone.now())
    await wait_until(lambda: done)
    await keeper.stop()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="for databases that cannot tell of a write")
async def test_without_a_watch_the_listeners_are_woken_at_a_slow_beat(listeners):
    heard = []
    when_written_elsewhere(lambda: heard.append(1))
    keeper = Keeper([])
    await keeper.start()
    await wait_until(lambda: len(heard) >= 2)
    await keeper.stop()


# --- The log of SQLite -------------------------------------------------------------------------------------


@sqlite_only
async def test_a_write_of_another_process_wakes_the_listeners(listeners):
    heard = []

    @when_written_elsewhere
    async def listen():
        heard.append(asyncio.current_task())

    when_written_elsewhere(lambda: heard.append("plain"))
    keeper = Keeper([])
    await keeper.start()
    await wait_until(lambda: heard)  # a start is a reason to look, too
    heard.clear()
    await asyncio.sleep(0.5)
    assert heard == []
    await sync_to_async(write_from_another_process)()
    await wait_until(lambda: "plain" in heard)
    assert len(heard) % 2 == 0  # both, each time
    await keeper.stop()


@sqlite_only
async def test_a_listener_that_fails_is_called_again(listeners, caplog):
    calls = []

    def fail():
        calls.append(1)
        raise ZeroDivisionError

    when_written_elsewhere(fail)
    keeper = Keeper([])
    await keeper.start()
    await wait_until(lambda: calls)
    await sync_to_async(write_from_another_process)()
    await wait_until(lambda: len(calls) >= 2)
    await keeper.stop()
    assert keeper.failures["watch"] >= 2


@sqlite_only
async def test_a_keeper_that_stops_leaves_an_empty_log(listeners):
    keeper = Keeper(jobs())
    await keeper.start()
    await wait_until(lambda: Lease.objects.filter(name="checkpoint").exists)
    await Lease.objects.acreate(name="some", owner="me", until=timezone.now())
    assert await sync_to_async(size_of_log)() > 0
    await keeper.stop()
    assert await sync_to_async(size_of_log)() == 0


# --- The retention policy -----------------------------------------------------------------------------------


def test_without_a_policy_there_is_no_job_that_purges(settings):
    assert "retention" not in {job.name for job in jobs()}
    settings.KODA_RETENTION_EVENTS_DAYS = 30
    assert "retention" in {job.name for job in jobs()}


async def test_the_policy_is_kept_to_and_a_stopping_server_is_not_held_up(settings):
    settings.KODA_RETENTION_STALE_HOURS = 24
    long_ago = timezone.now() - timedelta(days=3)
    await sync_to_async(make_session)(now=long_ago)
    keeper = Keeper([job for job in jobs() if job.name == "retention"])
    await keeper.start()
    async with asyncio.timeout(20):
        while await sync_to_async(Session.objects.exists)():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await keeper.stop()
    assert keeper.failures == {}


async def test_a_long_job_sees_that_the_server_stops():
    seen = threading.Event()

    def run(is_told_to_stop):
        began.set()
        while not is_told_to_stop():
            seen.wait(0.01)
        seen.set()

    began = threading.Event()
    keeper = Keeper([Job(name="long", every=SOON, run=run, is_slow=True, is_long=True)])
    await keeper.start()
    await wait_until(began.is_set)
    await keeper.stop()
    assert seen.is_set()


@sqlite_only
@pytest.mark.parametrize("name", [job.name for job in jobs() if job.every <= timedelta(seconds=5)])
def test_what_is_done_all_the_time_costs_nothing_for_sessions_at_rest(name):
    (job,) = (job for job in jobs() if job.name == name)
    resting = make_session()
    indexing.finish()

    def count_steps():
        job.run()  # what the first round has to do is none of the second's
        with counted_steps() as steps:
            job.run()
        return steps.count

    make_copies(resting, 20)
    few = count_steps()
    assert few
    make_copies(resting, 1000)
    assert count_steps() == few


def test_a_server_that_listens_stands_behind_no_other_job():
    (listening,) = [job for job in jobs() if job.name == liveness.LISTENING]
    assert listening.is_slow
