"""Statements that are made once: those of every request of an agent, and those of the pages that people look at.

For a model of seventy columns Django takes longer to build SQL and values than the database takes for the rest. Rows
come back with Django's own converters and related objects, and go in through its own fields.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache, update_wrapper
from itertools import chain, repeat
from operator import is_, itemgetter
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, router
from django.db.models import query as django_query
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)
R = TypeVar("R")

_SHAPES = 20
"""Queries of one kind that are kept, those that were asked last."""

MOST_COUNTED = 10_000
"""Rows that are counted one by one; of more it is said that there are more. A page costs the same with any number."""


class Place(models.Expression):
    """Stands in a query for a value that each call brings: a number, a text, a moment or a UUID, and never None."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def as_sql(self, _compiler: Any, _connection: Any) -> Any:
        """Return the place of a value, and itself in its stead."""
        return "%s", (self,)


@dataclass(frozen=True, slots=True)
class Counts(Generic[R]):
    """Queries whose rows are counted by one statement; `count_of` and `counts_of` make one."""

    counted: "Sequence[models.QuerySet[Any]]"
    read: Callable[[Sequence[int]], R]
    """Makes of the counts what stands for them."""


def count_of(rows: "models.QuerySet[Any]") -> Counts[int]:
    """Return the count of these rows as a query that can be prepared; it goes up to `MOST_COUNTED` + 1."""
    return Counts([rows], itemgetter(0))


def counts_of(**rows: "models.QuerySet[Any]") -> Counts[dict[str, int]]:
    """Return the counts of several queries, by name, as one query that can be prepared."""
    return Counts(list(rows.values()), lambda counts: dict(zip(rows, counts, strict=True)))


class Prepared(Generic[R]):
    """A query that is built by its first call; `prepared` makes one."""

    def __init__(self, ask: "Callable[..., models.QuerySet[Any, R] | Counts[R]]") -> None:
        self._ask = ask
        self._reader = lru_cache(maxsize=_SHAPES)(self._build)
        update_wrapper(self, ask)

    def __call__(self, *values: Any, **shape: Any) -> list[R]:
        """Return the rows for these values, one for each place. Raises `ValueError` for None, which equals nothing."""
        if None in values:
            raise ValueError(f"{self._ask.__name__} was given no value for one of its places.")
        return self._reader(len(values), **shape).rows(values)

    def first(self, *values: Any, **shape: Any) -> R | None:
        """Return the first of these rows, or None."""
        return next(iter(self(*values, **shape)), None)

    def _build(self, count: int, /, **shape: Any) -> "_Reader[R]":
        """Return the query in this shape and how its rows are read."""
        asked = self._ask(*map(Place, range(count)), **shape)
        return _Reader.counting(asked) if isinstance(asked, Counts) else _Reader.of(asked)


def prepared(ask: "Callable[..., models.QuerySet[Any, R] | Counts[R]]") -> Prepared[R]:
    """Let a function say how rows are asked for, and return what asks for them without building the query again.

    It is called once for each shape: with a `Place` for each value that a call brings in order, of which the last may
    be missing, and with what the call names, which shapes the query (and must be hashable). Nothing else may change
    what it returns.
    Rows come as the queryset gives them, as objects, tuples or single values; of prefetches it knows nothing
    (`sessions.models.among.give` loads what belongs to many rows). Counts are one row.
    """
    return Prepared(ask)


def known(value: Any) -> list[Any]:
    """Return a last value for a prepared query, or nothing in its stead when there is none."""
    return [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class _Reader(Generic[R]):
    """A query with places for its values, and what Django works out of it each time that it reads rows."""

    alias: str
    """The database; each thread has a connection of its own to it."""
    sql: str
    params: Sequence[Any]
    """What stands in the query, and a `Place` for what comes with a call."""
    converters: Sequence[tuple[int, Sequence[Callable[..., Any]], Any]]
    """The places of a row whose values are no Python values yet, and what makes them so."""
    read: Callable[[list[Any]], R]
    """Makes of a row's values what stands for it."""

    @classmethod
    def of(cls, queryset: "models.QuerySet[Any, R]") -> "_Reader[R]":
        """Work out how a queryset is asked and read."""
        compiler: Any = queryset.query.get_compiler(using=queryset.db)
        try:
            sql, params = compiler.as_sql()
        except EmptyResultSet:
            return cls(queryset.db, "", (), (), _nothing)
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        return cls(
            queryset.db, sql, params,
            [(place, functions, expression) for place, (functions, expression) in converters.items()],
            _reading(queryset, compiler),
        )  # fmt: skip

    @classmethod
    def counting(cls, counts: Counts[R]) -> "_Reader[R]":
        """Work out how rows are counted, none of them beyond what a count goes up to."""
        statements: list[str] = []
        params: list[Any] = []
        for rows in counts.counted:
            few: Any = rows.order_by().values("pk")[: MOST_COUNTED + 1]
            try:
                sql, given = few.query.get_compiler(using=rows.db).as_sql()
            except EmptyResultSet:
                statements.append("0")
                continue
            statements.append(f"(SELECT COUNT(*) FROM ({sql}) counted)")  # noqa: S608 - Django's own
            params += given
        return cls(counts.counted[0].db, f"SELECT {', '.join(statements)}", params, (), counts.read)

    def rows(self, values: Sequence[Any]) -> list[R]:
        """Ask with these values, and return what stands for each row; what can find nothing is not asked."""
        if not self.sql:
            return []
        connection = connections[self.alias]
        given = [_ready(values[param.number], connection) if type(param) is Place else param for param in self.params]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, given)
            came = cursor.fetchall()
        if self.converters:
            came = [self._converted(row, connection) for row in came]
        return list(map(self.read, came))

    def _converted(self, row: Sequence[Any], connection: Any) -> list[Any]:
        values = list(row)
        for place, functions, expression in self.converters:
            if values[place] is None:  # as most are; no converter makes anything of it
                continue
            for function in functions:
                values[place] = function(values[place], expression, connection)
        return values


