"""Sockets for tests: the application's own stack, spoken to as a browser or a program would."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from koda_web.asgi import application
from sessions.live.hub import Hub

PATIENCE = 10  # seconds; for machines that do much else
HOST = "localhost:8765"

in_db = database_sync_to_async


class Peer:
    """The other end of one socket.

    Not Channels' own communicator: it keeps database connections from being closed, in whatever thread.
    """

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        path, _, query = path.partition("?")
        self.wire = ApplicationCommunicator(
            application,
            {
                "type": "websocket",
                "path": path,
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": headers,
                "subprotocols": [],
                "client": ["127.0.0.1", 1],
                "server": ["127.0.0.1", 2],
            },
        )

    async def is_accepted(self) -> bool:
        """Shake hands and say whether the server took ours."""
        await self.wire.send_input({"type": "websocket.connect"})
        return (await self.receive())["type"] == "websocket.accept"

    async def open(self) -> "Peer":
        assert await self.is_accepted()
        return self

    async def receive(self) -> dict[str, Any]:
        return await self.wire.receive_output(PATIENCE)

    async def raw(self) -> str:
        """Return the next text, pings left out."""
        while True:
            message = await self.receive()
            assert message["type"] == "websocket.send", message
            if not message["text"].startswith('{"type":"ping"'):
                return message["text"]

    async def frame(self) -> dict[str, Any]:
        return json.loads(await self.raw())

    async def events(self, *, until: int) -> list[dict[str, Any]]:
        """Return the event frames up to the first one with the seq `until`, answers to our own frames left out."""
        found: list[dict[str, Any]] = []
        while not found or found[-1]["seq"] < until:
            frame = await self.frame()
            if "seq" in frame:
                found.append(frame)
        return found

    async def batch(self) -> str:
        """Return the next batch of HTML and acknowledge it."""
        html = await self.raw()
        assert html.startswith("<"), html
        await self.ack(cursor_of(html))
        return html

    async def batches(self, *, until: Callable[[str], bool]) -> str:
        """Return all batches up to the one with which `until` is true of what came."""
        html = ""
        while not until(html):
            html += await self.batch()
        return html

    async def ack(self, number: int) -> None:
        await self.say({"ack": number})

    async def say(self, frame: Any) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        await self.wire.send_input({"type": "websocket.receive", "text": text})

    async def close_code(self) -> int:
        """Return the code with which the server closes, whatever comes before."""
        while True:
            message = await self.receive()
            if message["type"] == "websocket.close":
                return int(message["code"])

    async def is_silent(self) -> bool:
        """Say whether nothing but signs of life has come, once the server has nothing left to do."""
        await settle()
        texts = []
        while not self.wire.output_queue.empty():
            texts.append((await self.receive()).get("text", "close"))
        return all(text.startswith('{"type":"ping"') for text in texts)

    async def leave(self) -> None:
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wire.wait(PATIENCE)


def program(path: str, key: str | None = None) -> Peer:
    headers = [(b"host", HOST.encode())]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    return Peer(f"/ws/api/v1/{path}", headers)


def page(path: str, cookie: str | None = None, *, origin: str | None = f"http://{HOST}", host: str = HOST) -> Peer:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if cookie is not None:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    return Peer(f"/ws/{path}", headers)


@in_db
def sign_in(user: User) -> str:
    """Return the cookie of a browser in which `user` has signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def cursor_of(html: str) -> int:
    return int(re.search(r'<i id="cursor" hidden data-seq="(\d+)"', html)[1])


def messages_in(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<article class="message" id="message-(\d+)"', html)]


async def settle() -> None:
    """Wait until the hub has delivered what it has been told of: hints, the board's flush and the readers."""
    from sessions.live import threads
    from sessions.live.board import FLUSH_SECONDS
    from sessions.live.broadcast import COALESCE_SECONDS

    for _ in range(3):
        await asyncio.sleep(COALESCE_SECONDS + FLUSH_SECONDS / 2)
        for _ in range(threads.READERS * 2):
            await threads.reading(lambda: None)


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so; fail when it is not in time."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def hub() -> Hub:
    return Hub.present()
