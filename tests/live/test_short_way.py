import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import iscoroutinefunction

import httpx
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from sessions import indexing
from sessions.live.admission import LARGEST_SHORT_BODY, Way, short_way
from sessions.live.kept import READER_CACHE_KIB
from sessions.live.refusals import BUSY
from sessions.live.short_way import (
    GROUP,
    GROUP_BYTES,
    MIDDLEWARE,
    Job,
    Line,
    OneByOne,
    ShortWay,
    Together,
)
from sessions.models import Event, Message, Session, Unindexed
from sessions.models.patience import patience
from tests.factories import make_key, make_session

UUID = "8f14e45f-ceea-467f-9575-2a9c8d2f3b11"
APPENDS = [
    f"/api/v1/sessions/{UUID}/messages", f"/api/v1/sessions/{UUID}/events", f"/api/v1/sessions/{UUID}/heartbeat",
    f"/api/v1/sessions/{UUID}/checkpoints", "/api/zeroclaw/sessions/chat:7/messages",
    f"/v1/sessions/{UUID}/checkpoints",
]  # fmt: skip
READS = [
    f"/api/v1/sessions/{UUID}", f"/api/v1/sessions/{UUID}/messages", f"/api/v1/sessions/{UUID}/checkpoints",
    f"/api/v1/sessions/{UUID}/checkpoints/active", f"/api/v1/sessions/{UUID}/state", f"/api/v1/sessions/{UUID}/todo",
    f"/api/v1/checkpoints/{UUID}", "/api/zeroclaw/sessions/chat:7/messages", f"/v1/sessions/{UUID}",
    f"/v1/sessions/checkpoints/{UUID}",
]  # fmt: skip
LONG = [
    f"/api/v1/sessions/{UUID}/compact", "/api/v1/sessions", f"/api/v1/sessions/{UUID}/messages/last",
    f"/sessions/{UUID}/messages/", "/api/zeroclaw/sessions/a/b/messages", "/", f"/api/v1/sessions/{UUID}/commands",
    "/api/v1/sessions/running", "/v1/sessions", f"/v1/sessions/{UUID}/", "/v1/sessions/stats",
    "/v1/sessions/checkpoints",
]  # fmt: skip
KEYED = [(b"authorization", b"Bearer koda_x"), (b"content-length", b"2")]


def make_scope(path, *, method="POST", headers=KEYED):
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}


def headers_of(key):
    return [(b"host", b"testserver"), (b"authorization", f"Bearer {key}".encode())]


def job(session, key, content, **fields):
    body = json.dumps({"role": "user", "content": content, **fields}).encode()
    headers = [
        *headers_of(key),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    return Job(make_scope(f"/api/v1/sessions/{session.uuid}/messages", headers=headers), body)


@pytest.fixture
def session():
    return make_session()


@pytest.fixture
def key(session):
    return make_key(session.owner, scopes=["write", "read"]).plain


@pytest.fixture
def writer():
    yield Together() if connection.vendor == "sqlite" else OneByOne()
    connection.close()


only_sqlite = pytest.mark.skipif(
    "sqlite" not in settings.DATABASES["default"]["ENGINE"], reason="one writer at a time, so together: SQLite alone"
)


# --- Which -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method", "way"), [
    *((path, "POST", Way.APPEND) for path in APPENDS), *((path, "GET", Way.READ) for path in READS),
])  # fmt: skip
def test_what_agents_do_at_every_step_with_a_key_takes_the_short_way(path, method, way):
    assert short_way(make_scope(path, method=method)) is way
    assert short_way(make_scope(path, method="DELETE")) is None
    assert short_way(make_scope(path, method=method, headers=[(b"cookie", b"sessionid=1")])) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", LONG)
def test_all_else_takes_the_way_of_pages(path, method):
    assert short_way(make_scope(path, method=method)) is None


@pytest.mark.parametrize("path", APPENDS)
def test_a_large_body_holds_up_nobody(path):
    key, _ = KEYED
    assert short_way(make_scope(path, headers=[key, (b"content-length", b"%d" % LARGEST_SHORT_BODY)])) is Way.APPEND
    assert short_way(make_scope(path, headers=[key, (b"content-length", b"%d" % (LARGEST_SHORT_BODY + 1))])) is None
    assert short_way(make_scope(path, headers=[key, (b"transfer-encoding", b"chunked")])) is None, "it may be larger"


