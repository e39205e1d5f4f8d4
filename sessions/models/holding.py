"""Rows that must stay, while others change them: PostgreSQL's weakest lock, which Django has no word for."""

from collections.abc import Iterable
from typing import Any

from django.db import connection, models

from sessions.models.among import joined


def hold_rows(model: type[models.Model], ids: Iterable[int]) -> set[int]:
    """Let nobody destroy these rows until this transaction ends, and return which of them there are.

    They are locked as the rows that a new row points to are, in the order of their ids: who writes their columns
    neither waits for this nor is waited for. On SQLite the transaction itself is the lock.
    """
    asked = sorted(ids)
    if connection.vendor != "postgresql" or not asked:
        return set(asked)
    meta: Any = model._meta  # noqa: SLF001 - public, too
    table, key = connection.ops.quote_name(meta.db_table), connection.ops.quote_name(meta.pk.column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key} FROM {table} WHERE {key} = ANY(string_to_array(%s, ',')::bigint[])"  # noqa: S608 - of ours
            f" ORDER BY {key} FOR KEY SHARE",
            [joined(asked)],
        )
        return {pk for (pk,) in cursor.fetchall()}
