"""Lookups of one row whose SQL is made once: for rows that every request of an agent reads.

Django builds the SQL of a query anew each time, which for a model of seventy columns takes longer than all else that
the query costs. The rows come back through Django's own reader, with its converters and related objects.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connections, models
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