@pytest.mark.parametrize("path", [*APPENDS, *READS])
def test_what_takes_it_is_never_awaited(path):
    assert iscoroutinefunction(resolve(f"/api/v1/sessions/{UUID}/commands").func)
    assert not iscoroutinefunction(resolve(path).func)


def test_its_middleware_is_part_of_everybodys_in_the_same_order():
    places = [settings.MIDDLEWARE.index(name) for name in MIDDLEWARE]
    assert places == sorted(places)


# --- What comes of it --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_requests_that_wait_together_are_committed_together_and_each_gets_its_answer(writer, session, key):
    writer.answer([job(session, key, "opens the connection")])
    with CaptureQueriesContext(connection) as asked:
        answers = writer.answer([job(session, key, f"m{number}") for number in range(5)])
    assert [answer.status_code for answer in answers] == [201] * 5
    assert sum(query["sql"] == "COMMIT" for query in asked) == 1
    ids = [json.loads(answer.content)["ids"][0] for answer in answers]
    assert ids == list(Message.objects.values_list("pk", flat=True))[1:]
    assert list(Message.objects.values_list("content", flat=True))[1:] == [f"m{number}" for number in range(5)]


@pytest.mark.django_db(transaction=True)
def test_what_is_refused_stores_nothing_and_its_neighbours_stand(writer, session, key):
    wrong_key, wrong_role = job(session, "koda_nobodys", "x"), job(session, key, "x", role="ghost")
    answers = writer.answer([job(session, key, "before"), wrong_key, wrong_role, job(session, key, "after")])
    assert [answer.status_code for answer in answers] == [201, 401, 422, 201]
    assert {answer["Content-Type"] for answer in answers[1:3]} == {"application/problem+json"}
    assert list(Message.objects.values_list("content", flat=True)) == ["before", "after"]
    seqs = list(Event.objects.filter(session=session).values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    assert Session.objects.get().message_count == 2


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_a_group_looks_up_each_key_once_and_the_next_sees_what_became_of_it(writer, session):
    keys = [make_key(session.owner, scopes=["write"]) for _ in range(2)]
    with CaptureQueriesContext(connection) as asked:
        writer.answer([job(session, key.plain, "x") for key in keys for _ in range(3)])
    looked = [query["sql"] for query in asked if 'FROM "koda_sessions_apikey"' in query["sql"]]
    assert len(looked) == len(keys)
    keys[0].record.revoke()
    answers = writer.answer([job(session, key.plain, "y") for key in keys])
    assert [answer.status_code for answer in answers] == [401, 201]


class Turn:
    """Notes how long somebody would wait for it, and what was stored when it was given back."""

    def __init__(self) -> None:
        self.patience: list[float] = []
        self.stored: list[int] = []

    def acquire(self, *, timeout: float) -> bool:
        self.patience.append(timeout)
        return True

    def release(self) -> None:
        self.stored.append(Message.objects.count())


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_a_group_has_one_turn_and_before_it_the_index_comes_near(session, key, monkeypatch):
    turn = Turn()
    monkeypatch.setattr(connection, "turn", turn)
    writer = Together(index_every=0)
    monkeypatch.setattr(indexing, "MOST_WAITING", 3)
    writer.answer([job(session, key, f"m{number}") for number in range(5)])
    assert turn.stored == [5]
    assert Unindexed.objects.message_count() == 5
    writer.answer([job(session, key, "one more")])
    assert turn.stored == [5, 5, 6], "once for the index, and once for the one that is stored"
    assert Unindexed.objects.message_count() == 1, "the five were indexed before the sixth was stored"
    connection.close()


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_when_the_disk_is_full_each_gets_its_own_answer_and_nothing_is_half_stored(writer, session, key):
    writer.answer([job(session, key, "opens the connection")])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # what other tests left free would take it all
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages + 40}")
    large, small = "x" * 1_000_000, "small"
    answers = writer.answer([job(session, key, small), job(session, key, large), job(session, key, small)])
    assert [answer.status_code for answer in answers] == [201, 503, 201]
    assert list(Message.objects.values_list("content", flat=True))[1:] == [small, small]
    assert Session.objects.get().message_count == 3


