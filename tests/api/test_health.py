"""GET /healthz and /metrics."""

import json

import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from sessions.models import Lease
from tests.factories import make_events, make_session

pytestmark = pytest.mark.django_db


def test_a_server_whose_parts_are_there_is_well(client, settings):
    settings.KODA_REDIS_URL = None

    answer = client.get("/healthz")

    body = json.loads(answer.content)
    assert (answer.status_code, body["status"]) == (200, "ok")
    assert body["checks"] == {
        "database": {"ok": True, "kind": connection.vendor},
        "migrations": {"ok": True, "pending": 0},
        "channel_layer": {"ok": True, "kind": "memory"},
    }
    assert body["watchdog"] == {"last_run_at": None, "age_secs": None, "is_late": True}


def test_the_age_of_the_watchdog_is_told(client):
    Lease.objects.take("watchdog", owner="me", seconds=30)
    Lease.objects.touch("watchdog")

    watchdog = client.get("/healthz").json()["watchdog"]

    assert watchdog["age_secs"] < 10
    assert not watchdog["is_late"]


def test_a_migration_that_was_not_applied_makes_it_unavailable(client):
    [newest] = MigrationLoader(connection).graph.leaf_nodes("koda_sessions")
    MigrationRecorder(connection).record_unapplied(*newest)

    answer = client.get("/healthz")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["checks"]["migrations"]["pending"] >= 1


def test_a_database_that_does_not_answer_makes_it_unavailable_and_says_not_why(client, monkeypatch):
    asked = []

    def fail() -> None:
        asked.append("cursor")
        raise OperationalError("password of the house is wrong")

    monkeypatch.setattr(connection, "cursor", fail)

    answer = client.get("/healthz")

    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert (checks["database"], checks["migrations"]) == ({"ok": False}, {"ok": False})
    assert asked == ["cursor"], "nobody waits for it twice"
    assert b"password" not in answer.content


def test_a_redis_that_does_not_answer_makes_it_unavailable(client, settings):
    settings.KODA_REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["channel_layer"] == {"ok": False}


def test_without_a_token_set_metrics_answer_nobody(client, settings):
    settings.KODA_METRICS_TOKEN = None

    assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic the-token", "the-token"])
def test_metrics_need_the_token(client, settings, header):
    settings.KODA_METRICS_TOKEN = "the-token"

    answer = client.get("/metrics", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401


def test_metrics_tell_what_runs_and_what_waits(client, settings, owner, agent):
    settings.KODA_METRICS_TOKEN = "the-token"
    make_events(make_session(owner), {"type": "turn_start", "turn_id": "t"}, {"type": "approval_request", "id": "r"})
    agent.get("sessions")

    text = client.get("/metrics", headers={"Authorization": "Bearer the-token"}).content.decode()

    assert 'koda_sessions_running{liveness="live"} 1.0' in text
    assert 'koda_sessions_waiting{needs="approval"} 1.0' in text
    assert 'koda_sessions_waiting{needs="input"} 0.0' in text
    assert 'koda_api_requests_total{method="GET",status="200"}' in text
    assert "koda_watchdog_age_seconds NaN" in text


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_only_reading_makes_sense(path):
    answer = Client(enforce_csrf_checks=True).post(path)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
