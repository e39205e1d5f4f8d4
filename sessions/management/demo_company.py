"""Everybody on stage at once: a thread an agent, ended together."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import httpx

from sessions.management.demo_agent import FIRST_PAUSE_SECONDS, Agent, Json, Stage, Stopped
from sessions.management.demo_replay import Recording, facts_of, replay
from sessions.management.demo_scene import Play, Scene

REPLAYED_AT_ONCE = 12
ENTRANCE_SECONDS = 0.8


@dataclass(slots=True)
class Birth:
    """The session that a recording gets on the server, once it has come."""

    session_id: str | None = None
    has_come: threading.Event = field(default_factory=threading.Event)


class Company:
    """The agents of one demo, speaking to one server."""

    def __init__(self, *, url: str, key: str, stage: Stage, is_short: bool) -> None:
        """Gather nobody yet; with `is_short` each plays one round."""
        self.failures: list[str] = []
        self.session_count = 0
        self._url = url
        self._key = key
        self._stage = stage
        self._is_short = is_short
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def is_playing(self) -> bool:
        """Say whether anybody is still on stage."""
        return any(thread.is_alive() for thread in self._threads)

    def perform(self, plays: Iterable[Play]) -> None:
        """Send every play on stage, one after the other."""
        for number, play in enumerate(plays):
            self._start(lambda play=play, number=number: self._perform(play, number=number))  # type: ignore[misc]

    def replay(self, recordings: Iterable[Recording]) -> None:
        """Play recordings, some at a time, parents before their children."""
        queue: SimpleQueue[Recording] = SimpleQueue()
        births: dict[str, Birth] = {}
        for recording in recordings:
            queue.put(recording)
            births[recording.session.key] = Birth()
        for _ in range(min(REPLAYED_AT_ONCE, queue.qsize())):
            self._start(lambda: self._replay(queue, births))

    def leave(self, *, seconds: float = 5) -> None:
        """End the demo and wait for everybody."""
        self._stage.end()
        for thread in self._threads:
            thread.join(seconds)

    def _start(self, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(act,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, act: Callable[[], None]) -> None:
        """Run one agent; note what the server refused instead of losing it with the thread."""
        try:
            act()
        except Stopped:
            return
        except httpx.HTTPStatusError as error:
            answer = error.response
            self.failures.append(f"{error.request.method} {error.request.url.path}: {answer.status_code} {answer.text}")

    def _open(self, facts: Json) -> Agent:
        """Return a new agent with a session of its own."""
        agent = Agent(url=self._url, key=self._key, stage=self._stage, facts=facts)
        with self._lock:
            self.session_count += 1
        return agent

    def _perform(self, play: Play, *, number: int) -> None:
        """Play one agent's rounds in one session."""
        self._stage.pause(number * ENTRANCE_SECONDS)
        scene = Scene(self._open(play.facts), self._stage, self._open, self._is_short, play.facts)
        while True:
            play.act(scene)
            scene.round += 1
            if self._is_short or not play.repeats:
                return

    def _replay(self, queue: "SimpleQueue[Recording]", births: dict[str, Birth]) -> None:
        """Play recordings until none is left."""
        while True:
            try:
                recording = queue.get_nowait()
            except Empty:
                return
            # A parent stands before its children in the queue, so somebody is already creating it.
            parent = births.get(recording.session.parent_key or "")
            while parent is not None and not parent.has_come.is_set():
                self._stage.wait(FIRST_PAUSE_SECONDS)
            birth = births[recording.session.key]
            try:
                agent = self._open(facts_of(recording, parent_id=parent.session_id if parent else None))
                birth.session_id = agent.id
            finally:
                birth.has_come.set()  # even when it was refused: its children come without it
            replay(recording, agent=agent, stage=self._stage)
            agent.close()
