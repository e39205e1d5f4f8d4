"""Webhooks: real calls to a real receiver that fails, hangs and returns; signed, guarded, once."""

import base64
import contextlib
import hashlib
import hmac
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from sessions import alerts
from sessions.live import addressing, webhooks
from sessions.models import Delivery, Webhook
from tests.factories import make_events, make_session, make_user
from tests.receiver import receiving
from tests.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _private_is_allowed(settings):
    """The receivers stand on this machine."""
    settings.KODA_WEBHOOK_PRIVATE = True


@pytest.fixture
def receiver():
    with receiving() as running:
        yield running


@pytest.fixture
def owner():
    return make_user("anna")


@pytest.fixture
def webhook(owner, receiver) -> Webhook:
    return Webhook.objects.register(owner=owner, url=receiver.url)


def ask(owner, *, now=T0, **facts):
    """Return a session that waits for an approval."""
    session = make_session(owner, **facts)
    make_events(
        session,
        {"type": "turn_start", "turn_id": "t"},
        {"type": "approval_request", "id": "a", "tool_name": "Bash", "detail": "rm -rf /", "turn_id": "t"},
        now=now,
    )
    return session


def only_delivery() -> Delivery:
    return Delivery.objects.get()


# --- What is sent --------------------------------------------------------------------------------------------


def test_a_session_that_waits_for_a_person_is_told_at_once_in_a_small_object(owner, webhook, receiver, settings):
    settings.KODA_PUBLIC_URL = "https://koda.example.org"
    session = ask(owner, title="Tidy", project_root="/srv/shop", agent_name="koda")
    assert webhooks.run(now=at(1)) == 1
    (call,) = receiver.calls
    assert (call.path, call.headers["content-type"]) == ("/hook", "application/json")
    assert call.told == {
        "id": str(only_delivery().uuid), "kind": "needs", "session": str(session.uuid), "title": "Tidy",
        "agent": "koda", "project": "shop", "source": "laptop", "liveness": "live", "needs": "approval",
        "reason": "waits for an approval", "since": T0.isoformat(), "url": f"https://koda.example.org/sessions/{session.uuid}/",
    }  # fmt: skip
    assert "rm -rf" not in call.body.decode()
    done = only_delivery()
    assert (done.delivered_at, done.last_status, done.attempts) == (at(1), 204, 1)
    assert webhooks.run(now=at(2)) == 0


def test_without_a_public_url_there_is_no_link(owner, webhook, receiver, settings):
    settings.KODA_PUBLIC_URL = None
    ask(owner)
    webhooks.run(now=at(1))
    assert receiver.told[0]["url"] is None


def test_each_call_is_signed_over_id_time_and_body(owner, webhook, receiver):
    ask(owner, title="Grüße 🎉")
    webhooks.run(now=at(1))
    (call,) = receiver.calls
    message_id, timestamp = call.headers["webhook-id"], call.headers["webhook-timestamp"]
    assert message_id == call.told["id"]
    assert int(timestamp) == int(at(1).timestamp())
    key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
    expected = hmac.new(key, f"{message_id}.{timestamp}.".encode() + call.body, hashlib.sha256).digest()
    version, _, signature = call.headers["webhook-signature"].partition(",")
    assert (version, base64.b64decode(signature)) == ("v1", expected)


def test_an_incident_is_one_call(owner, webhook, receiver, settings):
    settings.KODA_PUBLIC_URL = "https://koda.example.org"
    from sessions import liveness, protocol

    for number in range(10):
        session = make_session(owner, title=f"s{number}")
        make_events(session, {"type": "turn_start", "turn_id": "t"}, now=at(number))
        protocol.heartbeat(session.pk, interval_seconds=30, now=at(number))
    for second in range(80, 200, 3):
        liveness.watch(now=at(second))
        webhooks.run(now=at(second))
    (told,) = receiver.told
    assert (told["kind"], told["count"], told["source"]) == ("silent", 10, "laptop")
    assert all(one["url"].startswith("https://koda.example.org/sessions/") for one in told["sessions"])


