"""The command as an operator runs it: with Django, a database and the keeper."""

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import StringIO

import httpx
import pytest
from django.core.management import CommandError, call_command

from sessions.management.commands import setup
from sessions.management.commands.serve import Command
from tests.conftest import ROOT, find_free_port, make_environment, prepare, start_server, stop_server
from tests.live.processes import run


def ask_database(data_dir, query):
    with closing(sqlite3.connect(data_dir / "koda.sqlite3", timeout=20)) as database:
        return database.execute(query).fetchall()


@contextmanager
def serve(environment):
    """Run the command on a free port until the block ends."""
    command = [sys.executable, "manage.py", "serve", "--port", str(find_free_port())]
    with run(*command, environment=environment) as server:
        server.wait_for("http://")
        yield server


def wait_for_row(data_dir, query):
    deadline = time.monotonic() + 20
    while not (rows := ask_database(data_dir, query)):
        assert time.monotonic() < deadline, f"no row for {query}"
        time.sleep(0.05)
    return rows[0]


def test_the_log_is_kept_while_the_server_runs_and_written_back_when_it_stops(tmp_path):
    server = start_server(tmp_path)
    log = tmp_path / "koda.sqlite3-wal"
    try:
        server.manage(
            "shell",
            "--no-imports",
            "--command",
            "from django.contrib.auth.models import Group; Group.objects.create(name='g')",
        )
        assert log.stat().st_size > 0
    finally:
        stop_server(server)
    assert not log.exists() or log.stat().st_size == 0
    # Read as a copy without its log would be: all of it is in the file.
    (tmp_path / "alone").mkdir()
    (tmp_path / "koda.sqlite3").rename(tmp_path / "alone" / "koda.sqlite3")
    assert ask_database(tmp_path / "alone", "SELECT name FROM auth_group") == [("g",)]


def test_two_servers_on_one_database_have_one_keeper_for_it(tmp_path):
    environment = prepare(tmp_path)
    lease = "SELECT owner FROM koda_sessions_lease WHERE name = 'checkpoint' AND ran_at IS NOT NULL"
    with serve(environment) as first:
        (owner,) = wait_for_row(tmp_path, lease)
        assert f":{first.popen.pid}:" in owner
        with serve(environment) as second:
            time.sleep(0.3)  # time enough to do it wrong: the first round of a job comes with the start
            assert wait_for_row(tmp_path, lease) == (owner,)
            first.signal()
            assert first.end() == 0
            # Given back with the end, and taken by the other in its next round.
            is_over = "until <= strftime('%Y-%m-%d %H:%M:%f', 'now')"
            wait_for_row(tmp_path, f"{lease} AND ({is_over} OR owner LIKE '%:{second.popen.pid}:%')")
            second.signal()
            assert second.end() == 0


def test_the_address_is_told_once_when_it_answers(tmp_path):
    environment = prepare(tmp_path)
    port = find_free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    with run(*command, environment=environment) as server:
        server.wait_for(f"http://127.0.0.1:{port}/")
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
        server.signal(signal.SIGINT)
        assert server.end() == 0
        assert len([line for line in server.lines if "http://" in line]) == 1
        assert server.lines[-1] == "Koda Web has stopped."


def test_a_stop_in_the_first_moment_is_a_stop(tmp_path):
    environment = prepare(tmp_path)
    with serve(environment) as server:
        server.signal()
        assert server.end() == 0


def test_a_stop_waits_for_no_long_poll(tmp_path):
    server = start_server(tmp_path)
    headers = {"Authorization": f"Bearer {server.create_key('agent')}"}
    with (
        httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False, timeout=40) as api,
        ThreadPoolExecutor() as threads,
    ):
        session = api.post("/sessions", json={"agent_name": "koda"}).raise_for_status().json()["id"]
        poll = threads.submit(api.get, f"/sessions/{session}/commands?wait=60")
        time.sleep(2)  # time enough to arrive; whether it waits cannot be seen from outside
        assert not poll.done()
        began = time.monotonic()
        stop_server(server)
        answer = poll.result()
    assert (answer.status_code, answer.json()) == (200, {"commands": []})
    assert time.monotonic() - began < 10, "not what KODA_DRAIN_SECONDS allows"
    log = server.log.read_text()
    assert "were answered" not in log
    assert "ThreadSensitiveContext" not in log


def test_an_address_that_others_reach_needs_names_to_be_reached_at(tmp_path):
    environment = make_environment(tmp_path)
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--host", "0.0.0.0", "--port", str(find_free_port())],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "KODA_ALLOWED_HOSTS" in done.stderr
    assert "Traceback" not in done.stderr
    assert "http://" not in done.stdout


def test_a_database_without_tables_is_told(tmp_path):
    with serve(make_environment(tmp_path)) as server:
        assert [line for line in server.lines if "migrations are not applied" in line]
        server.signal()
        assert server.end() == 0


def test_static_files_that_are_missing_or_of_another_version_are_told(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    for found, is_told in ((None, True), ("as before the upgrade", True), (setup.fingerprint_sources(), False)):
        if found is not None:
            (tmp_path / ".sources").write_text(found)
        told = StringIO()
        Command(stderr=told).warn_of_other_static_files()
        assert ("Run the command setup" in told.getvalue()) == is_told, found


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("port", ["70000", "-1", "many"])
def test_a_port_that_is_none_is_told_before_anything_is_begun(command, port):
    with pytest.raises(CommandError, match=f"argument --port: {port} is no port: it is a number up to 65535$"):
        call_command(command, f"--port={port}")


def test_the_port_of_another_is_told_in_one_line(tmp_path):
    environment = prepare(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert "http://" not in done.stdout
