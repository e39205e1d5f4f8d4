"""What is refused before anybody looks at what it says: the same on every path, and always problem details."""

import io
import json
import logging
import socket
import sys

import pytest
from django.db import OperationalError
from django.test import Client

from koda_web import logs
from sessions import rates
from sessions.models import Message, Session
from sessions.respite import Respite
from tests.api.calling import Agent, agent_of
from tests.factories import make_key, make_session, make_user

pytestmark = pytest.mark.django_db
HELLO = {"role": "user", "content": "hello"}


@pytest.fixture
def path(owner):
    return f"sessions/{make_session(owner).uuid}/messages"


@pytest.mark.parametrize(
    "raw",
    [
        "", "{", "role=user", "{'role': 'user'}", '{"role": "user",}', "\ufeff{}", b"\xff\xfe",
        b'{"role": "\xff"}', "[" * 50_000,
        '{"role": "user", "x": NaN}', '{"role": "user", "x": -Infinity}', '{"role": "user", "x": 1e999}',
        '{"role": "user", "x": ' + "9" * 5000 + "}",
        '{"role": "user", "tool_calls": ' + "[" * 101 + "]" * 101 + "}",
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_stores_nothing(agent, path, raw):
    answer = agent.post(path, raw=raw)

    assert (answer.status, answer["code"]) == (400 if raw else 422, "invalid_request")
    assert not Message.objects.exists()


def test_a_body_as_deep_as_may_be_reads_back(agent, path):
    deep = json.loads("[" * 98 + "]" * 98)

    assert agent.post(path, {"role": "user", "tool_calls": deep}).status == 201
    assert agent.get(path)["items"][0]["tool_calls"] == deep


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "text/json"]
)
def test_a_body_of_another_type_is_refused_by_its_type(agent, path, kind):
    answer = agent.post(path, HELLO, Content_Type=kind)

    assert (answer.status, answer["code"]) == (415, "invalid_request")
    assert kind in answer["detail"]
    assert not Message.objects.exists()


def test_a_packed_body_is_refused(agent, path):
    assert agent.post(path, HELLO, Content_Encoding="gzip").status == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.koda+json", ""])
def test_json_may_be_called_what_it_is(agent, path, kind):
    assert agent.post(path, HELLO, Content_Type=kind).status == 201


