"""The database as it is really opened."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.backends.sqlite3 import base as djangos_engine
from django.utils.dateparse import parse_datetime
from hypothesis import given
from hypothesis.strategies import datetimes, just, timezones

from koda_web import sqlite
from sessions.api.problems import translate
from tests.conftest import find_free_port

pytestmark = pytest.mark.django_db(transaction=True)


on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite has these options")
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has a pool")


def ask(pragma: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {pragma}")
        return cursor.fetchone()[0]


@on_sqlite
def test_sqlite_is_free_of_the_lost_page_fault():
    assert sqlite3.sqlite_version_info >= sqlite.FIXED_VERSION
    assert connection.Database.sqlite_version_info >= sqlite.FIXED_VERSION


@on_sqlite
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


@on_sqlite
@given(moment=datetimes(timezones=timezones() | just(UTC), allow_imaginary=True))
def test_moments_are_written_and_read_as_django_does(moment):
    djangos = djangos_engine.DatabaseWrapper.ops_class(connection)
    for _ in range(2):  # the second time by heart
        try:
            text = djangos.adapt_datetimefield_value(moment)
        except OverflowError:  # before the first year, in UTC
            with pytest.raises(OverflowError):
                connection.ops.adapt_datetimefield_value(moment)
            return
        assert connection.ops.adapt_datetimefield_value(moment) == text
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS moments (at datetime)")
            cursor.execute("DELETE FROM moments")
            cursor.execute("INSERT INTO moments VALUES (%s)", [text])
            cursor.execute("SELECT at FROM moments")
            kept = cursor.fetchone()[0]
        assert kept == parse_datetime(text)
        read = connection.ops.convert_datetimefield_value(kept, None, connection)
        assert repr(read) == repr(djangos.convert_datetimefield_value(kept, None, connection))


@on_sqlite
def test_a_transaction_holds_the_write_lock_from_its_beginning():
    other = connection.copy("other")
    other.settings_dict["OPTIONS"] = {**other.settings_dict["OPTIONS"], "timeout": 0.05}
    try:
        other.connect()
        with transaction.atomic(), pytest.raises(connection.Database.OperationalError, match="locked"):
            other.connection.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


@on_postgresql
def test_threads_share_the_connections_of_one_pool():
    def ask_for_the_backend(_: int) -> int:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                return cursor.fetchone()[0]
        finally:
            connection.close()

    connection.close()
    connection.close_pool()  # and the connections that other tests have made it grow to
    rounds = settings.KODA_ADMITTED_REQUESTS * 3
    with ThreadPoolExecutor(max_workers=4) as threads:
        backends = set(threads.map(ask_for_the_backend, range(rounds)))
    assert len(backends) <= 5


@pytest.fixture
def pooled():
    """Return what opens a pool of its own, on the database of the tests or where there is none."""
    opened = []

    def pool(*, is_there: bool, **options):
        other = connection.copy(f"pool {len(opened)}")
        other.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 2, "reconnect_timeout": 0.1, **options}
        if not is_there:
            other.settings_dict.update(HOST="127.0.0.1", PORT=str(find_free_port()))
        opened.append(other)
        return other

    yield pool
    for other in opened:
        other.close()
        other.close_pool()


@on_postgresql
def test_where_no_database_answers_the_first_who_waits_finds_out_for_those_behind(pooled):
    away = pooled(is_there=False, timeout=1.5)
    spans = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(OperationalError):
            away.ensure_connection()
        spans.append(time.monotonic() - began)
    assert spans[1] < spans[0]
    assert away.pool.timeout == 1.0


@on_postgresql
def test_a_database_that_is_there_again_is_waited_for_as_before(pooled):
    back = pooled(is_there=True, timeout=30)
    back.pool.timeout = 1.0
    back.ensure_connection()
    assert back.pool.timeout == 30


@on_postgresql
@pytest.mark.parametrize("withheld", ["SET TRANSACTION READ ONLY", "SET LOCAL ROLE pg_monitor"])
def test_a_database_that_may_not_be_written_to_is_unusable_and_no_fault_of_the_question(withheld):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(withheld)
        with pytest.raises(OperationalError) as told:
            cursor.execute("DELETE FROM koda_sessions_session")
        transaction.set_rollback(True)
    assert translate(told.value).code == "unavailable"


@on_sqlite
def test_a_statement_is_put_into_sqlites_words_and_means_the_same():
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute("SELECT %s, '100%%', %s", ("%s", 2))
            assert cursor.fetchone() == ("%s", "100%", 2)
        cursor.execute("SELECT %(one)s, '%%'", {"one": 1})
        assert cursor.fetchone() == (1, "%")
        cursor.execute("SELECT '%s'")
        assert cursor.fetchone() == ("%s",)
        longer = f"SELECT {', '.join(['%s'] * 500)}, '{'x' * 10_000}%%'"
        cursor.execute(longer, range(500))
        assert cursor.fetchone()[-1][-2:] == "x%"


@pytest.fixture
def mine(tmp_path):
    """Return a connection to a file of its own, which its thread keeps with a cache of 1,000 KiB."""
    opened = connection.copy("kept")
    opened.settings_dict["NAME"] = tmp_path / "one.sqlite3"
    opened.keep(cache_kib=1_000, statements=400)
    opened.ensure_connection()
    yield opened
    opened.close()


@on_sqlite
def test_a_kept_connection_stays_open_beyond_a_request_and_others_do_not(mine):
    opened = mine.connection
    assert opened.execute("PRAGMA cache_size").fetchone() == (-1_000,)
    mine.close_if_unusable_or_obsolete()
    assert mine.connection is opened

    other = connection.copy("other")
    other.ensure_connection()
    other.close_if_unusable_or_obsolete()
    assert other.connection is None


@on_sqlite
@pytest.mark.parametrize("becomes", ["another", "none"])
def test_a_kept_connection_is_left_when_its_file_is_another(mine, tmp_path, becomes):
    path = tmp_path / "one.sqlite3"
    path.rename(tmp_path / "away.sqlite3")
    if becomes == "another":
        path.touch()
    mine.close_if_unusable_or_obsolete()
    assert mine.connection is None
    with mine.cursor() as cursor:
        cursor.execute("CREATE TABLE new (id)")
    assert path.stat().st_size


@on_sqlite
def test_a_kept_connection_is_left_after_an_error(mine):
    with pytest.raises(OperationalError), mine.cursor() as cursor:
        cursor.execute("SELECT * FROM nothing")
    mine.close_if_unusable_or_obsolete()
    assert mine.connection is None


@on_sqlite
def test_a_kept_connection_holds_as_many_statements_ready_as_it_was_told(mine):
    """With pysqlite3's own hundred, a statement that comes after so many is worked out again each time."""
    worked_out: list[str] = []
    # SQLite asks for leave when it works a statement out, and not when it runs it.
    mine.connection.set_authorizer(lambda *_asked: worked_out.append("") or sqlite3.SQLITE_OK)
    counts = []
    for _turn in range(2):
        for number in range(300):
            assert mine.connection.execute(f"SELECT {number}").fetchone() == (number,)
        counts.append(len(worked_out))
    assert counts[1] == counts[0] >= 300
