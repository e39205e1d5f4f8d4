"""The doorman of the sockets: turns away at once who is known to have too many, before anything is looked up."""

import logging

from django.db import InterfaceError, OperationalError

from sessions.live.asgi_types import Application, Receive, Scope, Send
from sessions.live.consumers.socket import Socket
from sessions.live.hub import NO_STORE, TOO_MANY, Hub

logger = logging.getLogger(__name__)


class Doorman:
    """ASGI middleware in front of whatever finds out who comes to a socket of this kind."""

    def __init__(self, application: Application, socket: type[Socket]) -> None:
        self._application = application
        self._socket = socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection through, or close it with the code that tells why."""
        hub, kind = Hub.present(), self._socket.kind
        name = hub.crowding.name_of(scope, kind=kind)
        if name is not None and not hub.has_room(name, kind=kind, limit=self._socket.limit):
            await _turn_away(receive, send, code=TOO_MANY)
            return
        try:
            await self._application(scope, receive, send)
        except (OperationalError, InterfaceError) as error:  # before a socket was there, which knows by itself
            logger.warning("Nobody is let in: the database does not answer: %s", error)
            await _turn_away(receive, send, code=NO_STORE)


async def _turn_away(receive: Receive, send: Send, *, code: int) -> None:
    """Accept and close: of a handshake that is refused a browser is told no code."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": code})
