"""What lies in the product's database before it is measured: asked in the product's settings.

Much of it goes in by bulk statements, which write what the verbs would have written: each copies a row that a verb
made. What the search finds is built by the product's own `install`.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction

from benchmarks.bodies import text_of
from sessions import counting, indexing, retention, transcripts
from sessions.models import FigureMark, Message, SearchEntry, Session
from sessions.models.folding import words_of
from sessions.models.search_index import FULL_TEXT, TABLE, install, remove
from sessions.transcripts import MessageDraft

SEARCHED_CHARACTERS = 200
SESSIONS_OF_SEARCHED = 1_000


def sessions(count: int, live: int = 0) -> list[str]:
    """Copy a session until the owner has `count` more, spread over time, agents and projects; return nothing.

    The `live` newest are on the upper bands of the wall: of ten, two wait for a person, one is stuck, seven run.
    """
    model = _born("copied")
    moment = "created_at - n.n * interval '1 second'"
    series, uuid = "generate_series(1, %s) AS n(n)", "gen_random_uuid()"
    if connection.vendor == "sqlite":
        moment = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', created_at, '-' || n.n || ' seconds')"
        series = "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %s) SELECT n FROM n) AS n"
        uuid = "lower(hex(randomblob(16)))"
    waits, drifts, runs = (f"n.n <= {live} AND n.n %% 10 {digits}" for digits in ("< 2", "= 2", ">= 2"))
    own = {
        "uuid": uuid,
        "created_at": moment, "updated_at": moment, "last_activity_at": moment, "progressed_at": moment,
        "title": "'Session ' || n.n",
        "agent_name": "'agent-' || (n.n %% 7)",
        "project_root": "'/w/project-' || (n.n %% 50)",
        "source": "'laptop-' || (n.n %% 5)",
        "state": f"CASE WHEN {runs} THEN 'running' ELSE 'idle' END",
        "turn_started_at": f"CASE WHEN {runs} THEN {moment} END",
        "liveness": f"CASE WHEN {drifts} THEN 'stuck' WHEN {runs} THEN 'live' ELSE 'resting' END",
        "needs": f"CASE WHEN {waits} THEN 'input' ELSE '' END",
        "needs_since": f"CASE WHEN {waits} THEN {moment} END",
    }  # fmt: skip
    _copy(model, own, series, [count, model.pk])
    _let_the_keeper_rest()
    return []


def transcript(count: int) -> list[str]:
    """Append to a new session what people and agent say in turn; return its id."""
    session = _born("transcript")
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        transcripts.append(
            session.pk, [MessageDraft(role=("user", "assistant")[n % 2], content=text_of(n)) for n in numbers]
        )
    indexing.finish()
    return [str(session.uuid)]


def messages(count: int) -> list[str]:
    """Spread `count` messages over sessions, searchable; each has a word that no other has.

    Return the names of the full-text table or index, and of the table of entries.
    """
    first = _born("searched")
    spread = min(SESSIONS_OF_SEARCHED, count)
    before = Message.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    models = {role: _probe(first, role) for role in ("user", "assistant")}
    sessions(spread)
    ids = list(Session.objects.filter(pk__gte=first.pk).order_by("pk").values_list("pk", flat=True))
    table = Message._meta.db_table
    began = datetime.now(UTC) - timedelta(days=30)

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            text = text_of(number, length=SEARCHED_CHARACTERS)
            yield ids[number % len(ids)], ("user", "assistant")[number % 2], text, began + timedelta(seconds=number)

    assert words_of(text_of(7, length=SEARCHED_CHARACTERS)) == text_of(7, length=SEARCHED_CHARACTERS).split()
    with transaction.atomic(), connection.cursor() as cursor:
        columns = "session_id, role, content, created_at"
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows():
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES (%s, %s, %s, %s)", rows())
        remove(connection)
        _enter(cursor, models, after=before)
    install(connection)  # PostgreSQL wants the keys checked first, as a commit does
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return [FULL_TEXT, TABLE]


def _probe(session: Session, role: str) -> int:
    """Append a message, let the product index it, and return its id: its entry is the pattern of all others."""
    pk = transcripts.append(session.pk, [MessageDraft(role=role, content="pattern")]).ids[0]
    indexing.finish()
    return pk


def _enter(cursor: object, models: dict[str, int], *, after: int) -> None:
    """Give each new message an entry like that of the message that is the pattern of its role."""
    message, entry = Message._meta.db_table, SearchEntry._meta.db_table
    words = "to_tsvector('simple', m.content)" if connection.vendor == "postgresql" else "m.content"
    cursor.execute(  # type: ignore[attr-defined]
        f"INSERT INTO {entry} (session_id, message_id, role, agent_name, tool, at, words, scope)"
        f" SELECT m.session_id, m.id, m.role, e.agent_name, e.tool, m.created_at, {words}, e.scope"
        f" FROM {message} m JOIN {entry} e ON e.role = m.role AND e.message_id IN (%s, %s)"
        f" WHERE m.id > %s AND m.id NOT IN (%s, %s) ORDER BY m.id",
        [*models.values(), after, *models.values()],
    )


def _born(title: str) -> Session:
    owner = User.objects.get(username="owner")
    return Session.objects.start(owner=owner, source="bench", agent_name="bench", title=title).session


def _copy(model: Session, own: dict[str, str], series: str, params: list[int]) -> None:
    """Insert copies of a session in which some columns are expressions of the number of the copy."""
    names = [field.column for field in Session._meta.concrete_fields if field.column != "id"]
    quoted = [connection.ops.quote_name(name) for name in names]
    values = [own.get(name, place) for name, place in zip(names, quoted, strict=True)]
    table = Session._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(quoted)})"
            f" SELECT {', '.join(values)} FROM {table}, {series} WHERE id = %s",
            params,
        )
        cursor.execute("ANALYZE")


def _let_the_keeper_rest() -> None:
    """Measure and count what was put there behind the product's back, which a server would do in small turns.

    These would fall into every look for half an hour: sessions that come one by one are counted as they come.
    """
    retention.measure(seconds=math.inf)
    while counting.uncounted(FigureMark.objects.first()):
        counting.count(seconds=math.inf)
