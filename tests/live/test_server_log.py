import logging

import pytest

from sessions.live.server import log_action


def finish(path, *, seconds=0.1, status=200):
    log_action("http", "complete", {"method": "GET", "path": path, "status": status, "time_taken": seconds})


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, logger="sessions.live.server")
    return caplog.records


def test_a_failure_warns_a_slow_answer_informs_and_the_rest_is_for_debugging(lines):
    finish("/a", status=503)
    finish("/b", seconds=1.5)
    finish("/c")
    assert [line.levelname for line in lines] == ["WARNING", "INFO", "DEBUG"]


def test_who_asked_to_wait_was_not_slow(lines):
    finish("/api/v1/sessions/7/commands?wait=25", seconds=25)
    assert [line.levelname for line in lines] == ["DEBUG"]


def test_what_people_search_for_is_not_logged(lines):
    finish("/search/?q=a+secret", seconds=2)
    assert "secret" not in lines[0].getMessage()


def test_only_finished_requests_are_logged(lines):
    log_action("websocket", "connected", {})
    log_action("http", "started", {})
    assert not lines
