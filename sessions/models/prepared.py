"""The few statements that every request of an agent makes, without building their SQL and values anew each time.

For a model of seventy columns that takes Django longer than all else that a query costs. Rows come back through its own
reader, with its converters and related objects, and go in through its own fields.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from django.db import connections, models, router
from django.db.models.query import ModelIterable

M = TypeVar("M", bound=models.Model)


class Lookup(Generic[M]):
    """Finds a model's row by a column that is unique, with what `rows` makes of the manager's rows.

    `rows` is called once a thread, so it must not depend on anything that changes.
    """

    def __init__(self, column: str, *, rows: "Callable[[models.Manager[M]], models.QuerySet[M]]") -> None:
        self._column = column
        self._rows = rows
        self._threads = threading.local()

    def get(self, manager: "models.Manager[M]", value: Any) -> M | None:
        """Return the row whose column has this value, or None."""
        queryset, compiler, sql = self._prepared(manager, value)
        column = queryset.model._meta.get_field(self._column)  # noqa: SLF001 - Django's public name for it
        params = (column.get_db_prep_value(value, compiler.connection),)
        compiler.as_sql = lambda *_args, **_options: (sql, params)
        return next(iter(ModelIterable(queryset)), None)

    def _prepared(self, manager: "models.Manager[M]", value: Any) -> tuple[Any, Any, str]:
        """Return the query, its compiler and its SQL; made by the first call of each thread."""
        known = getattr(self._threads, "prepared", None)
        if known is None or known[1].connection is not connections[known[0].db]:
            queryset = self._rows(manager).filter(**{self._column: value}).order_by()[:1]
            compiler = queryset.query.get_compiler(using=queryset.db)
            sql, params = compiler.as_sql()
            assert len(params) == 1, params  # else the value's place would have to be found
            queryset.query.get_compiler = lambda *_args, **_options: compiler  # type: ignore[method-assign]
            known = self._threads.prepared = (queryset, compiler, sql)
        return known


def insert(rows: Iterable[M]) -> list[M]:
    """Insert new rows of one model, give them their ids, and return them.

    What `bulk_create` does, without what these rows never need: for a row with a kilobyte of text its preparation of
    each value takes longer than the database. The caller has a transaction when there are many.
    """
    new = list(rows)
    if not new:
        return new
    model = type(new[0])
    using = router.db_for_write(model)
    connection = connections[using]
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]  # noqa: SLF001 - public, too
    size = max(1, connection.ops.bulk_batch_size(fields, new))
    for start in range(0, len(new), size):
        _insert(new[start : start + size], fields, connection)
    for row in new:
        row._state.adding, row._state.db = False, using  # noqa: SLF001 - as its manager would
    return new


def _insert(rows: Sequence[models.Model], fields: Sequence[Any], connection: Any) -> None:
    """Insert as many rows as one statement takes."""
    quote = connection.ops.quote_name
    meta = rows[0]._meta  # noqa: SLF001
    columns = ", ".join(quote(field.column) for field in fields)
    places = f"({', '.join(['%s'] * len(fields))})"
    steps = [(field.pre_save, field.get_db_prep_save) for field in fields]
    given = ((save, pre_save(row, add=True)) for row in rows for pre_save, save in steps)
    values = [None if value is None else save(value, connection) for save, value in given]  # most are None
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES {', '.join([places] * len(rows))} "  # noqa: S608
            f"RETURNING {quote(meta.pk.column)}",
            values,
        )
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = pk
