"""Blocks of a long list: the newest end first, then both ways by key, never by counting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)
Rows = TypeVar("Rows", bound="QuerySet[Any]")

NEWEST = 200
"""Rows with which a page opens."""
HEAVIEST = 124_000
"""Bytes, roughly, that the rows of an opening page take; with all else it stays under 60 kB compressed."""
FEWEST = 20
"""Rows with which a page opens however heavy they are."""
MORE = 100
"""Rows that come when the reader reaches an end."""


@dataclass(frozen=True, slots=True)
class Block(Generic[Row]):
    """Some rows, oldest first, and whether there are more on either side."""

    rows: Sequence[Row]
    has_older: bool = False
    has_newer: bool = False

    @property
    def first(self) -> Row | None:
        """Return the oldest row."""
        return self.rows[0] if self.rows else None

    @property
    def last(self) -> Row | None:
        """Return the newest row."""
        return self.rows[-1] if self.rows else None


def newest(rows: QuerySet[Row], *, key: str, count: int = NEWEST) -> Block[Row]:
    """Return the last `count` rows by `key`."""
    return end_of(list(towards_older(rows, key=key, count=count)), count=count)


def towards_older(rows: Rows, *, key: str, count: int) -> Rows:
    """Return the last `count` rows by `key`, the newest first, and one more that tells of older ones."""
    return rows.order_by(f"-{key}")[: count + 1]


def end_of(found: Sequence[Row], *, count: int) -> Block[Row]:
    """Return the block that `towards_older` found."""
    return Block(found[:count][::-1], has_older=len(found) > count)


def lightened(block: Block[Row], *, weigh: Callable[[Row], int]) -> Block[Row]:
    """Return the block without the oldest rows that would make the first page heavy; `FEWEST` always stay."""
    room = HEAVIEST
    for kept, row in enumerate(reversed(block.rows)):
        room -= weigh(row)
        if room < 0 and kept >= FEWEST:
            return Block(block.rows[-kept:], has_older=True, has_newer=block.has_newer)
    return block


def before(rows: QuerySet[Row], at: int, *, key: str, count: int = MORE) -> Block[Row]:
    """Return the rows just before `at`; what comes after them is not in the block."""
    found = newest(rows.filter(**{f"{key}__lt": at}), key=key, count=count)
    return Block(found.rows, has_older=found.has_older, has_newer=True)


def after(rows: QuerySet[Row], at: int, *, key: str, count: int = MORE) -> Block[Row]:
    """Return the rows just after `at`."""
    found = list(rows.filter(**{f"{key}__gt": at}).order_by(key)[: count + 1])
    return Block(found[:count], has_older=True, has_newer=len(found) > count)


def around(rows: QuerySet[Row], at: int, *, key: str) -> Block[Row]:
    """Return the row `at` with its neighbours on both sides."""
    older = before(rows, at + 1, key=key, count=NEWEST // 2)
    newer = after(rows, at, key=key, count=NEWEST // 2)
    return Block([*older.rows, *newer.rows], has_older=older.has_older, has_newer=newer.has_newer)