# --- A receiver that fails, hangs and returns ----------------------------------------------------------------


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_until_it_returns(owner, webhook, receiver):
    ask(owner)
    receiver.status = 503
    webhooks.run(now=at(1))
    waiting = only_delivery()
    assert (waiting.last_status, waiting.last_error) == (503, "the receiver answered 503")
    assert at(6) <= waiting.next_attempt_at <= at(11)
    assert webhooks.run(now=at(2)) == 0
    receiver.status = 200
    assert webhooks.run(now=waiting.next_attempt_at) == 1
    first, second = receiver.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert only_delivery().delivered_at is not None


def test_a_receiver_that_hangs_costs_five_seconds_and_holds_up_nobody_else(owner, webhook, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.5)
    receiver.hangs = True
    with receiving() as other:
        Webhook.objects.register(owner=owner, url=other.url)
        ask(owner)
        began = time.monotonic()
        assert webhooks.run(now=at(1)) == 2
        assert time.monotonic() - began < 5
        assert len(other.calls) == 1
    hung = webhook.deliveries.get()
    assert (hung.delivered_at, hung.last_status, hung.last_error) == (None, None, "no answer within 0.5 seconds")
    receiver.hangs = False
    webhooks.run(now=hung.next_attempt_at)
    hung.refresh_from_db()
    assert hung.delivered_at is not None