@contextmanager
def somebody_else_writes():
    """Let another connection hold the database inside."""
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                begun.set()
                done.wait()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        writing = thread.submit(write)
        try:
            begun.wait()
            yield
        finally:
            done.set()
            writing.result()


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_a_group_waits_for_another_process_once_and_not_once_for_each_of_its_requests(
    writer, session, key, monkeypatch
):
    writer.answer([job(session, key, "opens the connection")])
    turn = Turn()
    monkeypatch.setattr(connection, "turn", turn)
    with somebody_else_writes(), patience(0.2):
        answers = writer.answer([job(session, key, f"m{number}") for number in range(4)])
    assert [(answer.status_code, answer["Retry-After"]) for answer in answers] == [(503, "1")] * 4
    assert turn.patience == [0.2, 0, 0, 0, 0]
    assert writer.answer([job(session, key, "after")])[0].status_code == 201
    connection.close()


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_who_only_reads_keeps_its_connection_with_a_small_cache(session, key):
    connection.close()
    asked = Job(make_scope(f"/api/v1/sessions/{session.uuid}", method="GET", headers=headers_of(key)), b"")
    reader = OneByOne()
    assert [answer.status_code for answer in reader.answer([asked])] == [200]
    opened = connection.connection
    assert [answer.status_code for answer in reader.answer([asked, asked])] == [200, 200]
    assert connection.connection is opened is not None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size")
        assert cursor.fetchone() == (-READER_CACHE_KIB,)
    connection.close()


# --- Before and after --------------------------------------------------------------------------------------


class Slow:
    """A writer that holds what it was given until it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.groups = []

    def answer(self, jobs):
        self.groups.append(len(jobs))
        assert self.go.wait(10)
        return [HttpResponse(job.body, status=201) for job in jobs]


async def post(application, body=b"{}"):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    await application(make_scope(APPENDS[0]), receive, send)
    return sent[0]["status"], sent[1]["body"]


async def refuse(scope, receive, send):
    raise AssertionError("nothing of this goes on")


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.go.set()


def behind(slow, *, queued):
    """Return a way of one line, whose writer holds what it was given."""
    return ShortWay(refuse, queued=queued, lines={Way.APPEND: Line(slow, name="slow", threads=1, together=GROUP)})


async def test_while_a_group_is_written_the_next_gathers_and_everybody_gets_their_own(slow):
    application = behind(slow, queued=1000)
    first = asyncio.create_task(post(application, b"first"))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(post(application, b"%d" % number)) for number in range(GROUP + 8)]
    await asyncio.sleep(0)
    slow.go.set()
    assert await first == (201, b"first")
    assert [body for _, body in await asyncio.gather(*rest)] == [b"%d" % number for number in range(GROUP + 8)]
    assert slow.groups == [1, GROUP, 8]


async def test_large_bodies_go_in_smaller_groups(slow):
    application = behind(slow, queued=1000)
    large = b"x" * (GROUP_BYTES // 3)
    waiting = [asyncio.create_task(post(application, large)) for _ in range(6)]
    await asyncio.sleep(0)
    slow.go.set()
    assert [body for _, body in await asyncio.gather(*waiting)] == [large] * 6
    assert slow.groups == [1, 3, 2]


async def test_beyond_the_queue_all_are_refused_at_once(slow):
    application = behind(slow, queued=2)
    waiting = [asyncio.create_task(post(application)) for _ in range(3)]  # one is being written, two wait
    await asyncio.sleep(0)
    status, body = await post(application)
    assert (status, json.loads(body)["detail"]) == (503, BUSY.detail)
    slow.go.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [201] * 3


async def test_who_is_cut_off_while_waiting_is_told_that_nothing_was_done(slow):
    application = behind(slow, queued=9)
    first = asyncio.create_task(post(application))
    await asyncio.sleep(0)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def note(message):
        sent.append(message)

    second = asyncio.create_task(application(make_scope(APPENDS[0]), receive, note))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    assert sent[0]["status"] == 503
    slow.go.set()
    assert (await first)[0] == 201
    assert slow.groups == [1]


@pytest.mark.slow
def test_a_server_answers_with_an_id_and_the_headers_of_every_answer(server):
    with httpx.Client(base_url=server.url, trust_env=False) as agent:
        agent.headers["Authorization"] = f"Bearer {server.create_key('short', 'write', 'read')}"
        made = agent.post("/api/v1/sessions", json={"agent_name": "koda"}).json()["id"]
        answer = agent.post(
            f"/api/v1/sessions/{made}/messages", json={"role": "user", "content": "hi"},
            headers={"X-Request-ID": "abcdefgh-1"},
        )  # fmt: skip
        assert answer.status_code == 201
        assert answer.headers["X-Request-ID"] == "abcdefgh-1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        unknown = agent.post(f"/api/v1/sessions/{made}/events", content=b"{", headers={"Content-Type": "text/plain"})
        assert unknown.headers["Content-Type"] == "application/problem+json"
