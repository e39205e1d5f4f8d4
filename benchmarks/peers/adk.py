"""google-adk: its services of sessions in process, the faster of the two (sqlite)."""

import asyncio
import time
from pathlib import Path

from benchmarks.bodies import text_of


def append(place: Path, _batch: float, seconds: float) -> float:
    """Return how many messages a second `append_event` takes; it knows no batches."""
    from google.adk.events.event import Event
    from google.adk.sessions.sqlite_session_service import SqliteSessionService
    from google.genai import types

    service = SqliteSessionService(str(place / f"google-adk-{time.monotonic_ns()}.sqlite3"))

    async def work() -> float:
        session = await service.create_session(app_name="bench", user_id="u")
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            content = types.Content(role="user", parts=[types.Part(text=text_of(done))])
            await service.append_event(session, Event(author="user", content=content))
            done += 1
        return done / (time.perf_counter() - began)

    return asyncio.run(work())