def test_a_receiver_that_drips_its_answer_is_cut_off(owner, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends = threading.Event()

        def drip():
            with contextlib.suppress(OSError), listener.accept()[0] as client:
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                while not ends.wait(0.05):
                    client.sendall(b"X-Slow: yes\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        webhook = Webhook.objects.register(owner=owner, url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        webhook.try_out(now=T0)
        webhooks.run(now=at(1))
        ends.set()
        thread.join()
    assert only_delivery().last_error == "no answer within 0.5 seconds"


def test_an_answer_without_end_is_not_read(owner, webhook, receiver):
    receiver.status, receiver.endless = 200, True
    webhook.try_out(now=T0)
    began = time.monotonic()
    webhooks.run(now=at(1))
    assert time.monotonic() - began < 4
    assert only_delivery().last_status == 200


def test_one_that_is_not_there_is_a_failure_in_words(owner):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    Webhook.objects.register(owner=owner, url=url).try_out(now=T0)
    webhooks.run(now=at(1))
    assert only_delivery().last_error.startswith("the call failed")


def test_a_redirect_is_not_followed(owner, webhook, receiver):
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 302, {"Location": elsewhere.url}
        webhook.try_out(now=T0)
        webhooks.run(now=at(1))
        assert elsewhere.calls == []
    failed = only_delivery()
    assert (failed.last_status, failed.delivered_at) == (302, None)
    assert failed.last_error == "the receiver answered 302, and redirects are not followed"


def test_no_proxy_of_the_environment_is_used(owner, webhook, receiver, monkeypatch):
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        webhook.try_out(now=T0)
        webhooks.run(now=at(1))
        assert (len(proxy.calls), len(receiver.calls)) == (0, 1)


# --- Where it may not go -------------------------------------------------------------------------------------


def test_a_private_address_is_not_called_even_when_it_was_once_allowed(owner, webhook, receiver, settings):
    settings.KODA_WEBHOOK_PRIVATE = False
    webhook.try_out(now=T0)
    webhooks.run(now=at(1))
    assert receiver.calls == []
    assert only_delivery().last_error == "127.0.0.1 leads to a private address"


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1", "0x7f.1"])
def test_nor_by_a_name_or_a_number_that_leads_there(owner, receiver, settings, host):
    settings.KODA_WEBHOOK_PRIVATE = False
    url = receiver.url.replace("127.0.0.1", host)
    Webhook.objects.register(owner=owner, url=url).try_out(now=T0)
    webhooks.run(now=at(1))
    assert receiver.calls == []
    assert only_delivery().last_error == f"{host} leads to a private address"


def resolve_to(monkeypatch, *addresses):
    """Let a name of the open network lead where its owner wants; no test may ask the real one."""

    def look_up(host, port):
        asked.append(host)
        return list(addresses)

    asked: list[str] = []
    monkeypatch.setattr(addressing, "_look_up", look_up)
    return asked


def test_one_private_address_among_public_ones_forbids_all(owner, receiver, settings, monkeypatch):
    settings.KODA_WEBHOOK_PRIVATE = False
    resolve_to(monkeypatch, "1.1.1.1", "127.0.0.1")
    Webhook.objects.register(owner=owner, url=receiver.url.replace("127.0.0.1", "example.org")).try_out(now=T0)
    webhooks.run(now=at(1))
    assert receiver.calls == []
    assert only_delivery().last_error == "example.org leads to a private address"


def test_the_name_is_asked_once_and_the_call_goes_to_what_was_checked_under_its_own_name(owner, receiver, monkeypatch):
    asked = resolve_to(monkeypatch, "127.0.0.1")
    url = receiver.url.replace("127.0.0.1", "hooks.example.org")
    Webhook.objects.register(owner=owner, url=url).try_out(now=T0)
    webhooks.run(now=at(1))
    (call,) = receiver.calls
    assert asked == ["hooks.example.org"]
    assert call.headers["host"] == url.removeprefix("http://").removesuffix("/hook")
    assert only_delivery().last_status == 204


def test_the_next_address_is_tried_when_one_does_not_listen(owner, receiver, monkeypatch):
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    Webhook.objects.register(owner=owner, url=receiver.url.replace("127.0.0.1", "example.org")).try_out(now=T0)
    webhooks.run(now=at(1))
    assert len(receiver.calls) == 1


def test_tls_asks_for_the_name_and_not_for_the_address(owner, monkeypatch):
    """A ClientHello is read off the wire: it names the host; a receiver without a certificate is a failure."""
    resolve_to(monkeypatch, "127.0.0.1")
    heard: list[str | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = lambda _socket, name, _context: heard.append(name)

        def shake():
            with contextlib.suppress(OSError), listener.accept()[0] as client:
                context.wrap_socket(client, server_side=True)

        thread = threading.Thread(target=shake)
        thread.start()
        url = f"https://hooks.example.org:{listener.getsockname()[1]}/"
        Webhook.objects.register(owner=owner, url=url).try_out(now=T0)
        webhooks.run(now=at(1))
        thread.join()
    assert heard == ["hooks.example.org"]
    assert only_delivery().last_error.startswith("the call failed")


# --- Nothing is lost, nothing is doubled ---------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_server_that_dies_between_writing_and_sending_loses_nothing(owner, webhook, receiver, monkeypatch):
    ask(owner)

    def die(*_args, **_facts):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(webhooks, "_send_all", die)
        with pytest.raises(Killed):
            webhooks.run(now=at(1))
    assert receiver.calls == []
    assert webhooks.run(now=at(30)) == 0  # its claim still runs
    assert webhooks.run(now=at(62)) == 1
    assert len(receiver.calls) == 1


def test_a_server_that_dies_while_it_writes_leaves_the_alarm_for_the_next(owner, webhook, receiver, monkeypatch):
    ask(owner)

    def die(*_args, **_facts):
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(alerts, "_body_of", die)
        with pytest.raises(Killed):
            webhooks.run(now=at(1))
    assert not Delivery.objects.exists()
    webhooks.run(now=at(2))
    assert len(receiver.calls) == 1


def test_servers_that_send_at_once_send_each_delivery_once(owner, webhook, receiver):
    sessions = [ask(owner) for _ in range(8)]

    def serve():
        for second in range(1, 8):
            webhooks.run(now=at(second))

    in_threads(serve, count=4)
    assert sorted(told["session"] for told in receiver.told) == sorted(str(session.uuid) for session in sessions)
    assert Delivery.objects.waiting().count() == 0
