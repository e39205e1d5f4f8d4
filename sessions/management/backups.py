"""Copies of the whole database: made while the server serves, checked, and put back.

SQLite copies itself (VACUUM INTO) into one file. Of PostgreSQL its own programs make and read the copy.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError, connection

_IN_USE = "Somebody else has the database open. Stop every server and command that uses it first."
_OF_ANOTHER = "it has no tables of Koda Web"
SUFFIXES = {"sqlite": ".sqlite3", "postgresql": ".dump"}
_MIGRATIONS, _APP = "django_migrations", "koda_sessions"
_TABLES = frozenset({_MIGRATIONS, "auth_user", "koda_sessions_session", "koda_sessions_message"})
"""Tables that each version has had."""
_THE_COPY = "The copy"
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes of SQLite's file that who reads it has locked (sqlite.org/fileformat2, the lock-byte page)."""


def name_of(now: datetime) -> str:
    """Return the file name of a copy made at `now`; names sort by time."""
    return f"koda-{now:%Y%m%dT%H%M%SZ}{SUFFIXES[connection.vendor]}"


def copy_to(path: Path) -> None:
    """Write a checked copy of the database to `path`, for its owner's eyes only; it is there whole or not at all.

    Raises `CommandError` when a file is there already or the copy cannot be made.
    """
    if path.exists():
        raise CommandError(f"There is a file at {path} already.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if not _TABLES.issubset(connection.introspection.table_names()):
            raise CommandError("No copy was made: the database has no tables of Koda Web. Run the command setup first.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.touch(mode=0o600)
        _copiers()[0](unfinished)
        _write_through(unfinished)
        os.link(unfinished, path)  # unlike a rename it never takes the place of a file
        _write_through(path.parent)
    except (OSError, DatabaseError) as error:
        raise CommandError(f"No copy was made: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def put_back(path: Path, *, now: datetime) -> Path | None:
    """Replace the database by the copy at `path`; return where the file that was replaced is kept, if there is one.

    Raises `CommandError` when the copy is none, or somebody else has the database open; then nothing was changed.
    """
    if not path.is_file():
        raise CommandError(f"There is no file at {path}.")
    try:
        return _copiers()[1](path, now)
    except (OSError, DatabaseError) as error:
        raise CommandError(f"Nothing was restored: {error}") from error


def _copiers() -> tuple[Callable[[Path], None], Callable[[Path, datetime], Path | None]]:
    """Return how this database is copied, and how a copy of it is put back."""
    if connection.vendor == "postgresql":
        return _dump, _load
    return _vacuum_into, _replace_file


def _write_through(path: Path) -> None:
    """Return when the disk has what was written to the file or folder at `path`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- SQLite --------------------------------------------------------------------------------------------------


def _vacuum_into(path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(path)])
    _require_sound(path, called=_THE_COPY)


def _require_sound(path: Path, *, called: str) -> None:
    """Raise `CommandError` unless the file is a whole database of ours."""
    sqlite: Any = connection.Database  # type: ignore[attr-defined] # each backend has its own
    try:
        with closing(sqlite.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            faults = [fault for (fault,) in copy.execute("PRAGMA integrity_check") if fault != "ok"]
            applied = [app for (app,) in copy.execute(f"SELECT app FROM {_MIGRATIONS}")]  # noqa: S608 - a constant
            tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite.DatabaseError as error:
        raise CommandError(f"{called} is not a copy of this database: {error}.") from error
    if faults or not applied:
        raise CommandError(f"{called} is damaged: {'; '.join(faults[:3]) or 'it is empty'}.")
    if _APP not in applied or not tables >= _TABLES:
        raise CommandError(f"{called} is not a copy of this database: {_OF_ANOTHER}.")


def _replace_file(path: Path, now: datetime) -> Path | None:
    _require_sound(path, called=str(path))
    place = Path(connection.settings_dict["NAME"])
    unfinished = place.with_name(f".{place.name}.restoring")
    kept = place.with_name(f"{place.name}.before-{now:%Y%m%dT%H%M%SZ}")
    is_there = place.exists()
    try:
        shutil.copyfile(path, unfinished)
        unfinished.chmod(0o600)
        _write_through(unfinished)
        if is_there:
            _require_nobody_else(place)
            os.link(place, kept)
        _set_logs_aside(place, kept)
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
    _write_through(place.parent)
    return kept if is_there else None


def _require_nobody_else(place: Path) -> None:
    """Take the log into the database and remove it, which SQLite does only for whoever is alone with the file.

    A file that is damaged has to be replaced all the more: of that one it is enough that nobody reads it.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout=1000")
            cursor.execute("PRAGMA journal_mode=DELETE")
    except OperationalError as error:
        if "locked" not in str(error):
            raise
        raise CommandError(_IN_USE) from error
    except DatabaseError:
        connection.close()
        _require_no_reader(place)
    connection.close()


def _require_no_reader(place: Path) -> None:
    """Raise `CommandError` when another process holds the lock that each of SQLite's open connections has."""
    with place.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError as error:
            raise CommandError(_IN_USE) from error


def _set_logs_aside(place: Path, kept: Path) -> None:
    """Put what a server that was killed left beside the old file beside its copy: SQLite takes it for the new one's."""
    for suffix in ("-wal", "-journal"):
        log = place.with_name(f"{place.name}{suffix}")
        if log.exists():
            log.replace(kept.with_name(f"{kept.name}{suffix}"))
    place.with_name(f"{place.name}-shm").unlink(missing_ok=True)  # an index of the log, made anew for each


# --- PostgreSQL ----------------------------------------------------------------------------------------------

# Connections that were closed a moment ago, our own among them, are given a second to go.
_REQUIRE_NOBODY_ELSE = f"""
DO $$ BEGIN
    FOR _ IN 1..10 LOOP
        PERFORM pg_stat_clear_snapshot();
        IF NOT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        ) THEN RETURN; END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE EXCEPTION '{_IN_USE}';
END $$;
"""


def _dump(path: Path) -> None:
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")
    _require_ours(path, called=_THE_COPY)


def _require_ours(path: Path, *, called: str) -> None:
    """Raise `CommandError` unless the file is a copy of a database of ours: what is put back takes all tables away."""
    contents = [line.split() for line in _told_of(path, "--list")]
    tables = {words[5].decode() for words in contents if words[3:4] == [b"TABLE"] and words[4] != b"DATA"}
    rows = _told_of(path, "--data-only", f"--table={_MIGRATIONS}", "--file=-")
    if not tables >= _TABLES or not any(row.split(b"\t")[1:2] == [_APP.encode()] for row in rows):
        raise CommandError(f"{called} is not a copy of this database: {_OF_ANOTHER}.")


def _told_of(path: Path, *options: str) -> list[bytes]:
    """Return the lines in which pg_restore tells of a copy."""
    with tempfile.TemporaryFile() as output:
        _run("pg_restore", *options, str(path), output=output, is_connected=False)
        output.seek(0)
        return output.readlines()


def _load(path: Path, now: datetime) -> None:  # noqa: ARG001 - nothing of the old is kept: it is one transaction
    _require_ours(path, called=str(path))
    script = path.with_name(f".{path.name}.{os.getpid()}.sql")
    try:
        script.touch(mode=0o600)
        # Also of tables that a newer version than the copy's has made, or its migrations would fail again.
        script.write_text(f"{_REQUIRE_NOBODY_ELSE}\n{_drop_all()}", encoding="utf-8")
        with script.open("ab") as output:
            options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--file=-")
            _run("pg_restore", *options, str(path), output=output, is_connected=False)
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # PostgreSQL's has one
        _run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={script}")
    finally:
        script.unlink(missing_ok=True)


def _drop_all() -> str:
    tables = sorted({*connection.introspection.django_table_names(), _MIGRATIONS})
    names = ", ".join(connection.ops.quote_name(name) for name in tables)
    return f"SET client_min_messages = warning;\nDROP TABLE IF EXISTS {names} CASCADE;\n"


def _run(program: str, *arguments: str, output: Any = subprocess.DEVNULL, is_connected: bool = True) -> None:
    """Run a program of PostgreSQL's; the password travels in the environment, where other users cannot read it."""
    found = shutil.which(program)
    if found is None:
        raise CommandError(
            f"{program} is not installed. It belongs to PostgreSQL's client programs (postgresql-client)."
        )
    environment = {**os.environ, **(_address() if is_connected else {})}
    done = subprocess.run(  # noqa: S603 - a fixed program, no shell
        [found, *arguments],
        env=environment,
        stdout=output,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{program}: {done.stderr.decode(errors='replace').strip()}")


def _address() -> dict[str, str]:
    """Return the variables by which PostgreSQL's programs find our database."""
    known = connection.settings_dict
    words = {"PGDATABASE": "NAME", "PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD"}
    found = {variable: str(known[name]) for variable, name in words.items() if known.get(name)}
    options = {f"PG{name.upper()}": str(value) for name, value in known["OPTIONS"].items() if name.startswith("ssl")}
    return {**found, **options}
