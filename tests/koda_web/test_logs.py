"""What a log line of Django's becomes."""

import logging
from io import StringIO

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError
from django.test import Client, RequestFactory
from redis.exceptions import ConnectionError as RedisConnectionError
from twisted.logger import LogLevel, STDLibLogObserver

from koda_web import logs
from sessions.live import broadcast, doorman, keeper
from sessions.live.consumers import socket


@pytest.fixture(params=[True, False], ids=["json", "lines"])
def written(request, monkeypatch):
    """Return what is written to the log, in one of its two forms."""
    formatter = logs.configure(json=request.param, level="INFO")["formatters"]["koda"]
    output = StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger("django")
    monkeypatch.setattr(root, "propagate", False)
    root.addHandler(handler)
    yield output
    root.removeHandler(handler)


def test_a_foreign_host_is_one_short_line_of_the_log(written):
    answer = Client(raise_request_exception=False).get("/sign-in/", headers={"host": f"{'e' * 5000}.example"})
    assert answer.status_code == 400
    [line] = written.getvalue().splitlines()
    assert "Invalid HTTP_HOST header: 'eee" in line
    assert len(line) < 1000


def test_a_failure_of_our_own_says_where(written):
    from django.core.handlers.exception import response_for_exception

    try:
        1 / 0  # noqa: B018 - a failure
    except ZeroDivisionError as error:
        response_for_exception(RequestFactory().get("/"), error)
    assert "Traceback" in written.getvalue() or '"exc_type": "ZeroDivisionError"' in written.getvalue()


@pytest.fixture
def dampened():
    """Yield a logger that is dampened, what comes through, and what is to be done when the minute is over."""
    logger, later, through = logging.getLogger("tests.crowd"), [], []
    dampening = logs.Dampened(later=lambda _seconds, act: later.append(act))
    handler = logging.Handler()
    handler.emit = lambda record: through.append(record.getMessage())
    logger.addFilter(dampening)
    logger.addHandler(handler)
    yield logger, through, later
    logger.removeHandler(handler)
    logger.removeFilter(dampening)


def test_ten_thousand_equal_warnings_are_two_lines_a_minute(dampened):
    logger, through, later = dampened
    for number in range(10_000):
        logger.warning("dropping %s", number)
    logger.error("dropping %s", "another kind")
    assert through == ["dropping 0", "dropping another kind"]
    for act in later:
        act()
    assert through[2:] == ["dropping 0 - and 9,999 more such lines in 60 s"]
    logger.warning("dropping %s", "again")
    assert through[3:] == ["dropping again"]


def test_what_twisted_says_is_known_by_what_it_fills_in(dampened):
    logger, through, _ = dampened
    said = STDLibLogObserver(logger.name)
    for peer in range(3):
        said({"log_level": LogLevel.warn, "log_format": "dropping {peer}", "peer": peer})
    said({"log_level": LogLevel.warn, "log_format": "keeping {peer}", "peer": 1})
    assert through == ["dropping 0", "keeping 1"]


def test_a_traceback_is_never_left_out(dampened):
    logger, through, _ = dampened
    for _ in range(3):
        logger.error("it failed", exc_info=ValueError())
    assert len(through) == 3


def test_while_a_store_is_away_its_failures_are_told_once_a_minute_and_all_others_each_time():
    later, through = [], []
    logger, handler = logging.getLogger("tests.away"), logging.Handler()
    handler.emit = lambda record: through.append(record.getMessage())
    handler.addFilter(logs.StoreAway(later=lambda _seconds, act: later.append(act)))
    logger.addHandler(handler)
    try:
        for number in range(1000):
            for failure in (OperationalError(), RedisConnectionError(), DatabaseError()):
                logger.error("request %s failed", number, exc_info=failure)
        for failure in (IntegrityError(), ValueError()):
            for _ in range(2):
                logger.error("another failed", exc_info=failure)
        logger.error("no traceback")
        logger.error("no traceback")
        assert through == ["request 0 failed"] * 3 + ["another failed"] * 4 + ["no traceback"] * 2
        for act in later:
            act()
        assert through[9:] == ["request 0 failed - and 999 more such lines in 60 s"] * 3
    finally:
        logger.removeHandler(handler)


def test_what_the_server_writes_passes_there():
    handler = logs.configure(json=False, level="INFO")["handlers"]["stderr"]
    assert handler["filters"] == ["store_away"]


def test_what_may_fail_all_day_is_dampened():
    loggers = logs.configure(json=False, level="INFO")["loggers"]
    for module in (broadcast, doorman, keeper, socket):
        assert loggers[module.logger.name]["filters"] == ["dampened"]
