"""Databases for one test alone, for server processes of its own: of the kind that the test run is on."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from django.conf import settings
from django.db import connection

IS_SQLITE = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
_numbers = itertools.count(1)


@contextmanager
def own_database() -> Iterator[dict[str, str]]:
    """Yield the settings under which a process uses a new database; on SQLite its data folder has one anyway."""
    if IS_SQLITE:
        yield {}
        return
    known = connection.settings_dict
    account = {"host": known["HOST"], "port": known["PORT"], "user": known["USER"], "password": known["PASSWORD"]}
    name = f"koda_own_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(dbname="postgres", autocommit=True, **{k: v for k, v in account.items() if v}) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            password = f":{quote(str(known['PASSWORD']), safe='')}" if known["PASSWORD"] else ""
            place = f"{known['USER']}{password}@{known['HOST']}:{known['PORT'] or 5432}"
            yield {"KODA_DATABASE_URL": f"postgresql://{place}/{name}"}
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
