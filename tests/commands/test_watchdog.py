"""manage.py watchdog."""

import signal
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions import liveness, retention
from sessions.models import Lease, Receipt, Session
from tests.conftest import ROOT, prepare
from tests.factories import make_events, make_session

TURN = {"type": "turn_start", "turn_id": "t"}


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("watchdog", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def stuck(db):
    session = make_session()
    make_events(session, TURN, now=timezone.now() - timedelta(seconds=400))
    return session


def test_once_looks_at_what_is_due_and_says_so(stuck):
    liveness.listen()
    assert run("--once") == "Looked at 1 due session: 1 changed, 0 failed.\n"
    assert Session.objects.get(pk=stuck.pk).liveness == "stuck"
    assert run("--once") == "Looked at 0 due sessions: 0 changed, 0 failed.\n"
    assert Lease.objects.last_run(liveness.WATCHDOG) is not None


def test_without_a_server_that_listens_nothing_is_concluded(stuck):
    assert run("--once") == (
        "No server listens to agents, so their silence proves nothing; no session was looked at.\n"
    )
    assert Session.objects.get(pk=stuck.pk).liveness == "live"


def test_where_another_keeps_watch_there_is_nothing_to_do(stuck):
    liveness.listen()
    Lease.objects.take(liveness.WATCHDOG, owner="elsewhere:1:a", seconds=30)
    assert run("--once") == "A process on elsewhere keeps watch already; there was nothing to do.\n"
    assert Session.objects.get(pk=stuck.pk).liveness == "live"


def test_the_lease_is_given_back(stuck):
    liveness.listen()
    run("--once")
    assert Lease.objects.take(liveness.WATCHDOG, owner="somebody else", seconds=30)


def test_checks_that_fail_make_it_fail(stuck, monkeypatch):
    def settle(session, now):
        raise ZeroDivisionError

    monkeypatch.setattr(liveness, "settle", settle)
    liveness.listen()
    with pytest.raises(CommandError, match="1 check failed"):
        run("--once")


@pytest.mark.parametrize("every", ["0", "-1", "3601"])
def test_a_pause_that_is_none_is_refused(db, every):
    with pytest.raises(CommandError, match="--every"):
        run("--every", every)


def test_it_goes_on_until_it_is_told_to_stop(tmp_path):
    environment = prepare(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "watchdog", "--every", "0.05"],
        cwd=ROOT, env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Watching every 0.05 s. Ctrl-C ends it.\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "Ended the watch after looking at 0 due sessions: 0 changed, 0 failed.\n"
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_it_keeps_to_the_retention_policy_once_an_hour(db, settings, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    settings.KODA_RETENTION_STALE_HOURS = 24
    make_session(now=timezone.now() - timedelta(days=2))
    liveness.listen()
    text = run("--once")
    assert (
        text.splitlines()[-1]
        == "Purged by policy what was not used for more than 24 hours: 1 session destroyed or shortened."
    )
    assert Receipt.objects.get().by == "policy"
    make_session(now=timezone.now() - timedelta(days=2))
    assert "Purged" not in run("--once")
    time_machine.shift(timedelta(hours=1))
    run("--once")
    assert not Session.objects.exists()


def test_another_process_that_keeps_to_the_policy_is_enough(db, settings):
    settings.KODA_RETENTION_STALE_HOURS = 24
    make_session(now=timezone.now() - timedelta(days=2))
    Lease.objects.take(retention.RETENTION, owner="elsewhere:1:a", seconds=30)
    run("--once")
    assert Session.objects.exists()
