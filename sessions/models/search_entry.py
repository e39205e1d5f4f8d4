"""The search index: one row for each message, tool call of the log, and session that can be found.

The words are kept folded. On SQLite they are the content of an FTS5 table, on PostgreSQL vectors under a GIN index;
`search_index` installs both. An entry is never changed: it is dropped and born again.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL
from django.db.models.sql.compiler import SQLCompiler

from sessions.models.fields import NAME_BYTES
from sessions.models.folding import Query, Term
from sessions.models.search_index import FULL_TEXT, TABLE
from sessions.models.writing import insert_values


class Kind(models.TextChoices):
    """What an entry stands for."""

    MESSAGE = "message"
    TOOL_CALL = "tool_call"
    SESSION = "session"


class WordsField(models.Field[Any, Any]):
    """Folded words in order, with spaces between: text on SQLite, on PostgreSQL a vector with their positions.

    Written, and read only as a whole (`misfiled_count`).
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the column's type."""
        return "tsvector" if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, _value: Any, _compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> str:
        """Say what the text becomes."""
        return "%s::tsvector" if connection.vendor == "postgresql" else "%s"

    def get_db_prep_value(self, value: str, connection: BaseDatabaseWrapper, prepared: bool = False) -> str:  # noqa: ARG002, FBT001, FBT002 - Django's signature
        """Return the words as the database takes them; letters and digits need no quoting."""
        if connection.vendor == "postgresql":
            return " ".join(f"{word}:{at}" for at, word in enumerate(value.split(), 1))
        return value


@lru_cache(maxsize=10_000)
def facet(letter: str, value: object) -> str:
    """Return the term of the index under which entries with this value of a filter stand."""
    return letter + hashlib.sha256(str(value).encode(errors="replace")).hexdigest()[:15]


@lru_cache(maxsize=1_000)
def scope_of(owner: int, visibility: str, project: str | None, source: str, *more: tuple[str, object]) -> str:
    """Return the terms of what a session is, and of more facets, each given by its letter."""
    facts = [("o", owner), ("v", visibility), ("p", project), ("s", source), *more]
    return " ".join(facet(letter, value) for letter, value in facts if value)


_TERM = re.compile(r"[a-z][0-9a-f]{15}")


class Entry(NamedTuple):
    """What there is to say of a new row of the index; its attributes are those of `SearchEntry`."""

    session_id: int
    words: str
    scope: str
    at: datetime
    role: str = ""
    agent_name: str = ""
    tool: str = ""
    message_id: int | None = None
    tool_call_id: int | None = None


class SearchEntryQuerySet(models.QuerySet["SearchEntry"]):
    """Rows of the index."""

    def matching(self, query: Query, *, scope: Sequence[Sequence[str]] = ()) -> "SearchEntryQuerySet":
        """Return all entries that match, in no order. `scope` holds the facets: one of each group must be there."""
        sql, params, _ = _select(query, scope)
        return self.filter(pk__in=RawSQL(sql, params))  # noqa: S611 - values are parameters

    def newest(
        self, query: Query, *, scope: Sequence[Sequence[str]] = (), before: int | None = None, count: int
    ) -> list[int]:
        """Return the ids of the `count` newest entries that match and come before an id, the newest first.

        Fewer than `count` are all that there are. Read by themselves: within a larger query PostgreSQL takes the rows
        in their order, and goes through all of them for a word that none has.
        """
        sql, params, column = _select(query, scope)
        if before is not None:
            sql, params = f"{sql} AND {column} < %s", [*params, before]
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} ORDER BY {column} DESC LIMIT %s", [*params, count])
            return [pk for (pk,) in cursor.fetchall()]

    def of_messages(self, ids: Iterable[int]) -> "SearchEntryQuerySet":
        """Return the entries of these messages."""
        return self.filter(message__in=list(ids))

    def misfiled_count(self) -> int:
        """Return how many stand under what their session no longer is; reads them all."""
        facts = (f"session__{name}" for name in ("owner", "visibility", "project_root", "source"))
        rows = self.order_by().values_list("scope", *facts).iterator()
        return sum(not set(_TERM.findall(scope)).issuperset(scope_of(*of).split()) for scope, *of in rows)


