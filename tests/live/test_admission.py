import asyncio
import json
import threading
import time
from contextlib import ExitStack

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections, connection
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from websockets.sync.client import connect as connect_socket

from sessions.live.admission import Admission, is_waiting
from sessions.live.refusals import render, too_large
from tests.live.processes import connect, get, head, read, send, tiny


def make_scope(target="/", *, method="GET"):
    location, _, query = target.partition("?")
    return {
        "type": "http", "method": method, "path": location, "query_string": query.encode(), "headers": [],
    }  # fmt: skip


async def ask(application, target="/", *, method="GET"):
    """Send one request without a body and return the messages of its answer."""
    sent = []
    is_read = False

    async def receive():
        nonlocal is_read
        if is_read:
            await asyncio.Event().wait()  # a client that waits
        is_read = True
        return {"type": "http.request", "body": b""}

    async def note(message):
        sent.append(message)

    await application(make_scope(target, method=method), receive, note)
    return sent


# --- Slots -------------------------------------------------------------------------------------------------


def test_no_more_requests_run_at_once_than_are_admitted():
    with tiny(admitted=3, queued=100) as server:
        answers = [send(server.port, "/block?0.05") for _ in range(30)]
        assert {read(answer).status for answer in answers} == {200}
        assert get(server.port, "/state").json()["most"] == 3


def test_all_requests_share_as_many_threads_as_are_admitted():
    with tiny(admitted=3, queued=100) as server:
        answers = [send(server.port, "/block?0.01") for _ in range(60)]
        used = {read(answer).body.decode() for answer in answers}
        assert used == {"request-0_0", "request-1_0", "request-2_0"}
        threads = get(server.port, "/state").json()["threads"]
        assert sorted(name for name in threads if name != "MainThread") == sorted(used)


def test_requests_one_after_another_stay_on_one_thread():
    with tiny(admitted=8) as server:
        assert {get(server.port, "/block?0").body for _ in range(5)} == {b"request-0_0"}


def test_beyond_the_queue_a_request_is_told_to_come_again():
    with tiny(admitted=1, queued=2) as server:
        inside = [send(server.port, "/block?1")]
        server.wait_for("BEGUN")
        inside += [send(server.port, "/size"), send(server.port, "/size")]
        api, stakpak, page = (get(server.port, target) for target in ("/api/v1/size", "/v1/size", "/size"))
        for answer in (api, stakpak, page):
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert api.headers["content-type"] == "application/problem+json"
        assert (api.json()["code"], api.json()["status"]) == ("unavailable", 503)
        assert stakpak.json()["error"]["key"] == "unavailable"
        assert page.headers["content-type"].startswith("text/plain")
        assert [read(answer).status for answer in inside] == [200, 200, 200]
        assert get(server.port, "/size").status == 200


def test_a_slow_upload_holds_no_slot():
    with tiny(admitted=1, queued=0) as server:
        uploads = []
        for _ in range(3):
            upload = connect(server.port)
            upload.sendall(head("POST", "/size", Content_Length="200000") + b"x" * 150_000)
            uploads.append(upload)
        assert get(server.port, "/size").status == 200
        for upload in uploads:
            upload.sendall(b"x" * 50_000)
            assert read(upload).body == b"200000"


def test_a_slow_reader_holds_no_slot():
    with tiny(admitted=1, queued=0) as server:
        reader = send(server.port, "/big")
        server.wait_for("BEGUN")
        deadline = time.monotonic() + 20
        while get(server.port, "/size").status != 200:
            assert time.monotonic() < deadline
        assert len(read(reader).body) == 8 * 1024 * 1024


def test_long_polls_hold_no_slot():
    with tiny(admitted=1, queued=0) as server:
        for _ in range(20):
            send(server.port, "/api/v1/sessions/s/commands?wait=25")
        server.wait_for("BEGUN /api/v1/sessions/s/commands", times=20)
        assert get(server.port, "/block?0").status == 200


async def test_there_is_a_limit_for_long_polls_too():
    started = asyncio.Event()

    async def application(scope, receive, send):
        started.set()
        await asyncio.Event().wait()

    admission = Admission(application, admitted=1, queued=0, waiting=1)
    poll = asyncio.create_task(ask(admission, "/api/v1/sessions/s/commands?wait=25"))
    await started.wait()
    refused = await ask(admission, "/api/v1/sessions/s/commands?wait=25")
    assert refused[0]["status"] == 503
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll


async def test_requests_enter_in_the_order_in_which_they_came():
    entered = []

    async def application(scope, receive, send):
        entered.append(scope["path"])
        await asyncio.sleep(0)

    admission = Admission(application, admitted=1, queued=100)
    targets = [f"/{n}" for n in range(20)]
    await asyncio.gather(*(ask(admission, target) for target in targets))
    assert entered == targets


