"""The id of a request reaches the log and the answer, and carries nothing else."""

import pytest
import structlog

from koda_web.request_ids import RequestIds


async def ask(*headers: tuple[bytes, bytes]) -> tuple[str, str]:
    """Return the id in the answer's header and the one in the log's context."""
    seen = {}

    async def application(scope, receive, send):
        seen.update(structlog.contextvars.get_contextvars())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-other", b"kept")]})

    sent = []

    async def send(message):
        sent.append(message)

    await RequestIds(application)({"type": "http", "headers": list(headers)}, None, send)
    answered = dict(sent[0]["headers"])
    assert answered[b"x-other"] == b"kept"
    assert "request_id" not in structlog.contextvars.get_contextvars()
    return answered[b"x-request-id"].decode(), seen["request_id"]


async def test_a_given_id_is_kept():
    assert await ask((b"x-request-id", b"from-the-proxy.1")) == ("from-the-proxy.1", "from-the-proxy.1")


@pytest.mark.parametrize("given", [b"", b"short", b"x" * 65, b"two lines\nlong", b"\xff" * 10])
async def test_an_id_that_could_forge_a_line_is_replaced(given):
    answered, logged = await ask((b"x-request-id", given))
    assert answered == logged
    assert len(answered) == 32


async def test_each_request_has_an_id_of_its_own():
    assert await ask() != await ask()
