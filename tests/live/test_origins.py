"""Only a page of this very server may open a page's socket."""

import pytest

from sessions.live.origins import is_same_origin
from tests.factories import make_session, make_user
from tests.live.sockets import HOST, in_db, page, sign_in


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8765", "localhost:8765"),
        ("http://127.0.0.1:8765", "127.0.0.1:8765"),
        ("http://[::1]:8765", "[::1]:8765"),
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost:443"),
        ("https://localhost:443", "localhost"),
        ("http://LOCALHOST:8765", "localhost:8765"),
    ],
)
def test_the_same_origin_is_let_in(origin, host):
    assert is_same_origin(origin, host)


def test_behind_tls_a_page_without_it_is_not_ours(settings):
    settings.SECURE_SSL_REDIRECT = True
    assert is_same_origin("https://localhost", "localhost")
    assert not is_same_origin("http://localhost", "localhost")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", "localhost:8765"),
        ("null", "localhost:8765"),
        ("http://localhost:9", "localhost:8765"),
        ("http://localhost", "localhost:8765"),
        ("https://localhost", "localhost:80"),
        ("http://127.0.0.1:8765", "localhost:8765"),
        ("http://evil.example", "localhost:8765"),
        ("http://localhost.evil.example:8765", "localhost:8765"),
        ("file://localhost:8765", "localhost:8765"),
        ("http://localhost:8765", ""),
        ("http://localhost:99999", "localhost:8765"),
        ("http://localhost:port", "localhost:8765"),
        ("http://[::1", "[::1]"),
    ],
)
def test_any_other_origin_is_refused(origin, host):
    assert not is_same_origin(origin, host)


def test_a_host_that_is_not_ours_is_refused_even_when_both_headers_name_it():
    assert not is_same_origin("http://rebound.example:8765", "rebound.example:8765")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("origin", [None, "null", "http://localhost:9", "http://evil.example", f"https://{HOST}x"])
@pytest.mark.parametrize("place", ["board/", "sessions/{uuid}/"])
async def test_the_handshake_of_another_origins_page_is_refused(origin, place):
    user = await in_db(make_user)()
    session = await in_db(make_session)(user)
    peer = page(place.format(uuid=session.uuid), await sign_in(user), origin=origin)
    assert not await peer.is_accepted()


@pytest.mark.parametrize("path", ["", "nowhere/", "sessions/7/", "api/v1/", "api/v1/sessions/7/", "board"])
async def test_an_unknown_path_is_refused_without_a_traceback(path, caplog):
    assert not await page(path).is_accepted()
    assert not caplog.records
