"""Lists by keyset: a mark says beside which row to go on, so that no page costs more than the first.

A mark is signed for one list in one order. What was altered, or made for another, is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core import signing
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import OrderBy

from sessions.exceptions import InvalidRequest

Row = TypeVar("Row", bound=models.Model)
Rows = TypeVar("Rows", bound="models.QuerySet[Any]")


@dataclass(frozen=True, slots=True)
class Leaf(Generic[Row]):
    """Some rows of a list in its order, and the marks from which to go on; empty where the list ends."""

    rows: list[Row]
    earlier: str = ""
    later: str = ""


class Keyset:
    """One order of the rows of one model ("field" or "-field", ties by id), and the marks that people may stop at."""

    def __init__(self, model: type[models.Model], order: str, *, has_nulls: bool | None = None) -> None:
        """Take the order; `has_nulls=False` says that no row of this list lacks a value, though the column may."""
        self._name, self._is_descending = order.removeprefix("-"), order.startswith("-")
        field = model._meta.get_field(self._name)  # noqa: SLF001 - Django documents _meta
        assert isinstance(field, models.Field)
        self._field = field
        self._has_nulls = field.null if has_nulls is None else has_nulls
        self._signer = signing.Signer(salt=f"koda.cursor.{model.__name__}.{order}")

    def ordering(self) -> tuple[OrderBy | str, str]:
        """Return what to order by. An index knows nothing of "nulls last", so that is said only where it must be."""
        nulls_last = True if self._has_nulls else None
        value = F(self._name)
        if self._is_descending:
            return value.desc(nulls_last=nulls_last), "-pk"
        return value.asc(nulls_last=nulls_last), "pk"

    def mark(self, row: models.Model) -> str:
        """Return the mark at `row`."""
        value = getattr(row, self._name)
        return self._signer.sign_object([value.isoformat() if isinstance(value, datetime) else value, row.pk])

    def beyond(self, mark: str) -> Q:
        """Return the condition of the rows that come after `mark`. Raises `InvalidRequest` for one of another list."""
        value, pk = self._read(mark)
        side = "lt" if self._is_descending else "gt"
        if value is None:
            return Q(**{f"{self._name}__isnull": True, f"pk__{side}": pk})
        beyond = self._on_side(side, value, pk)
        return beyond | Q(**{f"{self._name}__isnull": True}) if self._has_nulls else beyond

    def leaf(self, rows: "models.QuerySet[Row]", *, limit: int, after: str = "", before: str = "") -> Leaf[Row]:
        """Return at most `limit` rows after a mark, before one, or from the beginning; one query.

        For lists without nulls. With `before="end"` they are the last of the list. A mark that is none of this list
        gives the beginning: it stands in an address that people keep.
        """

        def read(*mark: Any, is_back: bool) -> list[Row]:
            return list(self.beside(rows, *mark, is_back=is_back, limit=limit))

        return self.leaf_of(read, limit=limit, after=after, before=before)

    def leaf_of(self, read: Callable[..., list[Row]], *, limit: int, after: str = "", before: str = "") -> Leaf[Row]:
        """Return the same of what `read` finds: like `beside`, called with the values of a mark or with none."""
        assert not self._has_nulls
        is_back = bool(before)
        mark = "" if before == "end" else before or after
        try:
            found = read(*(self._read(mark) if mark else ()), is_back=is_back)
        except InvalidRequest:
            return self.leaf_of(read, limit=limit)
        kept = found[:limit][::-1] if is_back else found[:limit]
        has_more = len(found) > limit
        has_before, has_after = (has_more, before != "end") if is_back else (bool(after), has_more)
        return Leaf(
            kept,
            earlier=self.mark(kept[0]) if has_before and kept else "",
            later=self.mark(kept[-1]) if has_after and kept else "",
        )

    def beside(self, rows: Rows, *mark: Any, is_back: bool, limit: int) -> Rows:
        """Return the rows after a mark, one more than `limit`; those before it, the nearest first, when `is_back`.

        Without a mark they are the first of the list, or the last.
        """
        if mark:
            rows = rows.filter(self._on_side("lt" if self._is_descending != is_back else "gt", *mark))
        rows = rows.order_by(*self.ordering())
        return (rows.reverse() if is_back else rows)[: limit + 1]

    def _on_side(self, side: str, value: object, pk: object) -> Q:
        name = self._name
        there = Q(**{f"{name}__{side}": value}) | Q(**{name: value, f"pk__{side}": pk})
        # The first condition follows from the second; an index can begin at it.
        return Q(**{f"{name}__{side}e": value}) & there

    def _read(self, mark: str) -> tuple[object, int]:
        try:
            value, pk = self._signer.unsign_object(mark)
        except (signing.BadSignature, ValueError):
            raise InvalidRequest.field("cursor", "is not a cursor of this list in this order") from None
        return (None if value is None else self._field.to_python(value)), int(pk)
