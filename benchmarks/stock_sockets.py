"""The two things beside which a thousand sockets are measured, under plain Daphne.

`bare`: the same sockets in a set, and a loop that sends to each; the limit of the server. `channels`: a consumer of
Channels for each socket, every one with its own subscription to the in-memory layer. Both send on what is posted.
"""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter
from django.conf import settings

settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})

_sends: set[Any] = set()


async def _read(receive: Any) -> str:
    """Return the whole body of a request."""
    body, is_more = b"", True
    while is_more:
        message = await receive()
        body, is_more = body + message.get("body", b""), message.get("more_body", False)
    return body.decode()


async def _created(send: Any) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _bare_socket(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    _sends.add(send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    _sends.discard(send)


async def _bare_post(_scope: Any, receive: Any, send: Any) -> None:
    text = await _read(receive)
    for watcher in list(_sends):
        await watcher({"type": "websocket.send", "text": text})
    await _created(send)


class Watcher(AsyncWebsocketConsumer):
    """One socket, one subscription."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("session", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("session", self.channel_name)

    async def event(self, message: dict[str, Any]) -> None:
        """Send on what the layer brings."""
        await self.send(text_data=message["text"])


async def _channels_post(_scope: Any, receive: Any, send: Any) -> None:
    text = await _read(receive)
    layer: InMemoryChannelLayer = channel_layers["default"]
    await layer.group_send("session", {"type": "event", "text": text})
    await _created(send)


bare = ProtocolTypeRouter({"websocket": _bare_socket, "http": _bare_post})
channels = ProtocolTypeRouter({"websocket": Watcher.as_asgi(), "http": _channels_post})
