"""Which of the two ways through Django a request takes, and how often it visits its thread on each."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from koda_web import asgi
from koda_web.handler import OneVisitHandler
from koda_web.static_files import serve_static_files
from sessions import commands
from tests.factories import make_key, make_session, make_user
from tests.web.conftest import signed_in

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 20  # seconds
VISITS = 3
"""What tells that the request begins, the chain with the view, and what tells that it has ended."""
POLL = "/api/v1/sessions/{}/commands"


class Thread(ThreadPoolExecutor):
    """The one thread of a request, which counts how often it is visited."""

    def __init__(self):
        super().__init__(max_workers=1, thread_name_prefix="request")
        self.visits = 0

    def submit(self, *args, **kwargs):
        self.visits += 1
        return super().submit(*args, **kwargs)


@pytest.fixture
def thread():
    with Thread() as thread:
        yield thread


class Answer:
    """What came back for one request."""

    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in messages[0]["headers"]}
        self.pieces = [message.get("body", b"") for message in messages[1:]]


async def ask(application, target, thread, *, method="GET", leaves=None, **headers):
    """Send one request without a body; its sender stays, or leaves upon an event."""
    location, _, query = target.partition("?")
    told = {"host": "localhost", "accept": "text/html", **headers}
    scope = {
        "type": "http", "method": method, "path": location, "raw_path": location.encode(),
        "query_string": query.encode(), "headers": [(name.encode(), told[name].encode()) for name in told],
    }  # fmt: skip
    coming = iter([{"type": "http.request", "body": b""}])
    sent = []

    async def receive():
        if message := next(coming, None):
            return message
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async with asyncio.timeout(PATIENCE), ThreadSensitiveContext(executor=thread):
        await application(scope, receive, send)
    return Answer(sent) if sent else None


# --- The way of pages --------------------------------------------------------------------------------------


def test_a_page_visits_its_thread_three_times(thread):
    cookie = f"koda_session={signed_in(make_user()).cookies['koda_session'].value}"
    answer = asyncio.run(ask(asgi.application, "/account/", thread, cookie=cookie))
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert thread.visits == VISITS


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [("/sign-in/", "HEAD", 200), ("/nothing/", "GET", 404), ("/sign-out/", "GET", 405), ("/api/v1/stats", "GET", 401)],
)
def test_so_does_whatever_else_is_answered(thread, target, method, status):
    answer = asyncio.run(ask(asgi.application, target, thread, method=method))
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert thread.visits == VISITS


class Plain:
    """Middleware that does nothing, and can it in a sync chain alone."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_the_number_of_middlewares_makes_no_difference(thread, settings, count):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, [f"{__name__}.Plain"] * count
    assert asyncio.run(ask(OneVisitHandler(), "/id", thread)).status == 200
    assert thread.visits == VISITS


def test_an_async_view_that_does_not_wait_is_answered_on_the_only_thread(thread):
    session, key = make_session(owner := make_user()), make_key(owner, source="laptop")
    commands.ask(session.pk, {"type": "interrupt"}, by=owner)
    target, authorization = POLL.format(session.uuid), f"Bearer {key.plain}"
    answer = asyncio.run(ask(asgi.application, target, thread, authorization=authorization))
    assert answer.status == 200
    assert b'"interrupt"' in answer.pieces[0]
    assert thread.visits == VISITS


# --- The way of what waits ---------------------------------------------------------------------------------


def test_a_long_poll_leaves_its_thread_to_others(thread):
    session, key = make_session(owner := make_user()), make_key(owner, source="laptop")
    target, authorization = f"{POLL.format(session.uuid)}?wait=60", f"Bearer {key.plain}"

    async def work():
        leaves = asyncio.Event()
        poll = asyncio.create_task(ask(asgi.application, target, thread, authorization=authorization, leaves=leaves))
        health = await ask(asgi.application, "/healthz", thread)
        assert not poll.done()
        leaves.set()
        return health, await poll

    health, poll = asyncio.run(work())
    assert health.status == 200
    assert poll is None


def test_what_lies_where_static_files_do_goes_the_way_of_what_waits(thread):
    assert asyncio.run(ask(asgi.application, "/static/koda/nowhere.css", thread)).status == 404
    assert thread.visits > VISITS


def test_a_static_file_is_served_where_the_chain_is_async(thread, settings):
    settings.SERVESTATIC_USE_FINDERS = True
    answer = asyncio.run(ask(ASGIHandler(), "/static/koda/tokens.css", thread))
    assert answer.status == 200
    assert answer.headers["content-type"] == 'text/css; charset="utf-8"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert asyncio.run(ask(OneVisitHandler(), "/static/koda/tokens.css", thread)).status == 404


def test_a_sync_chain_has_no_middleware_for_static_files():
    with pytest.raises(MiddlewareNotUsed):
        serve_static_files(lambda _: HttpResponse())


# --- What views may do -------------------------------------------------------------------------------------


def tell_id(request):
    logging.getLogger("django.request").warning("told")
    return HttpResponse(structlog.contextvars.get_contextvars().get("request_id", ""))


def stream(request):
    return StreamingHttpResponse(threading.current_thread().name.encode() for _ in range(2))


async def _pieces():
    for _ in range(2):
        yield (await sync_to_async(threading.current_thread)()).name.encode()


def stream_async(request):
    return StreamingHttpResponse(_pieces())


def fail(request):
    raise ZeroDivisionError


_begun, _may_end, _ended = threading.Event(), threading.Event(), threading.Event()


def take_long(request):
    _begun.set()
    assert _may_end.wait(PATIENCE)
    _ended.set()
    return HttpResponse("late")


urlpatterns = [
    path("id", tell_id),
    path("stream", stream),
    path("stream-async", stream_async),
    path("fail", fail),
    path("long", take_long),
]


@pytest.fixture
def handler(settings):
    settings.ROOT_URLCONF, settings.DEBUG_PROPAGATE_EXCEPTIONS = __name__, False
    return OneVisitHandler()


def test_the_thread_knows_the_id_of_the_request(thread, handler):
    answer = asyncio.run(ask(asgi.RequestIds(handler), "/id", thread, **{"x-request-id": "from-the-proxy"}))
    assert answer.pieces == [b"from-the-proxy"]


@pytest.mark.parametrize("target", ["/stream", "/stream-async"])
def test_a_stream_is_made_piece_by_piece(thread, handler, target):
    if target == "/stream":
        with pytest.warns(Warning, match="StreamingHttpResponse must consume synchronous iterators"):
            answer = asyncio.run(ask(handler, target, thread))
    else:
        answer = asyncio.run(ask(handler, target, thread))
    assert answer.pieces == [b"request_0", b"request_0", b""]


def test_an_error_becomes_a_page(thread, handler):
    answer = asyncio.run(ask(handler, "/fail", thread))
    assert answer.status == 500
    assert b"</html>" in answer.pieces[0]
    assert answer.headers["x-frame-options"] == "DENY"


def test_what_a_view_does_is_done_though_who_asked_has_left(thread, handler):
    for event in (_begun, _may_end, _ended):
        event.clear()

    async def work():
        leaves = asyncio.Event()
        asked = asyncio.create_task(ask(handler, "/long", thread, leaves=leaves))
        await asyncio.to_thread(_begun.wait, PATIENCE)
        leaves.set()
        for _ in range(100):  # rounds of the loop, in which it learns of that
            await asyncio.sleep(0)
        assert not asked.done()  # its slot is not free before its thread is
        _may_end.set()
        return await asked

    assert asyncio.run(work()) is None
    assert _ended.is_set()