def _ready(value: Any, connection: Any) -> Any:
    """Return a value as the database takes it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, uuid.UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    return value


def _nothing(_values: list[Any]) -> Any:
    """Stand for how rows are read where there can be none."""


def _reading(queryset: "models.QuerySet[Any, R]", compiler: Any) -> Callable[[list[Any]], R]:
    """Return what makes of a row's values what the queryset would give: an object, one value, or a tuple."""
    assert not queryset._prefetch_related_lookups, queryset  # type: ignore[attr-defined]  # noqa: SLF001 - see `prepared`
    iterable: Any = queryset._iterable_class  # noqa: SLF001 - says in which form rows are wanted
    if iterable is django_query.FlatValuesListIterable:
        return itemgetter(0)
    if iterable is django_query.ValuesListIterable:
        return tuple  # type: ignore[return-value]
    assert iterable is django_query.ModelIterable, iterable
    populators_of: Any = django_query.get_related_populators
    info, model, alias = compiler.klass_info, queryset.model, queryset.db
    own = info["select_fields"]
    assert own == list(range(len(own))), own
    names = [compiler.select[place][0].target.attname for place in own]  # fewer than the model's, when some wait
    annotated = list(compiler.annotation_col_map.items())
    populators = populators_of(info, compiler.select, alias)

    def read(values: list[Any]) -> Any:
        found = _made(model, dict(zip(names, values, strict=False)))
        found._state.adding, found._state.db = False, alias  # noqa: SLF001 - as its manager would
        for populator in populators:
            populator.populate(values, found)
        for name, place in annotated:
            setattr(found, name, values[place])
        return found

    return read


# --- Rows on their way in --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A column: its name, quoted; how its value is taken from a row, and how made ready for the database."""

    name: str
    place: str
    """What stands for the value in a statement."""
    field: Any
    prepare: Callable[..., Any]

    def values(self, taken: Sequence[Any], connection: Any) -> list[Any]:
        """Return the values of rows as the database takes them; rows that are born together share most of them."""
        prepare, first = self.prepare, taken[0]
        given = None if first is None else prepare(first, connection)
        if all(map(is_, taken, repeat(first))):
            return [given] * len(taken)
        before, values = first, []
        for value in taken:
            # Moments that were read from the database are the same without being one.
            if value is not before and not (type(value) is datetime and value == before):
                given, before = None if value is None else prepare(value, connection), value
            values.append(given)
        return values


def _connection_of(model: type[models.Model]) -> Any:
    """Return this thread's connection to the database that a model is written to."""
    return connections[router.db_for_write(model) or DEFAULT_DB_ALIAS]


@cache
def _columns(model: type[models.Model]) -> dict[str, _Column]:
    """Return the columns of a model but its key, by the names of its attributes."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]  # noqa: SLF001 - public, too
    assert not any(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False) for field in fields)
    connection = _connection_of(model)
    quote = connection.ops.quote_name
    places = {
        field: field.get_placeholder(None, None, connection) if hasattr(field, "get_placeholder") else "%s"
        for field in fields
    }
    return {
        field.attname: _Column(quote(field.column), places[field], field, field.get_db_prep_save) for field in fields
    }


@cache
def _taker(model: type[models.Model]) -> Callable[[models.Model], tuple[Any, ...]]:
    """Return what takes the values of all columns of a row but its key."""
    take = itemgetter(*_columns(model))
    return lambda row: take(vars(row))


def changed_names(row: models.Model, before: Mapping[str, Any]) -> list[str]:
    """Return the attributes of a row that are others than in `before`, without its key."""
    now = vars(row)
    return [name for name in _columns(type(row)) if now[name] is not before[name] and now[name] != before[name]]


def born(model: type[M], /, **values: Any) -> M:
    """Return a new row with these attributes, by the names of their columns, and the defaults of all others.

    What the model's constructor does, without looking at each field by itself and without its signals.
    """
    defaults, made = _defaults(model)
    row = _made(model, {**defaults, **values})
    for name, make in made.items():
        if name not in values:
            setattr(row, name, make())
    return row


def _made(model: type[M], values: dict[str, Any]) -> M:
    """Return a row that has these attributes."""
    row = model.__new__(model)
    row.__dict__ = {"_state": ModelState(), **values}
    return row


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Return what a new row has in columns that nothing is said of, and what has to be made for each row anew."""
    fields = model._meta.concrete_fields  # noqa: SLF001 - public, too
    made = {field.attname: field.default for field in fields if field.has_default() and callable(field.default)}
    return {field.attname: None if field.attname in made else field.get_default() for field in fields}, made


