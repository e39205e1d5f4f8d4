"""What a log line of Django's becomes."""

import logging
from io import StringIO

import pytest
from django.test import Client, RequestFactory

from koda_web import logs


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
