"""Pieces of what is too long for one query."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

AT_ONCE = 500
"""Ids that one query names at most."""


def batched(items: Iterable[Item], size: int = AT_ONCE) -> Iterator[list[Item]]:
    """Yield the items in order, in lists of at most `size`; no more of them than that is held."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
