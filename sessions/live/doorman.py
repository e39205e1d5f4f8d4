"""The doorman of the sockets: turns away at once who is known to have too many, before anything is looked up."""

from sessions.live.asgi_types import Application, Receive, Scope, Send
from sessions.live.consumers.socket import Socket
from sessions.live.hub import TOO_MANY, Hub


class Doorman:
    """ASGI middleware in front of whatever finds out who comes to a socket of this kind."""

    def __init__(self, application: Application, socket: type[Socket]) -> None:
        self._application = application
        self._socket = socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the connection through, or close it with the code that tells why."""
        hub, kind = Hub.present(), self._socket.kind
        name = hub.crowding.name_of(scope, kind=kind)
        if name is None or hub.has_room(name, kind=kind, limit=self._socket.limit):
            await self._application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": TOO_MANY})
