"""The search index as the server tends it: filled soon after what was written, merged when nothing waits for it."""

import time

from django.db import connection

from sessions import indexing
from sessions.models.search_index import merge

_MERGE_SECONDS = 0.25
"""How long one call merges at most."""


class Tending:
    """Takes into the index what waits; merges its pieces once a look found that nothing does.

    Merging would be a third of what a batch costs, and the writers wait for it. So batches leave it to quiet moments,
    and SQLite merges beside them only what would become too many pieces.
    """

    def __init__(self) -> None:
        self._may_have_pieces = True

    def tend(self) -> None:
        """Index for a while, or else merge for a while, in short steps that are transactions of their own."""
        if indexing.catch_up(takes_turns=connection.vendor == "sqlite"):
            self._may_have_pieces = True
            return
        end = time.monotonic() + _MERGE_SECONDS
        while self._may_have_pieces and time.monotonic() < end:
            self._may_have_pieces = False  # should it fail, as on a full disk, it can wait for the next batch
            self._may_have_pieces = merge(connection)