def _select(query: Query, scope: Sequence[Sequence[str]]) -> tuple[str, list[Any], str]:
    """Return the beginning of a SELECT of ids, its parameters, and the column that it selects."""
    if connection.vendor == "postgresql":
        return *_postgresql(query, scope), "id"
    return *_sqlite(query, scope), "rowid"


def _sqlite(query: Query, scope: Sequence[Sequence[str]]) -> tuple[str, list[Any]]:
    """Return the beginning of a SELECT of row ids from the FTS5 table."""

    def phrase(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + (" *" if term.is_prefix else "")

    either = " OR " if query.is_any else " AND "
    parts = [f"({either.join(f'(words : {phrase(term)})' for term in query.terms)})"]
    parts += [f"(scope : ({' OR '.join(group)}))" for group in scope]
    match = " AND ".join(parts)
    if query.without:
        match = f"({match}) NOT (words : ({' OR '.join(phrase(term) for term in query.without)}))"
    return f"SELECT rowid FROM {FULL_TEXT} WHERE {FULL_TEXT} MATCH %s", [match]  # noqa: S608 - names of ours


def _postgresql(query: Query, scope: Sequence[Sequence[str]]) -> tuple[str, list[Any]]:
    """Return the beginning of a SELECT of ids by vectors."""

    def phrase(term: Term) -> str:
        return "(" + " <-> ".join(f"'{word}'" for word in term.words) + (":*)" if term.is_prefix else ")")

    terms = (" | " if query.is_any else " & ").join(map(phrase, query.terms))
    words = " & ".join([f"({terms})", *(f"!{phrase(term)}" for term in query.without)])
    sql, params = f"SELECT id FROM {TABLE} WHERE words @@ %s::tsquery", [words]  # noqa: S608 - names of ours
    if scope:
        sql, params = (
            f"{sql} AND scope @@ %s::tsquery",
            [words, " & ".join(f"({' | '.join(group)})" for group in scope)],
        )
    return sql, params


_SearchEntryManager = models.Manager.from_queryset(SearchEntryQuerySet)


class SearchEntryManager(_SearchEntryManager["SearchEntry"]):
    """Birth of entries; `sessions.indexing` calls it."""

    def enter(self, entries: Sequence["Entry"]) -> None:
        """Insert entries, inside the caller's transaction, in the order in which they happened."""
        keys = insert_values(SearchEntry, Entry._fields, entries)
        if keys and connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                # One transaction holds the write lock: what was born lies side by side.
                cursor.execute(
                    f"INSERT INTO {FULL_TEXT}(rowid, words, scope)"  # noqa: S608 - names of ours
                    f" SELECT id, words, scope FROM {TABLE} WHERE id BETWEEN %s AND %s",
                    [keys[0], keys[-1]],
                )


class SearchEntry(models.Model):
    """One thing that can be found. `pk` grows with the order of indexing, which is the order of what is new."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="+")
    message = models.OneToOneField("koda_sessions.Message", models.CASCADE, null=True, related_name="+")
    tool_call = models.OneToOneField("koda_sessions.ToolCall", models.CASCADE, null=True, related_name="+")
    role = models.CharField(max_length=NAME_BYTES, blank=True, default="")
    agent_name = models.TextField(blank=True, default="")
    tool = models.TextField(blank=True, default="", help_text="The first tool that it tells of.")
    at = models.DateTimeField()
    words = WordsField()
    scope = WordsField()

    objects = SearchEntryManager()

    class Meta:
        """Read through the full-text index; the keys are there for deletes."""

        indexes = [
            # The one entry of a session itself, which is renewed with each batch of its messages.
            models.Index(
                fields=["session"], condition=models.Q(message__isnull=True, tool_call__isnull=True),
                name="searchentry_of_session",
            ),
        ]  # fmt: skip
        verbose_name_plural = "search entries"

    def __str__(self) -> str:
        """Return what it stands for."""
        return f"{self.kind} of session {self.session_id}"

    @property
    def kind(self) -> Kind:
        """Return what it stands for."""
        if self.message_id is not None:
            return Kind.MESSAGE
        return Kind.SESSION if self.tool_call_id is None else Kind.TOOL_CALL
