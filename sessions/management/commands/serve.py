"""Serve: run the server in this process until it is told to stop."""

import gc
import os
import resource
import sqlite3
import threading
from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from sessions.live.admission import Admission
from sessions.live.keeper import Keeper, jobs
from sessions.live.server import CannotListen, Server

_FIXED_SQLITE = (3, 51, 3)
_OPEN_FILES = 65_536
_GC_THRESHOLD = 50_000
_EXIT_SECONDS = 3


class Command(BaseCommand):
    help = "Run the server in this process. SIGTERM and Ctrl-C finish what is running; a second one does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.KODA_HOST, help="address to listen on (KODA_HOST)")
        parser.add_argument(
            "--port", type=int, default=settings.KODA_PORT, help="port to listen on, 0 for any (KODA_PORT)"
        )

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        self._warn_of_old_sqlite()
        self._warn_of_missing_migrations()
        _allow_many_connections()
        server = Server(
            Admission(
                get_default_application(),
                admitted=settings.KODA_ADMITTED_REQUESTS,
                queued=settings.KODA_QUEUED_REQUESTS,
            ),
            host=host,
            port=port,
            max_body=settings.KODA_MAX_BODY,
            drain_seconds=settings.KODA_DRAIN_SECONDS,
            listening=self._tell_address,
            background=[Keeper(jobs())],
        )
        _calm_garbage_collector()
        try:
            server.run()
        except CannotListen as error:
            hint = "Choose another port with --port or KODA_PORT, or end what uses this one."
            raise CommandError(f"Cannot listen on {host}:{port}: {error}. {hint}") from error
        self.stdout.write("Koda Web has stopped.")
        _exit_soon()

    def _tell_address(self, host: str, port: int) -> None:
        name = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Koda Web is at http://{name}:{port}/ (stop with Ctrl-C)")
        self.stdout.flush()

    def _warn_of_old_sqlite(self) -> None:
        if connection.vendor != "sqlite":
            return
        version = _sqlite_version()
        if version < _FIXED_SQLITE:
            self.stderr.write(
                self.style.WARNING(
                    f"SQLite {'.'.join(map(str, version))} can lose committed data when a checkpoint meets a "
                    "writer (fixed in 3.51.3). Install the pysqlite3 package, or a Python that is built with a "
                    "newer SQLite, or use PostgreSQL (KODA_DATABASE_URL)."
                )
            )

    def _warn_of_missing_migrations(self) -> None:
        try:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            self.stderr.write(self.style.WARNING(f"The database does not answer: {error}"))
            return
        finally:
            connection.close()
        if missing:
            self.stderr.write(
                self.style.WARNING(
                    f"{len(missing)} migrations are not applied. Run the command setup or migrate first."
                )
            )


def _sqlite_version() -> tuple[int, ...]:
    """Return the version of the library that Django really uses, which the settings may have put in place."""
    return sqlite3.sqlite_version_info


def _allow_many_connections() -> None:
    """Raise the limit of open files, which is often 1,024, to what the system allows: each socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _calm_garbage_collector() -> None:
    """Take what is loaded out of the collector's sight, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)


def _exit_soon() -> None:
    """End the process even if a thread is stuck in a request that the drain gave up."""
    last_resort = threading.Timer(_EXIT_SECONDS, os._exit, [0])
    last_resort.daemon = True
    last_resort.start()
