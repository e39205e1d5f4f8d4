"""Lanes: a few threads of their own for the database work of many sockets.

Without them asgiref sends the thread-sensitive work of all sockets of a process to one thread, where one
slow query delays every log-in.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from asgiref.sync import ThreadSensitiveContext

from sessions.live.asgi_types import Application, Receive, Scope, Send

LANES = 4


class Lanes:
    """ASGI middleware that gives each connection one of `count` threads, in turn, until it ends.

    Tasks that the wrapped application starts must end before it returns: afterwards their
    thread-sensitive calls raise RuntimeError.
    """

    def __init__(self, application: Application, *, count: int = LANES, name: str = "socket") -> None:
        self._application = application
        # asgiref asks for executors that run one call at a time.
        self._executors = cycle(
            [ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-{n}") for n in range(count)]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with its thread-sensitive calls on the next lane."""
        async with ThreadSensitiveContext(executor=next(self._executors)):
            await self._application(scope, receive, send)
