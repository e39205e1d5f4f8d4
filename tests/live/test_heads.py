"""Heads of requests as HTTP allows them, and what is answered to others."""

import pytest

from tests.live.processes import connect, get, read, tiny


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        ("GET /api/v1/sessions HTTP/1.1\r\nno header", "application/problem+json"),
        ("GET /v1/sessions HTTP/1.1\r\nContent-Length: x", "application/json"),
        ("GET / HTTP/9.9", "text/plain; charset=utf-8"),
        ("garbage", "text/plain; charset=utf-8"),
    ],
    ids=["API", "Stakpak", "page", "no HTTP"],
)
def test_what_is_no_http_is_answered_in_the_form_of_its_door(first, kind):
    with tiny() as server, connect(server.port) as connection:
        connection.sendall(f"{first}\r\n\r\n".encode())
        answer = read(connection)
    assert (answer.status, answer.headers["content-type"], answer.headers["connection"]) == (400, kind, "close")
    assert b"invalid request" in answer.body


@pytest.mark.parametrize(
    ("target", "query"),
    [("http://koda.example/state?a=b", "a=b"), ("HTTP://koda.example//state", ""), ("https://koda.example/state?", "")],
)
def test_a_target_that_names_its_host_is_that_path_of_that_host(target, query):
    with tiny() as server:
        facts = get(server.port, target).json()
        assert (facts["host"], facts["query"]) == ("koda.example", query)
