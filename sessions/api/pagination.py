"""Pages by keyset: a cursor says after which row to go on, so that no page costs more than the first."""

import re
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from django.db import models
from pydantic import AfterValidator, BaseModel, Field

from sessions.exceptions import InvalidRequest
from sessions.models.keyset import Keyset

LIMIT = 50
"""Rows of a page when the caller does not say."""
MOST = 500
"""Rows of a page at most; who asks for more gets these."""

Limit = Annotated[
    int,
    Field(ge=0, description=f"Rows of a page, {LIMIT} when absent; more than {MOST} are cut to {MOST}."),
    AfterValidator(lambda limit: min(limit, MOST)),
]
Cursor = Annotated[str, Field(max_length=2000, description="The `next_cursor` of the page before.")]

Row = TypeVar("Row", bound=models.Model)
Item = TypeVar("Item")


class PageOut(BaseModel, Generic[Item]):
    """A page. `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last one.")


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """The rows of a page, and the cursor of the next."""

    items: list[Row]
    next_cursor: str | None


def page(rows: "models.QuerySet[Row]", *, order: str, cursor: str | None, limit: int) -> Slice[Row]:
    """Return at most `limit` of `rows` by `order` ("field" or "-field", rows without a value last), then by id.

    One query, which an index can begin at. Raises `InvalidRequest` for a cursor that is not of this list and order.
    """
    keyset = Keyset(rows.model, order)
    if cursor is not None:
        rows = rows.filter(keyset.beyond(cursor))
    if limit == 0:
        return Slice([], None)
    found = list(rows.order_by(*keyset.ordering())[: limit + 1])
    if len(found) <= limit:
        return Slice(found, None)
    return Slice(found[:limit], keyset.mark(found[limit - 1]))


After = Annotated[int, Field(ge=0, le=2**63 - 1, description="Only what comes after this number.")]
Before = Annotated[
    int, Field(ge=0, le=2**63 - 1, description="Only what comes before this number, as near to it as may be.")
]
_MARK = re.compile(r"(before:)?(\d{1,19})")


def span(
    rows: "models.QuerySet[Row]", *, by: str, after: int | None, before: int | None, cursor: str | None, limit: int
) -> Slice[Row]:
    """Return at most `limit` of `rows` by their growing number `by`, always the smallest number first.

    With `before` alone they are the nearest before it, and the next page goes further back; else they are the nearest
    after `after`. A cursor is the number at which to go on: plain forwards, `before:` backwards. Raises
    `InvalidRequest` for anything else.
    """
    if cursor is not None:
        mark = _MARK.fullmatch(cursor)
        if mark is None or int(mark[2]) >= 2**63:
            raise InvalidRequest.field("cursor", "is not a cursor of this list")
        after, before = (after, int(mark[2])) if mark[1] else (int(mark[2]), before)
    is_backwards = before is not None and after is None
    if after is not None:
        rows = rows.filter(**{f"{by}__gt": after})
    if before is not None:
        rows = rows.filter(**{f"{by}__lt": before})
    if limit == 0:
        return Slice([], None)
    found = list(rows.order_by(f"-{by}" if is_backwards else by)[: limit + 1])
    items = found[:limit]
    last = getattr(items[-1], by) if len(found) > limit else None
    if is_backwards:
        return Slice(items[::-1], None if last is None else f"before:{last}")
    return Slice(items, None if last is None else str(last))
