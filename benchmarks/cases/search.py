"""Search in a million messages, for a word that one of them has and for one that all have."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

import psycopg

from benchmarks import ground
from benchmarks.asking import taken_ms
from benchmarks.ground import Target
from benchmarks.lines import Figure, Line, interleaved, quantile
from benchmarks.run import Run, asked

_P95_MS = 50
_COMMON = "agent"
_MOST_RANKED = 3
"""Times that all matches are ranked in a round: a second each."""


def measure(run: Run) -> list[Line]:
    """Measure on SQLite, beside raw FTS5 on the same file; and on PostgreSQL, if there is one."""
    with run.serve("search") as target:
        lines = _measure(run, target, "SQLite", _fts5)
    if run.postgresql is None:
        return lines
    with ground.database(run.postgresql) as url, run.serve("search-postgresql", KODA_DATABASE_URL=url) as target:
        return lines + _measure(run, target, "PostgreSQL", _raw_postgresql)


def _measure(
    run: Run, target: Target, name: str, raw: Callable[[Run, Target, str, str], dict[str, Figure]]
) -> list[Line]:
    count = run.size.messages
    full_text, entries = asked(target.environment, "dataset", "messages", count)
    lines = []
    with target.agent() as agent:

        def ours(word: str) -> float:
            return quantile(taken_ms(agent, "/api/v1/search", count=run.size.looks, q=word), 0.95)

        for kind, word in (("rare", f"word{count // 2}"), ("common", _COMMON)):
            figures = {"ours": partial(ours, word), **raw(run, target, full_text if raw is _fts5 else entries, word)}
            taken = interleaved(figures, rounds=run.rounds)
            p95 = float(taken.pop("ours"))
            what = f"search in {count:,} messages, {kind} word, {name}, p95"
            lines.append(Line(what, p95, "ms", f"under {_P95_MS} ms", p95 < _P95_MS, taken))
    return lines


def _fts5(run: Run, target: Target, table: str, word: str) -> dict[str, Figure]:
    """Return what the full-text table alone takes: its newest twenty, and the best twenty of all by bm25."""
    path = f"{target.environment['KODA_DATA_DIR']}/koda.sqlite3"
    select = f"SELECT rowid FROM {table} WHERE {table} MATCH ?"

    def p95(order: str, looks: int) -> float:
        with closing(sqlite3.connect(path)) as database:
            return _p95(lambda: database.execute(f"{select} ORDER BY {order} LIMIT 20", [word]).fetchall(), looks)

    return {
        "raw FTS5, newest 20": partial(p95, "rowid DESC", run.size.looks),
        "bm25 over all": partial(p95, "rank", min(run.size.looks, _MOST_RANKED)),
    }


def _raw_postgresql(run: Run, target: Target, table: str, word: str) -> dict[str, Figure]:
    """Return what the table alone takes: its newest twenty, and the best twenty of all by its own rank."""
    url = target.environment["KODA_DATABASE_URL"]
    select = f"SELECT id FROM {table} WHERE words @@ %(word)s::tsquery"

    def p95(order: str, looks: int) -> float:
        with psycopg.connect(url) as database:
            sql = f"{select} ORDER BY {order} LIMIT 20"
            return _p95(lambda: database.execute(sql, {"word": word}).fetchall(), looks)

    return {
        "raw SQL, newest 20": partial(p95, "id DESC", run.size.looks),
        "ts_rank over all": partial(p95, "ts_rank(words, %(word)s::tsquery) DESC", min(run.size.looks, _MOST_RANKED)),
    }


def _p95(look: Callable[[], object], looks: int) -> float:
    taken = []
    for _ in range(looks):
        began = time.perf_counter()
        assert look(), "found nothing"
        taken.append((time.perf_counter() - began) * 1000)
    return quantile(taken, 0.95)
