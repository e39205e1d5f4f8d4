"""One id a request: in every line of the log that belongs to it, and in the answer."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from uuid_utils import uuid7

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADER = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """An ASGI application around another one.

    A client or proxy may give the id in X-Request-ID; anything but 8 to 64 letters, digits, dots, dashes and
    underscores is replaced, so that nobody writes into the log what he likes.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bind the id to the log's context, which threads of the request share, and run the application."""
        given = dict(scope.get("headers") or []).get(HEADER, b"")
        name = given if _ACCEPTABLE.fullmatch(given) else uuid7().hex.encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (HEADER, name)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=name.decode()):
            await self._application(scope, receive, send_with_id)
