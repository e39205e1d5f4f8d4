"""An agent as the demo plays it: a client of the public API that knows nothing of the server's inside."""

import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
TIMEOUT_SECONDS = 40.0
POLL_SECONDS = 5

Json = dict[str, Any]


class Stopped(Exception):
    """The demo is over; raised in an agent's thread where it would have waited or sent."""


class Stage:
    """What all agents of a demo share: its pace, and its end."""

    def __init__(self, *, speed: float = 1.0) -> None:
        """Begin; `speed` divides every pause."""
        self.speed = speed
        self._is_over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Say whether the demo has been ended."""
        return self._is_over.is_set()

    def end(self) -> None:
        """End the demo: every agent stops at its next step."""
        self._is_over.set()

    def pause(self, seconds: float) -> None:
        """Let `seconds` of the play pass. Raises `Stopped` when the demo ends meanwhile."""
        self.wait(seconds / self.speed)

    def wait(self, seconds: float) -> None:
        """Let real `seconds` pass. Raises `Stopped`."""
        if self._is_over.wait(seconds):
            raise Stopped


class Agent:
    """One session of one agent, spoken for over HTTP.

    Every message and event has an id of its own, so what is sent again after a broken connection is stored once.
    """

    def __init__(self, *, url: str, key: str, stage: Stage, facts: Json) -> None:
        """Create the session on the server; `facts` is the body of POST /sessions."""
        self.stage = stage
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
        self.turn_id: str | None = None
        # The id is the client's own, so that a repeated creation finds the session that the first one made.
        self.id = str(uuid.uuid4())
        self._send("POST", "sessions", {"id": self.id, **facts})

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def say(self, role: str, content: str | None, **fields: Any) -> None:
        """Store one message."""
        message = {"role": role, "content": content, "client_id": str(uuid.uuid4()), **fields}
        self._send("POST", f"sessions/{self.id}/messages", message)

    def tell(self, *events: Json) -> None:
        """Send engine events; they belong to the turn that runs."""
        batch = [
            {"event_id": str(uuid.uuid4()), **({"turn_id": self.turn_id} if self.turn_id else {}), **e} for e in events
        ]
        self._send("POST", f"sessions/{self.id}/events", {"events": batch})

    def beat(self, **fields: Any) -> None:
        """Send a heartbeat."""
        self._send("POST", f"sessions/{self.id}/heartbeat", fields)

    def begin_turn(self, prompt: str) -> None:
        """Store the prompt and start a turn."""
        self.say("user", prompt)
        self.start_turn()

    def start_turn(self) -> None:
        """Start a turn."""
        self.turn_id = str(uuid.uuid4())
        self.tell({"type": "turn_start"})

    def end_turn(self, kind: str = "complete", **reason: Any) -> None:
        """End the turn that runs, if one does."""
        if self.turn_id is None:
            return
        self.tell({"type": "turn_end", "reason": {"kind": kind, **reason}})
        self.turn_id = None

    def stream(self, text: str, *, kind: str = "text_delta", seconds_a_word: float = 0.06) -> None:
        """Send a text as it would come out of a model: a few words at a time."""
        words = text.split(" ")
        for start in range(0, len(words), 4):
            piece = " ".join(words[start : start + 4])
            self.tell({"type": kind, "text": piece if start + 4 >= len(words) else f"{piece} "})
            self.stage.pause(seconds_a_word * 4)

    def commands(self) -> Iterator[Json]:
        """Wait for the commands that people give, for ever: yield each and acknowledge it. Raises `Stopped`."""
        while True:
            answer = self._send(
                "GET", f"sessions/{self.id}/commands?wait={POLL_SECONDS if self.stage.speed <= 1 else 1}"
            )
            commands: list[Json] = answer.get("items") or answer.get("commands") or []
            for command in commands:
                yield command["command"]
                self._send("POST", f"commands/{command['id']}/ack", {"obeyed": True})
            if not commands:
                self.stage.wait(0.2)

    def _send(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send one request; again, with growing pauses, while the server is away or busy. Raises `Stopped`."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            self.stage.wait(0)
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in {429, 502, 503, 504}:
                answer.raise_for_status()
                found: Json = answer.json() if answer.content else {}
                return found
            self.stage.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def wait_until_up(url: str, *, process: "subprocess.Popen[bytes]", seconds: float = 30) -> bool:
    """Say whether the server at `url`, run by `process`, answers within `seconds`."""
    deadline = time.monotonic() + seconds
    with httpx.Client(timeout=2, trust_env=False) as http:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                http.get(f"{url}/healthz")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return True
    return False
