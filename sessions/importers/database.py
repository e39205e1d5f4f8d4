"""Databases of other programs, opened read-only beside a program that may be writing to them.

Columns come and go with the versions, so each is asked for only where it exists. No read stays open while records
are written elsewhere: an open read keeps the program's own log from being folded in.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from sessions.exceptions import InvalidRequest
from sessions.importers.fields import JsonObject
from sessions.importers.records import Tally

MAGIC = b"SQLite format 3\x00"
LOCKED_SECONDS = 5


class ForeignDatabase:
    """One database file. All raise `InvalidRequest` when it cannot be read.

    A program names its tables with the columns without which a database is not its own, and those it may have beside.
    """

    program: ClassVar[str]
    needed: ClassVar[Mapping[str, frozenset[str]]]
    optional: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path) -> None:
        """Open it and see what it has. Raises `OSError` without a file, `InvalidRequest` when it is another's."""
        self._path = path
        path.stat()
        self._columns: dict[str, set[str]] = {}
        with self._readable():
            address = f"{path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, timeout=LOCKED_SECONDS, isolation_level=None)
        try:
            self._connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            self._connection.row_factory = sqlite3.Row
            self._probe()
            self.require()
        except InvalidRequest:
            self.close()
            raise

    @classmethod
    def recognises(cls, path: Path, *, head: bytes) -> bool:
        """Say whether the file is a database of this program. Never raises."""
        return head.startswith(MAGIC) and cls.fault(path, head=head) is None

    @classmethod
    def fault(cls, path: Path, *, head: bytes) -> str | None:
        """Return why a database is not this program's, in a sentence; None when it is, or is no database at all."""
        if not head and path.suffix == ".db":
            return f"{path} is empty: no database was made in it yet."
        if not head.startswith(MAGIC):
            return None
        try:
            cls(path).close()
        except InvalidRequest as invalid:
            return invalid.detail
        except OSError as error:
            return f"{path} cannot be opened: {error}."
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def require(self) -> None:
        """Raise `InvalidRequest` when the columns are not this program's."""
        for table, needed in self.needed.items():
            if table not in self._columns:
                raise self.foreign(f"it has no table {table}")
            if missing := needed - self._columns[table]:
                raise self.foreign(f"its {table} have no {', '.join(sorted(missing))}")

    def foreign(self, reason: str) -> InvalidRequest:
        """Return the error that says why this is not this program's database."""
        return InvalidRequest(f"{self._path} is a database, but not {self.program}'s: {reason}.")

    def has(self, table: str, column: str = "") -> bool:
        """Say whether the table is there, and has the column."""
        columns = self._columns.get(table)
        return columns is not None and (not column or column in columns)

    def data_version(self) -> int:
        """Return a number that changes whenever somebody else commits."""
        return int(self.all("PRAGMA data_version")[0][0])

    def newest_row(self, table: str) -> int:
        """Return the highest number that a row of `table` ever had; rows that are deleted since count, too."""
        numbers = [row[0] for row in self.all(f"SELECT max(id) FROM {table}")]  # noqa: S608 - a name of ours
        if self.all("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
            numbers += [row[0] for row in self.all("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))]
        return max((number for number in numbers if isinstance(number, int)), default=0)

    def rows(
        self, table: str, columns: Sequence[str], rest: str = "", values: Sequence[object] = ()
    ) -> list[JsonObject]:
        """Return rows of a table with those of `columns` that it has; none when it has not even the first."""
        if not self.has(table, columns[0]):
            return []
        names = ", ".join(name for name in columns if self.has(table, name))
        sql = f"SELECT {names} FROM {table} {rest}"  # noqa: S608 - all names are from modules of ours
        return [dict(row) for row in self.all(sql, values)]

    def all(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return all rows of a query, so that no read stays open."""
        with self._readable():
            return self._connection.execute(sql, tuple(values)).fetchall()

    def _probe(self) -> None:
        """Note the columns of the program's tables."""
        tables = {row[0] for row in self.all("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in sorted(tables & {*self.needed, *self.optional}):
            self._columns[table] = {str(row["name"]).lower() for row in self.all(f"PRAGMA table_info({table})")}

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Tell in a sentence what SQLite finds wrong."""
        try:
            yield
        # What SQLite says of a broken file, and names in it, need not be UTF-8.
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"{self._path} cannot be read: {error}.") from error


DatabaseT = TypeVar("DatabaseT", bound=ForeignDatabase)


class DatabaseReader(Generic[DatabaseT]):
    """Reads one database again and again; knows when there is news, and when another file has taken its place."""

    opens: ClassVar[type[ForeignDatabase]]

    def __init__(self, path: Path) -> None:
        """Begin with nothing read."""
        self.tally = Tally()
        self.path = path
        self._database: DatabaseT | None = None
        self._version: int | None = None
        self._identity: tuple[int, int] | None = None
        self.begin()

    def begin(self) -> None:
        """Stand before the first row."""
        raise NotImplementedError

    def has_news(self) -> bool:
        """Say whether anything was committed, or the file replaced. Raises `OSError`; a fault is told by `pull`."""
        try:
            return self._open().data_version() != self._version
        except InvalidRequest:
            return True

    def opened(self) -> DatabaseT:
        """Return the database as it is to be read now. Raises `OSError` or `InvalidRequest`."""
        database = self._open()
        self._version = database.data_version()
        return database

    def close(self) -> None:
        """Let go of the file; a later pull opens it again and goes on."""
        self._version = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def pass_over(self, **counts: int) -> None:
        """Note what was left out and why, in place of what was noted before; the names are sentences."""
        for reason, count in counts.items():
            self.tally.passed_over.pop(reason, None)
            if count:
                self.tally.passed_over[reason] = count

    def _open(self) -> DatabaseT:
        """Return the database, opened anew and read from its start when another file has taken its place."""
        state = self.path.stat()
        identity = (state.st_dev, state.st_ino)
        if self._identity not in {None, identity}:
            self.close()
            self.begin()
        self._identity = identity
        if self._database is None:
            self._database = type(self).opens(self.path)  # type: ignore[assignment]
        assert self._database is not None
        return self._database
