"""Webhooks beside others that hang, and receivers of which a part is gone: whoever answers is told all the same."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from sessions.live import addressing, webhooks
from sessions.models import Delivery, Webhook
from tests.factories import make_user
from tests.live.test_webhooks import T0, at
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _private_is_allowed(settings):
    """The receivers stand on this machine."""
    settings.KODA_WEBHOOK_PRIVATE = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def make_webhook(url: str, *, tests: int = 1) -> Webhook:
    """Return a webhook of a new user that is due for so many calls."""
    webhook = Webhook.objects.register(owner=make_user(), url=url)
    for _ in range(tests):
        webhook.try_out(now=T0)
    return webhook


def port_of(receiver: Receiver) -> str:
    return receiver.url.rpartition(":")[2].removesuffix("/hook")


def test_names_that_hang_hold_up_no_other_and_are_asked_for_once_at_a_time(receiver, monkeypatch):
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host, *args, **facts):
        if not host.endswith(".example"):
            return real(host, *args, **facts)
        asked.append(host)
        receiver.wait_for(calls=1)  # a resolver of which nothing comes until the other was told
        raise OSError

    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 30)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    hanging = [make_webhook(f"http://hangs-{number}.example/", tests=2) for number in range(10)]
    make_webhook(receiver.url)
    assert webhooks.run(now=at(1)) == 21
    assert len(receiver.calls) == 1
    assert sorted(asked) == sorted(webhook.host for webhook in hanging)
    assert Delivery.objects.filter(last_error__endswith=".example cannot be resolved").count() == 20


def test_no_more_than_so_many_names_are_looked_up_at_once(receiver, monkeypatch):
    monkeypatch.setattr(addressing, "NAMES_AT_ONCE", 0)
    make_webhook(receiver.url)
    webhooks.run(now=at(1))
    assert Delivery.objects.get().last_error == "127.0.0.1 cannot be resolved: too many names are being looked up"


def test_a_hundred_receivers_that_hang_hold_up_no_other(receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 30)
    receiver.hangs = True
    for _ in range(26):
        make_webhook(receiver.url, tests=4)
    with receiving() as other:
        webhook = make_webhook(other.url)
        releasing = threading.Thread(target=lambda: (other.wait_for(calls=1), receiver.released.set()))
        releasing.start()
        assert webhooks.run(now=at(1)) == 105
        releasing.join()
    assert webhook.deliveries.get().last_status == 204


def test_what_was_told_is_noted_while_another_call_hangs(receiver, monkeypatch):
    """Or all that a round had told would be told again by the next server, should this one be killed."""
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 60)
    receiver.hangs = True
    make_webhook(receiver.url)
    with receiving() as other:
        webhook = make_webhook(other.url)
        noted: list[bool] = []

        def release_when_noted():
            receiver.wait_for(calls=1)
            deadline = time.monotonic() + 20
            while not (is_noted := webhook.deliveries.filter(last_status=204).exists()) and time.monotonic() < deadline:
                time.sleep(0.05)
            noted.append(is_noted)
            receiver.released.set()
            connection.close()

        releasing = threading.Thread(target=release_when_noted)
        releasing.start()
        webhooks.run(now=at(1))
        releasing.join()
    assert noted == [True]


@contextmanager
def silent_at(host: str, port: int) -> Iterator[None]:
    """Take no connection there, without a word: the queue of a listener who accepts none is full."""
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            caller = ends.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex((host, port))
        yield


def test_the_next_address_is_tried_when_one_says_nothing(receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 8)
    monkeypatch.setattr(addressing, "_look_up", lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
    webhook = make_webhook(receiver.url.replace("127.0.0.1", "two.example"))
    with silent_at("127.0.0.2", int(port_of(receiver))):
        webhooks.run(now=at(1))
    assert webhook.deliveries.get().last_status == 204
    assert len(receiver.calls) == 1


def test_what_is_no_answer_of_http_is_not_repeated(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"-ERR wrong password 'hunter2'\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        webhook = make_webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        webhooks.run(now=at(1))
        thread.join()
    assert webhook.deliveries.get().last_error == "the call failed: nothing came that is an answer of HTTP"


def test_where_a_redirect_leads_is_not_even_read(receiver):
    receiver.status, receiver.headers = 302, {"Location": "http://10.0.0.1:secret/"}
    webhook = make_webhook(receiver.url)
    webhooks.run(now=at(1))
    failed = webhook.deliveries.get()
    assert (failed.last_status, failed.last_error) == (302, "the receiver answered 302, and redirects are not followed")
