import logging

import pytest

from sessions.live.server import log_action


def finish(path, *, seconds=0.1, status=200):
    log_action("http", "complete", {"method": "GET", "path": path, "status": status, "time_taken": seconds})


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, logger="sessions.live.server")
    return caplog


def test_a_failure_warns_a_slow_answer_informs_and_the_rest_is_for_debugging(log):
    finish("/a", status=503)
    finish("/b", seconds=1.5)
    finish("/c")
    assert [line.levelname for line in log.records] == ["WARNING", "INFO", "DEBUG"]


def test_who_asked_to_wait_was_not_slow(log):
    finish("/api/v1/sessions/7/commands?wait=25", seconds=25)
    assert [line.levelname for line in log.records] == ["DEBUG"]


def test_what_people_search_for_is_not_logged(log):
    finish("/search/?q=a+secret", seconds=2)
    assert "/search/" in log.text
    assert "secret" not in log.text


def test_only_finished_requests_are_logged(log):
    log_action("websocket", "connected", {})
    log_action("http", "started", {})
    assert not log.records
