"""Show it: a server, and agents that work through its public API before your eyes."""

import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sessions.exceptions import KodaError
from sessions.management.demo_agent import Stage, wait_until_up
from sessions.management.demo_agents import PLAYS
from sessions.management.demo_company import Company
from sessions.management.demo_replay import Recording, load
from sessions.management.owners import find_owner
from sessions.management.ports import port_number
from sessions.models import ApiKey, NewKey, Scope

KEY_NAME = "demo"
KEY_LASTS = timedelta(days=7)
LOOK_SECONDS = 0.2
SERVER_ENDS_WITHIN_SECONDS = 30


class Command(BaseCommand):
    help = "Set up, serve, and let scripted agents work through the public API; or replay recorded sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.KODA_HOST, help="address to serve on (KODA_HOST)")
        parser.add_argument("--port", type=port_number, default=settings.KODA_PORT, help="port to serve on (KODA_PORT)")
        parser.add_argument("--url", help="a server that runs already; needs --key")
        parser.add_argument("--key", help="an API key of that server, with the scope write")
        parser.add_argument("--replay", type=Path, metavar="PATH", help="replay the transcripts there instead")
        parser.add_argument(
            "--speed", type=float, default=1.0, help="divide every pause by this (with --replay 30 is good)"
        )
        parser.add_argument("--once", action="store_true", help="one round each, then end")
        parser.add_argument("--seconds", type=float, help="end after this many seconds")

    def handle(self, *, url: str | None, key: str | None, **options: Any) -> None:
        if (url is None) != (key is None):
            raise CommandError("--url and --key go together.")
        if not options["speed"] > 0:
            raise CommandError("--speed must be greater than 0.")
        recordings = self._load(options["replay"])
        with _until_told_to_stop() as signals:
            if url is not None and key is not None:
                _require_answer(url)
                self._play(url, key, recordings=recordings, signals=signals, **options)
                return
            self._serve_and_play(recordings=recordings, signals=signals, **options)

    @staticmethod
    def _load(path: Path | None) -> list[Recording] | None:
        """Return the recordings to replay, None for the scripted agents."""
        if path is None:
            return None
        try:
            recordings = load(path)
        except KodaError as error:
            raise CommandError(error.detail) from error
        if not recordings:
            raise CommandError(f"There is no transcript under {path}.")
        return recordings

    def _serve_and_play(self, *, host: str, port: int, signals: list[int], **options: Any) -> None:
        """Prepare everything, serve in a process below this one, and play until either ends."""
        _require_free(host, port)
        call_command("setup", stdout=self.stdout, stderr=self.stderr)
        new_key = issue_key()
        server = subprocess.Popen(  # noqa: S603 - our own interpreter and command
            [sys.executable, "-m", "django", "serve", "--host", host, "--port", str(port)],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE, "PYTHONPATH": _python_path()},
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends the server once
        )
        try:
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            if not wait_until_up(url, process=server):
                raise CommandError("The server did not start.")
            self._play(url, new_key.plain, signals=signals, server=server, **options)
        finally:
            code = _end(server)
            new_key.record.revoke()
        if code != 0:
            raise CommandError(f"The server ended with {code}.", returncode=1)

    def _play(
        self,
        url: str,
        key: str,
        *,
        recordings: list[Recording] | None,
        signals: list[int],
        speed: float,
        once: bool,
        seconds: float | None,
        server: "subprocess.Popen[bytes] | None" = None,
        **_options: Any,
    ) -> None:
        """Let everybody play until told to stop, until the time is over, or until all have finished."""
        company = Company(url=url, key=key, stage=Stage(speed=speed), is_short=once)
        deadline = time.monotonic() + seconds if seconds is not None else float("inf")
        if recordings is None:
            company.perform(PLAYS)
        else:
            company.replay(recordings)
        self.stdout.write(f"Agents are at work; watch them at {url}/ (stop with Ctrl-C)")
        self.stdout.flush()
        ends_by_itself = once or (recordings is not None and server is None)
        told = 0
        while not signals and time.monotonic() < deadline and (server is None or server.poll() is None):
            for failure in company.failures[told:]:
                self.stderr.write(self.style.ERROR(failure))
            told = len(company.failures)
            if ends_by_itself and not company.is_playing:
                break
            time.sleep(LOOK_SECONDS)
        company.leave()
        self.stdout.write(f"The demo is over: {company.session_count} sessions were played.")
        if company.failures:
            raise CommandError(f"{len(company.failures)} agents were refused; the first: {company.failures[0]}")


def issue_key() -> NewKey:
    """Return a new key of the owner for this demo, which the demo revokes when it ends."""
    return ApiKey.objects.issue(
        user=find_owner(None),
        name=KEY_NAME,
        source=KEY_NAME,
        scopes=[Scope.WRITE, Scope.READ, Scope.CONTROL],
        expires_at=timezone.now() + KEY_LASTS,
    )


def _require_free(host: str, port: int) -> None:
    """Raise `CommandError` when someone listens there: else the agents would speak to that server."""
    try:
        with socket.create_connection((host, port), timeout=1):
            pass
    except OSError:
        return
    raise CommandError(f"Someone listens on {host}:{port} already. Choose another --port, or use --url and --key.")


def _require_answer(url: str) -> None:
    """Raise `CommandError` when no server answers there: agents would try again in silence for as long as they play."""
    try:
        httpx.get(f"{url}/healthz", timeout=5, trust_env=False)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise CommandError(f"Nobody answers at {url}: {error}") from error


def _python_path() -> str:
    """Return a path with which the server's process finds what this one has found."""
    return os.pathsep.join(part or str(Path.cwd()) for part in sys.path)


def _end(server: "subprocess.Popen[bytes]") -> int:
    """End the server as an init system would and return its exit code."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        return server.wait(SERVER_ENDS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


@contextmanager
def _until_told_to_stop() -> Iterator[list[int]]:
    """Yield a list that gets the signals to stop, which do nothing else meanwhile."""
    signals: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
