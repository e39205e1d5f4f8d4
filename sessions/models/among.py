"""Many ids in one query, as one value."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.db import models
from django.db.models import F, Func, Value

from sessions.models.fields import clean_text
from sessions.models.prepared import Place

Row = TypeVar("Row", bound=models.Model)


def joined(ids: Iterable[int]) -> str:
    """Return ids as one value."""
    return ",".join(map(str, ids))


def in_json(texts: Iterable[str]) -> str:
    """Return texts as one value, each as `WrittenTextField` keeps it."""
    return json.dumps([clean_text(text) for text in texts])


def give(rows: Sequence[Row], *, into: str, by: str, ask: Callable[[list[int]], Iterable[Any]]) -> Sequence[Row]:
    """Give each row, as `into`, what belongs to it, and return the rows.

    `ask` is given their ids and finds it all, in one query; in the attribute `by` stands whose each is.
    """
    found: dict[int, list[Any]] = defaultdict(list)
    for one in ask([row.pk for row in rows]) if rows else ():
        found[getattr(one, by)].append(one)
    for row in rows:
        setattr(row, into, found[row.pk])
    return rows


class Among(Func):
    """Whether a column is one of some ids, however many: `in` takes as many parameters, and each costs its time."""

    arity = 2
    output_field = models.BooleanField()

    def __init__(self, column: str, ids: Iterable[int] | Place) -> None:
        """Take the name of a column of numbers, and the ids or a place for what `joined` makes of them."""
        super().__init__(F(column), ids if isinstance(ids, Place) else Value(joined(ids)))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Read the ids as JSON."""
        template = "%(expressions)s || ']'))"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=" IN (SELECT value FROM json_each('[' || ", **extra
        )

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Read the ids as an array, which the planner counts: of a subquery it would guess a hundred."""
        template = "%(expressions)s, ',')::bigint[])"
        return self.as_sql(compiler, connection, template=template, arg_joiner=" = ANY(string_to_array(", **extra)


class AmongTexts(Func):
    """Whether a column is one of some texts, however many."""

    arity = 2
    output_field = models.BooleanField()

    def __init__(self, column: str, texts: Place) -> None:
        """Take the name of a column of text, and the place of what `in_json` makes of the texts."""
        super().__init__(F(column), texts)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Read the texts as rows."""
        template, joiner = "%(expressions)s))", " IN (SELECT value FROM json_each("
        return self.as_sql(compiler, connection, template=template, arg_joiner=joiner, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Read the texts as an array, once."""
        template, joiner = "%(expressions)s::json)))", " = ANY(ARRAY(SELECT json_array_elements_text("
        return self.as_sql(compiler, connection, template=template, arg_joiner=joiner, **extra)