async def test_a_request_that_is_cancelled_in_the_queue_gives_way_to_the_next():
    gate = asyncio.Event()

    async def application(scope, receive, send):
        await gate.wait()
        await send({"type": "http.response.start", "status": 200})

    admission = Admission(application, admitted=1, queued=10)
    first, second, third = (asyncio.create_task(ask(admission, "/")) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    assert (await first)[0]["status"] == (await third)[0]["status"] == 200
    assert (await ask(admission))[0]["status"] == 200


async def test_a_request_that_is_cancelled_as_its_turn_comes_loses_no_slot():
    gate = asyncio.Event()

    async def application(scope, receive, send):
        await gate.wait()

    admission = Admission(application, admitted=1, queued=10)
    first, second = (asyncio.create_task(ask(admission, "/")) for _ in range(2))
    await asyncio.sleep(0)
    gate.set()
    first.add_done_callback(lambda _: second.cancel())  # runs before second does
    await asyncio.wait([first, second])
    await asyncio.wait_for(ask(admission), timeout=20)


async def test_a_failed_request_gives_its_slot_back():
    async def application(scope, receive, send):
        raise ZeroDivisionError

    admission = Admission(application, admitted=1, queued=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await ask(admission)


async def test_the_slot_of_a_cancelled_request_is_free_when_its_thread_is():
    release = threading.Event()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work():
        loop.call_soon_threadsafe(started.set)
        release.wait(20)

    async def application(scope, receive, send):
        if scope["path"] == "/work":
            await sync_to_async(work)()
        await send({"type": "http.response.start", "status": 200})

    admission = Admission(application, admitted=1, queued=0)
    request = asyncio.create_task(ask(admission, "/work"))
    await started.wait()
    request.cancel()
    await asyncio.wait([request])
    assert (await ask(admission))[0]["status"] == 503
    release.set()
    async with asyncio.timeout(20):
        while (await ask(admission))[0]["status"] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# --- With Django -------------------------------------------------------------------------------------------


def tell_thread(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    time.sleep(0.005)
    name = threading.current_thread().name
    return HttpResponse(json.dumps({"thread": name, "connection": id(connection.connection)}))


async def wait_for_gate(request, key):
    await request.scope["gate"].wait()
    return HttpResponse("")


urlpatterns = [
    path("thread", tell_thread),
    path("healthz", tell_thread),
    path("api/v1/sessions/<key>/commands", wait_for_gate),
]


@pytest.mark.django_db(transaction=True)
async def test_django_does_all_work_of_a_request_on_the_thread_of_its_slot():
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]):
        admission = Admission(ASGIHandler(), admitted=4, queued=100)
        answers = await asyncio.gather(*(ask(admission, "/thread") for _ in range(40)))
    used = {json.loads(answer[1]["body"])["thread"] for answer in answers}
    assert used == {f"request-{n}_0" for n in range(4)}


@pytest.mark.django_db(transaction=True)
async def test_no_middleware_makes_a_long_poll_occupy_a_lane():
    gate = asyncio.Event()
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"]):
        django = ASGIHandler()

        async def application(scope, receive, send):
            await django({**scope, "gate": gate}, receive, send)

        admission = Admission(application, admitted=1, queued=0)
        targets = [f"/api/v1/sessions/{n}/commands?wait=25" for n in range(12)]
        polls = [asyncio.create_task(ask(admission, target)) for target in targets]
        async with asyncio.timeout(20):
            health = await asyncio.gather(*(ask(admission, "/healthz") for _ in range(12)))
        assert {answer[0]["status"] for answer in health} == {200}
        assert not [poll for poll in polls if poll.done()]
        gate.set()
        assert {(await poll)[0]["status"] for poll in polls} == {200}


# --- Which requests wait -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "method", "expected"),
    [
        ("/api/v1/sessions/s/commands?wait=25", "GET", True),
        ("//api/v1/sessions/s/commands?wait=25", "GET", True),
        ("//healthz", "GET", True),
        ("/api/v1/sessions/s/commands?limit=1&wait=25", "GET", True),
        ("/api/v1/sessions/s/commands", "GET", False),
        ("/api/v1/sessions/s/commands?awaits=1", "GET", False),
        ("/api/v1/sessions/s/commands?wait=25", "POST", False),
        ("/api/v1/sessions/s/messages?wait=25", "GET", False),
        ("/healthz", "GET", True),
        ("/healthz/x", "GET", False),
    ],
)
def test_only_long_polls_and_the_health_check_pass_beside_the_slots(target, method, expected):
    assert is_waiting(make_scope(target, method=method)) is expected


# --- Lanes -------------------------------------------------------------------------------------------------


def test_sockets_share_a_few_lanes_of_their_own():
    with tiny() as server, ExitStack() as stack:
        address = f"ws://127.0.0.1:{server.port}/"
        sockets = [stack.enter_context(connect_socket(address, proxy=None)) for _ in range(6)]
        for socket in sockets:
            socket.send("thread")
        assert {socket.recv(timeout=20) for socket in sockets} == {"socket-0_0", "socket-1_0"}


# --- Words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limit", [4_000_000, 400_000, 429, 4_290_000, 400 * 1024**2, 401 * 1024, 64 * 1024**2, 14_011_429]
)
def test_the_limit_is_never_spelled_like_another_status(limit):
    _, body = render(too_large(limit), path="//v1//sessions")
    message = json.loads(body)["error"]["message"].lower()
    kinds = ("not found", "unauthorized", "401", "rate limit", "429", "invalid", "400")
    assert not [word for word in kinds if word in message]


@pytest.mark.parametrize("limit", [1024**2, 64 * 1024**2, 1_500_000])
def test_the_limit_is_told(limit):
    _, body = render(too_large(limit), path="/api/zeroclaw/sessions")
    assert (f"{limit // 1024**2} MiB" if limit % 1024**2 == 0 else f"{limit} bytes") in json.loads(body)["detail"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's connections go back to their pool")
async def test_the_thread_of_a_request_keeps_its_connection_for_the_next():
    async def application(scope, receive, send):
        def look():
            close_old_connections()  # what Django does when a request begins, and when it ends
            connection.ensure_connection()
            found.append(connection.connection)
            close_old_connections()

        await sync_to_async(look)()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    found = []
    admission = Admission(application, admitted=1, queued=1)
    await ask(admission)
    await ask(admission)
    assert found[0] is found[1]