def test_a_body_over_the_limit_is_too_large(agent, path, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    answer = agent.post(path, {"role": "user", "content": "x" * 1000})

    assert (answer.status, answer["code"]) == (413, "too_large")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "unknown",
    ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/sessions", "/api/v1/sessions/", "/api/v1/nothing", "/api/x.html",
     "/api/zeroclaw/", "/api/zeroclaw/nothing"],
)  # fmt: skip
def test_a_path_at_which_there_is_nothing_is_a_problem_and_never_a_redirect(agent, unknown):
    for method in ("GET", "POST", "DELETE"):
        answer = agent.call(method, unknown, raw="not even JSON")

        assert (answer.status, answer["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_a_path_does_not_know_is_told_which_it_knows(agent, method):
    answer = agent.call(method, "sessions")

    assert (answer.status, answer["code"]) == (405, "invalid_request")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_a_foreign_host_name_is_a_problem_too(agent):
    answer = agent.get("sessions", Host="evil.example")

    assert (answer.status, answer["code"]) == (400, "invalid_request")


def test_a_locked_database_asks_to_come_again(agent, monkeypatch):
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(Session.objects, "start", fail)

    answer = agent.post("sessions", {"agent_name": "koda"})

    assert (answer.status, answer["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "locked" not in answer["detail"]


def test_what_nobody_foresaw_is_logged_and_tells_nothing(agent, monkeypatch, caplog):
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(Session.objects, "start", fail)

    answer = agent.post("sessions", {"agent_name": "koda"})

    assert (answer.status, answer["code"]) == (500, "internal")
    assert "secret" not in str(answer.body)
    assert "POST /api/v1/sessions failed" in caplog.text


@pytest.mark.parametrize("is_json", [True, False])
def test_a_log_line_of_a_failure_holds_no_values(is_json):
    def fail(plain: str) -> None:
        raise RuntimeError("out of luck")

    output = io.StringIO()
    formatter = logs.configure(json=is_json, level="info")["formatters"]["koda"]
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter.pop("()")(**formatter))
    try:
        fail("koda_a-key-of-somebody")
    except RuntimeError:
        handler.handle(logging.LogRecord("x", logging.ERROR, "", 0, "it failed", None, sys.exc_info()))

    assert "out of luck" in output.getvalue()
    assert "koda_a-key-of-somebody" not in output.getvalue().replace('fail("koda_a-key-of-somebody")', "")


def test_an_error_that_django_answers_has_the_headers_of_every_answer(agent):
    headers = agent.call("DELETE", "sessions").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["Content-Length"]) > 50


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWRhOnNlY3JldA==", "Bearer koda_wrong", "Bearer \xff", "Bearer a b", "koda_x"],
)  # fmt: skip
def test_who_has_no_key_that_we_know_is_told_how_to_send_one(header):
    answer = Agent(Authorization=header).get("sessions")

    assert (answer.status, answer["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_word_bearer_may_be_written_anyhow(agent):
    assert Agent(Authorization=f"bearer {agent.key.plain}").get("sessions").status == 200


def test_a_wrong_key_is_wrong_in_a_browser_that_has_signed_in_too(owner):
    client = Client()
    client.force_login(owner)

    assert client.get("/api/v1/sessions").status_code == 200
    assert client.get("/api/v1/sessions", headers={"Authorization": "Bearer koda_wrong"}).status_code == 401


def test_a_browser_that_has_signed_in_writes_with_its_csrf_token_only(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    token = "x" * 32
    client.cookies["koda_csrf"] = token
    send = {"data": '{"agent_name": "koda"}', "content_type": "application/json"}

    refused = client.post("/api/v1/sessions", **send)
    accepted = client.post("/api/v1/sessions", **send, headers={"X-CSRFToken": token})

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert accepted.status_code == 201
    assert accepted.json()["source"] == "web"
    assert client.get("/api/v1/sessions").status_code == 200


def test_a_key_that_comes_too_often_is_told_when_to_come_again(owner, settings, time_machine):
    settings.KODA_RATE_LIMIT = 3
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    agent, other = agent_of(owner), agent_of(owner)

    statuses = [agent.get("sessions").status for _ in range(5)]
    refused = agent.get("sessions")

    assert statuses == [200, 200, 200, 429, 429]
    assert (refused["code"], refused.headers["Retry-After"]) == ("rate_limited", "10")
    assert other.get("sessions").status == 200
    time_machine.move_to("2026-03-15T09:27:00Z", tick=False)
    assert agent.get("sessions").status == 200


def test_a_redis_that_hangs_delays_a_request_and_refuses_none(agent, settings, monkeypatch, caplog):
    monkeypatch.setattr(rates, "_respite", Respite(seconds=10))
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # It takes connections and says nothing.
        place = f"redis://127.0.0.1:{hanging.getsockname()[1]}"
        redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": place}
        settings.KODA_REDIS_URL = place
        settings.CACHES = {"default": {**redis, "OPTIONS": dict.fromkeys(settings.REDIS_PATIENCE, 0.1)}}

        assert [agent.get("sessions").status for _ in range(3)] == [200] * 3
        waited = [record for record in caplog.records if "not counted" in record.message]
        assert len(waited) == 1  # the others do not wait again

        monkeypatch.setattr(rates, "_respite", Respite(seconds=10))
        assert agent.get("sessions").status == 200
        assert len([record for record in caplog.records if "not counted" in record.message]) == 2


def test_without_a_limit_nobody_is_counted(agent, settings):
    settings.KODA_RATE_LIMIT = None

    assert {agent.get("sessions").status for _ in range(20)} == {200}


def test_bad_keys_are_limited_by_address_and_good_ones_beside_them_are_not(owner, time_machine):
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    wrong = Agent(plain="koda_wrong")

    statuses = [wrong.get("sessions").status for _ in range(62)]

    assert statuses == [401] * 60 + [429] * 2
    assert agent_of(owner).get("sessions").status == 200


def test_an_address_is_believed_from_ones_own_proxies_only(settings, time_machine):
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    wrong = Agent(plain="koda_wrong")
    for n in range(60):
        wrong.get("sessions", X_Forwarded_For=f"10.0.0.{n}")
    assert wrong.get("sessions", X_Forwarded_For="10.9.9.9").status == 429

    settings.KODA_PROXY_COUNT = 1
    assert wrong.get("sessions", X_Forwarded_For="1.2.3.4, 10.9.9.9").status == 401


def test_the_last_use_of_a_key_is_noted_at_most_once_a_minute(owner, time_machine):
    time_machine.move_to("2026-03-15T09:26:50Z", tick=False)
    agent = agent_of(owner)
    agent.get("sessions")
    record = agent.key.record
    record.refresh_from_db()
    first = record.last_used_at

    time_machine.move_to("2026-03-15T09:27:40Z", tick=False)
    agent.get("sessions")
    record.refresh_from_db()
    assert record.last_used_at == first

    time_machine.move_to("2026-03-15T09:27:51Z", tick=False)
    agent.get("sessions")
    record.refresh_from_db()
    assert record.last_used_at > first


def test_an_answer_is_kept_by_no_cache(agent):
    assert agent.get("sessions").headers["Cache-Control"] == "no-store"


def test_a_key_of_somebody_who_may_no_longer_sign_in_is_refused():
    user = make_user()
    agent = Agent(make_key(user))
    user.is_active = False
    user.save()

    assert agent.get("sessions").status == 401


@pytest.mark.parametrize("path", ["/api/v1/sessions", "/v1/account", "/api/zeroclaw/sessions"])
def test_an_error_that_was_packed_as_a_page_is_not_told_to_be(path):
    answer = Client().get(path, headers={"Host": "unknown.example", "Accept-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "Content-Encoding" not in answer
    assert json.loads(answer.content)