def insert(rows: Iterable[M]) -> list[M]:
    """Insert new rows of one model, give them their ids, and return them.

    What `bulk_create` does, without what these rows never need: for a row with a kilobyte of text its preparation of
    each value takes longer than the database. The caller has a transaction when there are many.
    """
    new = list(rows)
    if not new:
        return new
    model = type(new[0])
    connection = _connection_of(model)
    given = {
        column: column.values(taken, connection)
        for column, taken in zip(_columns(model).values(), zip(*map(_taker(model), new), strict=True), strict=True)
        if taken.count(None) < len(taken)  # a column without values stays null
    }
    size = max(1, connection.ops.bulk_batch_size([column.field for column in given], new)) if len(new) > 1 else 1
    for start in range(0, len(new), size):
        end = start + size
        _insert(new[start:end], tuple(given), [values[start:end] for values in given.values()], connection)
    for row in new:
        row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 - as its manager would
    return new


def _insert(
    rows: Sequence[models.Model], columns: tuple[_Column, ...], values: Sequence[Sequence[Any]], connection: Any
) -> None:
    """Insert as many rows as one statement takes; `values` are by column."""
    sql = _insertion(type(rows[0]), columns, len(rows))
    with connection.cursor() as cursor:
        cursor.execute(sql, list(chain.from_iterable(zip(*values, strict=True))))
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = pk


@lru_cache(maxsize=100)
def _insertion(model: type[models.Model], columns: tuple[_Column, ...], count: int) -> str:
    """Return the statement that inserts these columns of so many rows and returns their keys."""
    table, key = _table(model)
    names = ", ".join(column.name for column in columns)
    places = f"({', '.join(column.place for column in columns)})"
    return f"INSERT INTO {table} ({names}) VALUES {', '.join([places] * count)} RETURNING {key}"  # noqa: S608


def update(row: models.Model, names: Collection[str]) -> None:
    """Write these attributes of a row that is stored already. Raises `DatabaseError` when it is not.

    What `save(update_fields=…)` does, without the signals, for which nobody listens here.
    """
    if not names:
        return
    model = type(row)
    connection = _connection_of(model)
    shared: dict[tuple[type[Any], int], Any] = {}  # one moment is written to several columns
    values = []
    for name in names:
        column, value = _columns(model)[name], getattr(row, name)
        kind = (type(column.field), id(value))
        if kind not in shared:
            shared[kind] = None if value is None else column.prepare(value, connection)
        values.append(shared[kind])
    with connection.cursor() as cursor:
        cursor.execute(_updating(model, tuple(names)), [*values, row.pk])
        if cursor.rowcount != 1:
            raise DatabaseError(f"There is no row {row.pk} of {_table(model)[0]}.")


@lru_cache(maxsize=100)
def _updating(model: type[models.Model], names: tuple[str, ...]) -> str:
    """Return the statement that writes these attributes of one row."""
    table, key = _table(model)
    settings = ", ".join(f"{column.name} = {column.place}" for column in map(_columns(model).__getitem__, names))
    return f"UPDATE {table} SET {settings} WHERE {key} = %s"  # noqa: S608


def update_all(rows: Sequence[models.Model], names: Collection[str]) -> None:
    """Write these attributes of rows of one model that are stored already, by one statement for all of them."""
    if not rows or not names:
        return
    model = type(rows[0])
    connection = _connection_of(model)
    taken = {name: [getattr(row, name) for row in rows] for name in names}
    values = [_columns(model)[name].values(given, connection) for name, given in taken.items()]
    with connection.cursor() as cursor:
        keys = [row.pk for row in rows]
        cursor.executemany(_updating(model, tuple(names)), list(zip(*values, keys, strict=True)))


@cache
def _table(model: type[models.Model]) -> tuple[str, str]:
    """Return the names of a model's table and of its key, quoted."""
    meta = model._meta  # noqa: SLF001
    quote = _connection_of(model).ops.quote_name
    return quote(meta.db_table), quote(meta.pk.column)
