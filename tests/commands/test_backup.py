"""backup and restore."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from sessions import transcripts
from sessions.management import backups
from sessions.models import Message, Session
from tests.conftest import ROOT, make_environment, manage
from tests.databases import IS_SQLITE, own_database
from tests.factories import make_message, make_session, make_user

SUFFIX = ".sqlite3" if IS_SQLITE else ".dump"
sqlite_only = pytest.mark.skipif(not IS_SQLITE, reason="PostgreSQL keeps its files to itself")


def backup(*arguments: str) -> Path:
    output = StringIO()
    call_command("backup", *arguments, stdout=output)
    return Path(output.getvalue().strip())


@contextmanager
def writing(session: Session, acknowledged: list[int]) -> Iterator[None]:
    """Append to the session without a pause while the block runs; a hundred at least are there before it does."""
    is_over, is_under_way = threading.Event(), threading.Event()

    def write() -> None:
        try:
            while not is_over.is_set():
                acknowledged.append(make_message(session, content=f"number {len(acknowledged)}"))
                if len(acknowledged) == 100:
                    is_under_way.set()
        finally:
            connection.close()
            is_under_way.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert is_under_way.wait(60)
    try:
        yield
    finally:
        is_over.set()
        writer.join()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_is_copied_under_writes_is_whole_when_it_is_restored(tmp_path: Path):
    session = make_session(make_user("ada"), title="Busy")
    acknowledged: list[int] = []
    with writing(session, acknowledged):
        before = len(acknowledged)
        path = backup(str(tmp_path / f"copies/one{SUFFIX}"))
        after = len(acknowledged)
    assert after > before, "the copy kept nobody waiting until it was done"

    with own_database() as database:
        environment = make_environment(tmp_path / "data", **database)
        (tmp_path / "data").mkdir(mode=0o700)
        said = manage(environment, "restore", str(path), "--yes")
        kept = manage(environment, "shell", "--no-imports", "--command", _PRINT_IDS)
        counters = json.loads(manage(environment, "rebuild", "--check", "--json"))
        index = json.loads(manage(environment, "rebuild", "--search", "--check", "--json"))

    assert said == f"Restored from {path}.\n"
    ids = json.loads(kept)
    assert ids == acknowledged[: len(ids)], "each acknowledged one once, in order, up to one moment"
    assert len(ids) >= before
    assert counters == {"sessions": 1, "differences": []}
    assert (index["missing"], index["broken"]) == (0, False)


_PRINT_IDS = (
    "import json; from sessions.models import Message; "
    "print(json.dumps(list(Message.objects.order_by('pk').values_list('pk', flat=True))))"
)


@pytest.mark.django_db(transaction=True)
def test_a_copy_lies_in_the_data_folder_for_its_owner_alone(settings, tmp_path: Path):
    settings.KODA_DATA_DIR = tmp_path
    path = backup()
    assert path.parent == tmp_path / "backups"
    assert path.suffix == SUFFIX
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_there_stays(tmp_path: Path):
    place = tmp_path / "precious"
    place.write_text("mine")
    with pytest.raises(CommandError, match="There is a file"):
        backup(str(place))
    assert place.read_text() == "mine"


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path):
    if os.geteuid() == 0:
        place = Path("/proc/koda.copy")  # where even root cannot write
    else:
        tmp_path.chmod(0o500)
        place = tmp_path / "copy"
    with pytest.raises(CommandError, match="No copy was made"):
        backup(str(place))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_export", [False, True])
def test_no_copy_stays_that_the_audit_log_could_not_be_told_of(tmp_path: Path, is_export: bool):
    session = make_session(make_user("ada"))
    place = tmp_path / "copy"
    command = ["exportsession", str(session.uuid), "--output", str(place)] if is_export else ["backup", str(place)]

    def write_nothing(execute, sql, params, many, context):
        """Be a database that is read-only since the copy was made."""
        if "koda_sessions_auditentry" in sql and sql.startswith("INSERT"):
            assert place.exists()
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(write_nothing), pytest.raises(OperationalError):
        call_command(*command, stdout=StringIO())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_database_without_tables_is_not_copied_and_says_what_to_do(tmp_path: Path):
    (tmp_path / "data").mkdir(mode=0o700)
    with own_database() as database:
        done = subprocess.run(
            [sys.executable, "manage.py", "backup", str(tmp_path / "copies" / "one")],
            cwd=ROOT, env=make_environment(tmp_path / "data", **database), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith(
        "CommandError: No copy was made: the database has no tables of Koda Web. Run the command setup first.\n"
    )
    assert str(tmp_path) not in done.stderr, "not the name of a file that nobody will see"
    assert not (tmp_path / "copies").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(IS_SQLITE, reason="SQLite needs no other program")
def test_a_missing_program_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"pg_dump is not installed"):
        backup(str(tmp_path / "copy"))


def restore(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "restore", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_restoring_replaces_what_is_there_and_not_while_somebody_uses_it(tmp_path: Path):
    session = make_session(make_user("ada"))
    transcripts.append(session.pk, [transcripts.MessageDraft(role="user", content="kept")])
    path = backup(str(tmp_path / "copy"))
    (tmp_path / "data").mkdir(mode=0o700)

    with own_database() as database:
        environment = make_environment(tmp_path / "data", **database)
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "createcachetable", "left_over")  # a table that the copy does not know

        with _in_use(environment, tmp_path / "data"):
            refused = restore(environment, str(path), "--yes")
        unasked = restore(environment, str(path))
        done = restore(environment, str(path), "--yes")
        count = manage(environment, "shell", "--no-imports", "--command", _PRINT_IDS)

    assert refused.returncode == 1
    assert "Stop every server" in refused.stderr
    assert unasked.returncode == 1
    assert "Say --yes" in unasked.stderr
    assert done.returncode == 0, done.stderr
    assert len(json.loads(count)) == Message.objects.count() == 1
    assert len(list((tmp_path / "data").glob("*.before-*"))) == IS_SQLITE


@contextmanager
def _in_use(environment: dict[str, str], data_dir: Path) -> Iterator[None]:
    """Have the database open, as a server has."""
    if IS_SQLITE:
        held = connection.Database.connect(data_dir / "koda.sqlite3")
        held.execute("PRAGMA journal_mode=WAL").fetchone()
        held.execute("SELECT 1 FROM django_migrations").fetchone()
    else:
        import psycopg

        held = psycopg.connect(environment["KODA_DATABASE_URL"])
    try:
        yield
    finally:
        held.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_copy_is_not_restored(tmp_path: Path, content: bytes):
    path = tmp_path / "copy"
    path.write_bytes(content)
    user = make_user("ada")
    with pytest.raises(CommandError):
        call_command("restore", str(path), "--yes")
    user.refresh_from_db()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("app", ["polls", "koda_sessions"])
def test_a_copy_of_another_programs_database_is_not_restored(tmp_path: Path, app: str):
    path = _copy_of_another_program(tmp_path / "copy", app=app)
    user = make_user("ada")
    with pytest.raises(CommandError, match="is not a copy of this database: it has no tables of Koda Web"):
        call_command("restore", str(path), "--yes")
    user.refresh_from_db()


def _copy_of_another_program(path: Path, *, app: str) -> Path:
    """Copy a database that Django has made, too, as far as it looks like ours."""
    rows = (
        "CREATE TABLE django_migrations (id integer, app text); CREATE TABLE polls_choice (id integer); "
        f"INSERT INTO django_migrations VALUES (1, '{app}')"
    )
    if IS_SQLITE:
        with closing(connection.Database.connect(path)) as other:
            other.executescript(rows)
        return path
    with own_database() as database:
        url = database["KODA_DATABASE_URL"]
        subprocess.run(["psql", "--quiet", "--command", rows, url], check=True)
        subprocess.run(["pg_dump", "--format=custom", f"--file={path}", url], check=True)
    return path


@pytest.mark.django_db(transaction=True)
@sqlite_only
def test_the_log_that_a_killed_server_left_is_not_taken_for_that_of_the_copy(tmp_path: Path):
    make_message(make_session(make_user("ada")))
    path = backup(str(tmp_path / "copy"))
    place = _old_database(tmp_path)
    log = Path(f"{place}-wal")
    with closing(_opened(place)):
        left_behind = log.read_bytes()
    place.unlink()
    log.write_bytes(left_behind)

    done = in_another_process(tmp_path, path)

    assert done.returncode == 0, done.stderr
    with closing(connection.Database.connect(place)) as restored:
        assert restored.execute("SELECT count(*) FROM koda_sessions_message").fetchone() == (1,)
    [kept] = place.parent.glob("*.before-*")
    assert kept.read_bytes() == left_behind


@pytest.mark.django_db(transaction=True)
@sqlite_only
def test_a_copy_takes_the_place_of_a_damaged_database_and_not_of_one_that_somebody_reads(tmp_path: Path):
    make_message(make_session(make_user("ada")))
    path = backup(str(tmp_path / "copy"))
    place = _old_database(tmp_path)
    with closing(_opened(place)) as reader:
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        # Not from here: to close a file gives up the locks that the reader has on it.
        damage = f"open({str(place)!r}, 'rb+').write(b'damaged!' * 64)"
        subprocess.run([sys.executable, "-c", damage], check=True)
        refused = in_another_process(tmp_path, path)
    done = in_another_process(tmp_path, path)

    assert refused.returncode == 1
    assert "Stop every server" in refused.stderr
    assert done.returncode == 0, done.stderr
    with closing(connection.Database.connect(place)) as restored:
        assert restored.execute("SELECT count(*) FROM koda_sessions_message").fetchone() == (1,)
    [kept] = place.parent.glob("*.before-*")
    assert kept.read_bytes().startswith(b"damaged!")


def _old_database(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "koda.sqlite3"


def _opened(place: Path):
    """Have a database open as a server has, with all that it holds in the log."""
    server = connection.Database.connect(place)
    server.executescript("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE django_migrations (old)")
    return server


def in_another_process(tmp_path: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return restore(make_environment(tmp_path / "data"), str(path), "--yes")


def test_a_name_sorts_by_its_time():
    from datetime import UTC, datetime

    names = [backups.name_of(datetime(2026, month, 3, 4, 5, 6, tzinfo=UTC)) for month in (11, 9, 12)]
    assert sorted(names) == [names[1], names[0], names[2]]
