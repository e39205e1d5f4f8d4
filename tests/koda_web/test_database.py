"""The database as it is really opened."""

import sqlite3

import pytest
from django.db import connection, transaction

from koda_web import sqlite

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _on_sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has these options")


def ask(pragma: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {pragma}")
        return cursor.fetchone()[0]


def test_sqlite_is_free_of_the_lost_page_fault():
    assert sqlite3.sqlite_version_info >= sqlite.FIXED_VERSION
    assert connection.Database.sqlite_version_info >= sqlite.FIXED_VERSION


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("wal_autocheckpoint", 0),
        ("foreign_keys", 1),
        ("busy_timeout", 20_000),
        ("mmap_size", 0),
    ],
)
def test_every_connection_has_the_options_that_keep_data_safe(pragma, value):
    assert ask(pragma) == value


def test_a_transaction_holds_the_write_lock_from_its_beginning():
    other = connection.copy("other")
    other.settings_dict["OPTIONS"] = {**other.settings_dict["OPTIONS"], "timeout": 0.05}
    try:
        other.connect()
        with transaction.atomic(), pytest.raises(connection.Database.OperationalError, match="locked"):
            other.connection.execute("BEGIN IMMEDIATE")
    finally:
        other.close()
