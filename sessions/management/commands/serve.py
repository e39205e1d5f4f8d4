"""Serve: run the server in this process until it is told to stop."""

import resource
from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from sessions.checks import find_unsafe_binding
from sessions.live import memory
from sessions.live.admission import Admission
from sessions.live.keeper import Keeper, jobs
from sessions.live.server import CannotListen, Server, exit_soon
from sessions.management.commands.setup import collected_sources, fingerprint_sources
from sessions.management.ports import port_number

_OPEN_FILES = 65_536


class Command(BaseCommand):
    help = "Run the server in this process. SIGTERM and Ctrl-C finish what is running; a second one does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.KODA_HOST, help="address to listen on (KODA_HOST)")
        parser.add_argument(
            "--port", type=port_number, default=settings.KODA_PORT, help="port to listen on, 0 for any (KODA_PORT)"
        )

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        self._check_binding(host)
        self._warn_of_missing_migrations()
        self.warn_of_other_static_files()
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
            client_seconds=settings.KODA_CLIENT_SECONDS,
            drain_seconds=settings.KODA_DRAIN_SECONDS,
            listening=self._tell_address,
            background=[Keeper(jobs())],
        )
        memory.calm_collector()
        memory.keep_buffers()
        try:
            server.run()
        except CannotListen as error:
            hint = "Choose another port with --port or KODA_PORT, or end what uses this one."
            raise CommandError(f"Cannot listen on {host}:{port}: {error}. {hint}") from error
        self.stdout.write("Koda Web has stopped.")
        exit_soon()

    def _tell_address(self, host: str, port: int) -> None:
        name = f"[{host}]" if ":" in host else host
        self.stdout.write(f"Koda Web is at http://{name}:{port}/ (stop with Ctrl-C)")
        self.stdout.flush()

    def _check_binding(self, host: str) -> None:
        """Hold a host given by hand to what the system checks demand of the configured one."""
        if host == settings.KODA_HOST:
            return
        found = find_unsafe_binding(host)
        for message in found:
            self.stderr.write(self.style.WARNING(f"{message.msg} {message.hint}"))
        if any(message.is_serious() for message in found):
            raise CommandError(f"Not listening on {host}.")

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

    def warn_of_other_static_files(self) -> None:
        """Say when the collected static files are not those of this version."""
        if not settings.DEBUG and collected_sources() != fingerprint_sources():
            self.stderr.write(
                self.style.WARNING(
                    "The static files in the data folder are missing or not this version's: pages will look or work "
                    "wrongly. Run the command setup first."
                )
            )


def _allow_many_connections() -> None:
    """Raise the limit of open files, which is often 1,024, to what the system allows: each socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
