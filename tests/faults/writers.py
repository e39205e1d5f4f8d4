"""Agents that do not give up: each message is sent until a server has said that it is stored."""

import itertools
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.conftest import Server

RETRY_SECONDS = 0.02
PATIENCE_SECONDS = 60
REFUSALS = frozenset({503})
"""What a server in trouble may answer, and the shipped proxy of one that broke off; each says when to come back."""


@dataclass
class Told:
    """What servers said to one agent."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[httpx.Response] = field(default_factory=list)
    broken_off: int = 0


class Writer(threading.Thread):
    """An agent that sends numbered messages, one a request, to the first of its servers that answers."""

    def __init__(
        self, servers: Sequence[Server], key: str, *, title: str = "Writer", count: int | None = None,
        proxy: tuple[str, ssl.SSLContext] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(daemon=True)
        self._urls = [proxy[0]] if proxy else [server.url for server in servers]
        trusted = proxy[1] if proxy else True
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(headers=headers, timeout=20, trust_env=False, verify=trusted)
        self._numbers = itertools.count() if count is None else range(count)
        self._has_ended = threading.Event()
        self.told = Told()
        self.failure: BaseException | None = None
        self.session = self._send("sessions", {"agent_name": "koda", "title": title}).json()["id"]

    def __enter__(self) -> Self:
        """Begin to write."""
        self.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        """End, whatever came of it."""
        self._has_ended.set()
        self.join(PATIENCE_SECONDS)
        self.client.close()

    def run(self) -> None:
        try:
            for number in self._numbers:
                if self._has_ended.is_set():
                    return
                self.append(f"{self.session}-{number}")
        except BaseException as error:  # noqa: BLE001 - `end` raises it where the test sees it
            self.failure = error

    def end(self) -> Told:
        """Stop after the message that is under way; return what was told."""
        self._has_ended.set()
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive(), "the last message was never taken"
        if self.failure is not None:
            raise self.failure
        return self.told

    def wait_until(self, count: int) -> None:
        """Wait until `count` messages are acknowledged."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.told.acknowledged) < count:
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline, self.told
            time.sleep(0.01)

    def write_more(self, count: int) -> None:
        """Wait until `count` more than now are acknowledged."""
        self.wait_until(len(self.told.acknowledged) + count)

    def stored(self, url: str | None = None) -> list[str]:
        """Return the ids of the session's messages as a server tells them, in order."""
        found: list[str] = []
        cursor = ""
        while True:
            page = self.client.get(f"{url or self._urls[0]}/api/v1/sessions/{self.session}/messages?limit=500{cursor}")
            page.raise_for_status()
            found += [item["client_id"] for item in page.json()["items"]]
            if page.json()["next_cursor"] is None:
                return found
            cursor = f"&cursor={page.json()['next_cursor']}"

    def append(self, client_id: str) -> None:
        """Send one message until it is acknowledged."""
        body = {"role": "user", "content": f"says {client_id}", "client_id": client_id}
        self._send(f"sessions/{self.session}/messages", body)
        self.told.acknowledged.append(client_id)

    def _send(self, path: str, body: dict) -> httpx.Response:
        """Send to one server after the other until one has stored it."""
        for url in itertools.cycle(self._urls):
            try:
                answer = self.client.post(f"{url}/api/v1/{path}", json=body)
            except httpx.TransportError:
                self.told.broken_off += 1
            else:
                if answer.status_code == 201:
                    return answer
                assert answer.status_code in REFUSALS, (answer.status_code, answer.text)
                self.told.refused.append(answer)
            time.sleep(RETRY_SECONDS)
        raise AssertionError  # a cycle has no end
