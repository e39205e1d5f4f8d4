"""Statements that are made once: those of every request of an agent, and those of the pages that people look at.

For a model of seventy columns Django takes longer to build SQL and values than the database takes for the rest. Rows
come back with Django's own converters and related objects; `sessions.models.writing` is their way in.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache, update_wrapper
from operator import itemgetter
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import query as django_query
from django.db.models.sql import UpdateQuery

from sessions.models.fields import clean_text
from sessions.models.writing import made_of

R = TypeVar("R")

_SHAPES = 20
"""Queries of one kind that are kept, those that were asked last."""

MOST_COUNTED = 10_000
"""Rows that are counted one by one; of more it is said that there are more. A page costs the same with any number."""


class Place(models.Expression):
    """Stands in a query for what each call brings: a number, a text, a day, a moment or a UUID, and never None."""

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
        _require_values(self._ask, values)
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


class PreparedChange:
    """A statement that changes rows, built by its first call; `prepared_change` makes one."""

    def __init__(self, ask: "Callable[..., tuple[models.QuerySet[Any], dict[str, Any]]]") -> None:
        self._ask = ask
        self._statement = lru_cache(maxsize=_SHAPES)(self._build)
        update_wrapper(self, ask)

    def __call__(self, *values: Any, **shape: Any) -> int:
        """Change the rows for these values, one for each place, and return how many. Raises `ValueError` for None."""
        _require_values(self._ask, values)
        alias, sql, params = self._statement(len(values), **shape)
        if not sql:
            return 0
        connection = connections[alias]
        with connection.cursor() as cursor:
            cursor.execute(sql, _given(params, values, connection))
            changed: int = cursor.rowcount
        return changed

    def _build(self, count: int, /, **shape: Any) -> tuple[str, str, Sequence[Any]]:
        """Return the database, the statement in this shape, and its parameters."""
        rows, changes = self._ask(*map(Place, range(count)), **shape)
        query: Any = rows.order_by().query.chain(UpdateQuery)
        query.add_update_values(changes)
        try:
            sql, params = query.get_compiler(using=rows.db).as_sql()
        except EmptyResultSet:
            return rows.db, "", ()
        return rows.db, sql, params


def prepared_change(ask: "Callable[..., tuple[models.QuerySet[Any], dict[str, Any]]]") -> PreparedChange:
    """Let a function say which rows get which values, and return what changes them without building that again.

    It is called as `prepared` calls it. What a column gets is a value of its own, a `Place`, or an expression with
    places; a place takes what needs no more than the database's own form, so no JSON.
    """
    return PreparedChange(ask)


def _require_values(ask: Callable[..., Any], values: Sequence[Any]) -> None:
    if None in values:
        raise ValueError(f"{ask.__name__} was given no value for one of its places.")


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
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _given(self.params, values, connection))
            came = cursor.fetchall()
        return list(map(self.read, self._converted(came, connection) if self.converters else came))

    def _converted(self, came: Sequence[Sequence[Any]], connection: Any) -> list[list[Any]]:
        """Return rows with Python's values; one that equals that of the row before is made once."""
        rows = list(map(list, came))
        for place, functions, expression in self.converters:
            before = made = None
            for row in rows:
                value = row[place]
                if value is None:  # as most are; no converter makes anything of it
                    continue
                if value != before:
                    made = value
                    for function in functions:
                        made = function(made, expression, connection)
                    before = None if isinstance(made, dict | list) else value  # nobody changes another row's
                row[place] = made
        return rows


def _given(params: Sequence[Any], values: Sequence[Any], connection: Any) -> list[Any]:
    """Return the parameters of a statement with values in their places."""
    return [_ready(values[param.number], connection) if type(param) is Place else param for param in params]


def _ready(value: Any, connection: Any) -> Any:
    """Return a value as the database takes it; text as `WrittenTextField` keeps it."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
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
        found = made_of(model, dict(zip(names, values, strict=False)))
        found._state.adding, found._state.db = False, alias  # noqa: SLF001 - as its manager would
        for populator in populators:
            populator.populate(values, found)
        for name, place in annotated:
            setattr(found, name, values[place])
        return found

    return read
