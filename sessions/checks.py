"""System checks: combinations of settings that are wrong together, each with a way out.

Single values are checked where the environment is read; here stands what only shows in combination.
"""

import ipaddress
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.db import connection

FIXED_SQLITE = (3, 51, 3)


def is_loopback(host: str) -> bool:
    """Tell whether a server bound to host can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def find_unsafe_binding(host: str) -> list[CheckMessage]:
    """Say what speaks against binding the server to host; errors must keep it from starting."""
    if is_loopback(host):
        return []
    found: list[CheckMessage] = []
    if not (settings.KODA_ALLOWED_HOSTS or settings.KODA_PUBLIC_URL):
        found.append(
            Error(
                f"The server would be reachable from other machines at {host}, under names nobody listed.",
                hint="Set KODA_PUBLIC_URL, or KODA_ALLOWED_HOSTS to the names and addresses it is reached at; "
                "or keep KODA_HOST at 127.0.0.1.",
                id="koda.E001",
            )
        )
    if settings.DEBUG:
        found.append(
            Error(
                f"KODA_DEBUG shows code and settings to everyone who can reach {host}.",
                hint="Unset KODA_DEBUG, or keep KODA_HOST at 127.0.0.1.",
                id="koda.E003",
            )
        )
    if urlsplit(settings.KODA_PUBLIC_URL or "").scheme != "https":
        found.append(
            Warning(
                f"Passwords and API keys travel unencrypted to {host}.",
                hint="Put a proxy with TLS in front and set KODA_PUBLIC_URL=https://… and KODA_PROXY_COUNT=1.",
                id="koda.W001",
            )
        )
    return found


@register(Tags.security)
def check_binding(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001 - signature of Django's checks
    """Check the configured address of the server."""
    return find_unsafe_binding(settings.KODA_HOST)


@register(Tags.security)
def check_public_address(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that requests to the public address can be recognised as encrypted and as ours."""
    found: list[CheckMessage] = []
    if urlsplit(settings.KODA_PUBLIC_URL or "").scheme == "https" and not settings.KODA_PROXY_COUNT:
        found.append(
            Error(
                "KODA_PUBLIC_URL is https, but nothing is trusted to say that a request came encrypted: "
                "every page would redirect to itself for ever.",
                hint="Set KODA_PROXY_COUNT to the number of proxies in front of the server, mostly 1.",
                id="koda.E002",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Warning(
                "KODA_ALLOWED_HOSTS contains *: any web page can pretend to be this server (DNS rebinding).",
                hint="List the names and addresses at which the server is reached.",
                id="koda.W002",
            )
        )
    return found


@register(Tags.compatibility)
def check_sqlite(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that the SQLite in use is free of the fault that loses pages of the write-ahead log."""
    if connection.vendor != "sqlite":
        return []
    version = connection.Database.sqlite_version_info  # type: ignore[attr-defined] # each backend has its own
    if version >= FIXED_SQLITE:
        return []
    return [
        Warning(
            f"SQLite {'.'.join(map(str, version))} can, rarely, lose committed pages of its write-ahead log.",
            hint="Use a Python built with SQLite 3.51.3 or newer, install pysqlite3, or name a PostgreSQL "
            "database in KODA_DATABASE_URL.",
            id="koda.W003",
        )
    ]


@register(Tags.compatibility)
def check_channel_layer(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that several server processes, which PostgreSQL invites, would hear each other."""
    if connection.vendor == "sqlite" or settings.KODA_REDIS_URL:
        return []
    return [
        Warning(
            "Without Redis only one server process may run on this database: others would not hear at once "
            "what it stores, and each would count request rates by itself.",
            hint="Name a Redis in KODA_REDIS_URL, or run a single server process and silence this check.",
            id="koda.W004",
        )
    ]


@register(Tags.compatibility)
def check_variables(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check for KODA_ variables that mean nothing to this program."""
    if not settings.KODA_UNKNOWN_VARIABLES:
        return []
    return [
        Warning(
            f"These variables are not settings of Koda Web: {', '.join(settings.KODA_UNKNOWN_VARIABLES)}.",
            hint="docs/settings.md lists all settings. Variables of an agent that shares the prefix do no harm.",
            id="koda.W005",
        )
    ]


@register(Tags.security)
def check_data_folder(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that other users of the machine cannot look into the data folder."""
    folder = Path(settings.KODA_DATA_DIR)
    if not folder.is_dir() or not folder.stat().st_mode & 0o077:
        return []
    return [
        Warning(
            f"Other users of this machine can look into {folder}, where sessions and the secret key lie.",
            hint=f"chmod 700 {folder}",
            id="koda.W006",
        )
    ]


@register(Tags.compatibility)
def check_retention(app_configs: Iterable[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Check that no policy destroys what another one promises to keep, or what an agent works on."""
    stale_hours, deleted_days = settings.KODA_RETENTION_STALE_HOURS, settings.KODA_RETENTION_DELETED_DAYS
    found: list[CheckMessage] = []
    if settings.KODA_RETENTION_STALE_RUNNING and stale_hours is None:
        found.append(
            Warning(
                "KODA_RETENTION_STALE_RUNNING does nothing without KODA_RETENTION_STALE_HOURS.",
                hint="Name the hours after which a session is stale, or unset it.",
                id="koda.W007",
            )
        )
    if stale_hours is None:
        return found
    if deleted_days is not None and stale_hours < 24 * deleted_days:
        found.append(
            Warning(
                f"KODA_RETENTION_STALE_HOURS={stale_hours} destroys a deleted session before the {deleted_days} days "
                "of KODA_RETENTION_DELETED_DAYS are over.",
                hint=f"Set KODA_RETENTION_STALE_HOURS to {24 * deleted_days} or more, or lower the days.",
                id="koda.W008",
            )
        )
    if settings.KODA_RETENTION_STALE_RUNNING and timedelta(hours=stale_hours) <= settings.KODA_STUCK_AFTER:
        found.append(
            Error(
                "A running session would be destroyed as stale before it could even be called stuck.",
                hint="Set KODA_RETENTION_STALE_HOURS well above KODA_STUCK_AFTER, or unset "
                "KODA_RETENTION_STALE_RUNNING.",
                id="koda.E004",
            )
        )
    return found
