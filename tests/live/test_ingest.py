import asyncio
import json
import threading
from contextlib import AbstractContextManager

import httpx
import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from sessions import indexing
from sessions.live import ingest
from sessions.live.admission import is_ingest
from sessions.live.ingest import GROUP, MIDDLEWARE, Ingest, Job, Writer
from sessions.live.refusals import BUSY
from sessions.models import Event, Message, Session, Unindexed
from tests.factories import make_key, make_session

SHORT = [
    "/api/v1/sessions/3f/messages", "/api/v1/sessions/3f/events", "/api/v1/sessions/3f/heartbeat",
    "/api/zeroclaw/sessions/chat:7/messages",
]  # fmt: skip
LONG = [
    "/api/v1/sessions/3f/compact", "/api/v1/sessions", "/api/v1/sessions/3f/messages/last", "/sessions/3f/messages/",
    "/api/zeroclaw/sessions/a/b/messages", "/",
]  # fmt: skip
KEYED = [(b"authorization", b"Bearer koda_x")]


def make_scope(path, *, method="POST", headers=KEYED):
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}


def job(session, key, content, **fields):
    body = json.dumps({"role": "user", "content": content, **fields}).encode()
    headers = [
        (b"host", b"testserver"),
        (b"authorization", f"Bearer {key}".encode()),
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
    yield Writer()
    connection.close()


only_sqlite = pytest.mark.skipif(
    "sqlite" not in settings.DATABASES["default"]["ENGINE"], reason="one writer at a time, so together: SQLite alone"
)


# --- Which -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHORT)
def test_what_agents_append_with_a_key_takes_the_short_way(path):
    assert is_ingest(make_scope(path))
    assert not is_ingest(make_scope(path, method="GET"))
    assert not is_ingest(make_scope(path, headers=[(b"cookie", b"sessionid=1")]))


@pytest.mark.parametrize("path", LONG)
def test_all_else_takes_the_way_of_pages(path):
    assert not is_ingest(make_scope(path))


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


class Turn(AbstractContextManager):
    """Notes what was stored when it was given back."""

    def __init__(self) -> None:
        self.stored: list[int] = []

    def __exit__(self, *_error) -> None:
        assert not connection.in_atomic_block
        self.stored.append(Message.objects.count())


@pytest.mark.django_db(transaction=True)
@only_sqlite
def test_a_group_has_one_turn_and_before_it_the_index_comes_near(writer, session, key, monkeypatch):
    turn = Turn()
    monkeypatch.setattr(ingest, "TURN", turn)
    monkeypatch.setattr(ingest, "_INDEX_EVERY_SECONDS", 0)
    monkeypatch.setattr(indexing, "MOST_WAITING", 3)
    writer.answer([job(session, key, f"m{number}") for number in range(5)])
    assert turn.stored == [5]
    assert Unindexed.objects.message_count() == 5
    writer.answer([job(session, key, "one more")])
    assert turn.stored == [5, 6]
    assert Unindexed.objects.message_count() == 1, "the five were indexed before the sixth was stored"


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


# --- Before and after --------------------------------------------------------------------------------------


class Slow:
    """A writer that holds what it was given until it is let go."""

    is_grouping = True

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

    await application(make_scope(SHORT[0]), receive, send)
    return sent[0]["status"], sent[1]["body"]


async def refuse(scope, receive, send):
    raise AssertionError("nothing of this goes on")


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.go.set()


async def test_while_a_group_is_written_the_next_gathers_and_everybody_gets_their_own(slow):
    application = Ingest(refuse, queued=1000, writer=slow)
    first = asyncio.create_task(post(application, b"first"))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(post(application, b"%d" % number)) for number in range(GROUP + 8)]
    await asyncio.sleep(0)
    slow.go.set()
    assert await first == (201, b"first")
    assert [body for _, body in await asyncio.gather(*rest)] == [b"%d" % number for number in range(GROUP + 8)]
    assert slow.groups == [1, GROUP, 8]


async def test_beyond_the_queue_all_are_refused_at_once(slow):
    application = Ingest(refuse, queued=2, writer=slow)
    waiting = [asyncio.create_task(post(application)) for _ in range(3)]  # one is being written, two wait
    await asyncio.sleep(0)
    status, body = await post(application)
    assert (status, json.loads(body)["detail"]) == (503, BUSY.detail)
    slow.go.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [201] * 3


async def test_who_is_cut_off_while_waiting_is_told_that_nothing_was_done(slow):
    application = Ingest(refuse, queued=9, writer=slow)
    first = asyncio.create_task(post(application))
    await asyncio.sleep(0)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def note(message):
        sent.append(message)

    second = asyncio.create_task(application(make_scope(SHORT[0]), receive, note))
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
        agent.headers["Authorization"] = f"Bearer {server.create_key('ingest')}"
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
