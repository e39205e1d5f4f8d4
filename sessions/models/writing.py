"""Rows on their way into the database, by statements that are made once.

What Django's `save` and `bulk_create` do through its own fields, without signals and without looking at each field of
each row by itself: for a model of seventy columns that takes longer than the database takes for the rest.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain, repeat
from operator import is_, itemgetter
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, router
from django.db.models.base import ModelState

M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """A column: its name, quoted, and how its values are made ready for the database."""

    name: str
    place: str
    """What stands for the value in a statement."""
    field: Any
    prepare: Callable[..., Any]
    plain: type | None
    """Values of this type are ready as they are."""

    def value(self, taken: Any, connection: Any) -> Any:
        """Return the value of a row as the database takes it."""
        return taken if taken is None or type(taken) is self.plain else self.prepare(taken, connection)

    def values(self, taken: Sequence[Any], connection: Any) -> list[Any]:
        """Return the values of rows as the database takes them; rows that are born together share most of them."""
        prepare, before = self.prepare, taken[0]
        given = self.value(before, connection)
        if all(map(is_, taken, repeat(before))):
            return [given] * len(taken)
        if all(type(value) is self.plain for value in taken):
            return list(taken)
        values = []
        for value in taken:
            if value is not before:
                given, before = None if value is None else prepare(value, connection), value
            values.append(given)
        return values


_PLAIN: Mapping[type[Any], type] = {
    **dict.fromkeys([models.BigAutoField, models.BigIntegerField, models.PositiveIntegerField], int),
    **dict.fromkeys([models.CharField, models.TextField], str),
    models.BooleanField: bool,
}
"""Types of columns, and of their values those that Django passes on as they are."""


def _moment(moment: datetime, connection: Any) -> Any:
    """Return a moment, which bears its time zone, as the database takes it."""
    assert moment.tzinfo is not None, moment
    return connection.ops.adapt_datetimefield_value(moment)


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
        field.attname: _Column(
            quote(field.column), places[field], field,
            _moment if type(field) is models.DateTimeField else field.get_db_prep_save,
            _PLAIN.get(type(getattr(field, "target_field", field))),
        )
        for field in fields
    }  # fmt: skip


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
    row = made_of(model, {**defaults, **values})
    for name, make in made.items():
        if name not in values:
            setattr(row, name, make())
    return row


def made_of(model: type[M], values: dict[str, Any]) -> M:
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
    alias, name = _connection_of(model).alias, model._meta.pk.attname  # noqa: SLF001 - public, too
    keys = insert_values(model, list(_columns(model)), list(map(_taker(model), new)))
    for row, key in zip(new, keys, strict=True):
        setattr(row, name, key)
        row._state.adding, row._state.db = False, alias  # noqa: SLF001 - as its manager would
    return new


def insert_values(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Insert new rows of which these attributes are given in order, and return their keys.

    For rows of which nobody needs the objects. Columns that are not named are null.
    """
    if not rows:
        return []
    connection = _connection_of(model)
    columns = [_columns(model)[name] for name in names]
    given = {
        column: column.values(taken, connection)
        for column, taken in zip(columns, zip(*rows, strict=True), strict=True)
        if taken.count(None) < len(taken)  # a column without values stays null
    }
    size = max(1, connection.ops.bulk_batch_size([column.field for column in given], rows)) if len(rows) > 1 else 1
    keys: list[Any] = []
    for start in range(0, len(rows), size):
        parts = [values[start : start + size] for values in given.values()]
        with connection.cursor() as cursor:
            cursor.execute(
                _insertion(model, tuple(given), len(parts[0])), list(chain.from_iterable(zip(*parts, strict=True)))
            )
            keys += [key for (key,) in cursor.fetchall()]
    return keys


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
    connection, columns, taken = _connection_of(model), _columns(model), vars(row)
    values = [columns[name].value(taken[name], connection) for name in names]
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
