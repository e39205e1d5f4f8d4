"""The hub: one a process. It hears hints, reads each place of the log once, and wakes the sockets that stand there.

The log is the truth. A hint only says that it is worth reading; a lost one costs until the next beat. Each socket
knows how far it has got and fetches its next batch when it can take it, so a slow one costs no memory.
"""

import asyncio
import logging
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Max
from django.utils import timezone

from sessions import commands
from sessions.live import broadcast
from sessions.live.board import Board, BoardWatcher
from sessions.live.callers import Caller, look_again, note_uses
from sessions.live.crowding import Crowding
from sessions.live.feeds import Batch, Feed, Place
from sessions.live.keeper import when_written_elsewhere
from sessions.live.threads import reading, writing
from sessions.models import Destroyed, Event, Session

logger = logging.getLogger(__name__)

T = TypeVar("T")

TICK_SECONDS = 15
"""The slow beat: pings, deadlines, who may still be here, and what no hint told of."""
LOOK_SECONDS = 1.0
"""Other processes' writes are looked for at most this often."""
HEARD_SECONDS = 5.0
"""Heartbeats, which leave nothing in the log, are looked for this often: so late a page learns that an agent lives."""
BATCH_SECONDS = 2.0
"""How long a batch is at hand for sockets that come to the same place later."""

_HEARD_LOOKED_BACK = timedelta(seconds=30)
"""A heartbeat that becomes visible later than this is found with the next one."""
_READINGS_KEPT = 256
_SEQS_KEPT = 20_000
_IDS_LOOKED_BACK = 2_000
"""On PostgreSQL a transaction may become visible after one with greater ids; so many ids are looked at again."""

# Close codes, as docs/live.md explains them.
BAD_FRAME, SIGN_IN, MAY_NOT_SEE, GONE, LAGGING, TOO_MANY, OUR_FAULT = 4400, 4401, 4403, 4404, 4408, 4429, 4500
NO_STORE = 4503


class Refused(Exception):
    """The socket is to be closed with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Watcher(Protocol):
    """A socket, as the hub sees it. All methods return at once."""

    caller: Caller
    shows_ages: bool
    """Whether it is to know when its session was last heard of."""

    def notice_heard(self, pk: int) -> None:
        """Take note that a session in sight was heard of, though its log need not have grown."""

    def poke(self) -> None:
        """See whether there is something to send."""

    def beat(self) -> None:
        """Send a sign of life, and end when the other side has not answered for too long."""

    def shut(self, code: int) -> None:
        """End with a close code."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the hub has looked: the newest id of the log, and that of the sessions destroyed with theirs."""

    event: int
    destroyed: int

    def or_later(self, other: "Mark") -> "Mark":
        """Return the later of both in each: what was newest may have been destroyed."""
        return Mark(max(self.event, other.event), max(self.destroyed, other.destroyed))


class Hub:
    """Who watches what, and how far each log is known to reach. Use it from its own event loop."""

    _present: ClassVar["Hub | None"] = None

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = clock or self._loop.time
        """Seconds, growing; a test may put in its own."""
        self.reads = 0
        """Looks at the database, each for all sockets together."""
        self.board = Board(self._loop.time)
        self._watchers: dict[Watcher, int | None] = {}
        self._of_session: defaultdict[int, set[Watcher]] = defaultdict(set)
        self._counts: Counter[tuple[str, str]] = Counter()
        self.crowding = Crowding(self._loop.time)
        self._seqs: OrderedDict[int, int] = OrderedDict()
        self._heard: dict[int, datetime] = {}
        self._readings: OrderedDict[Hashable, tuple[float, asyncio.Task[Any]]] = OrderedDict()
        self._mark: Mark | None = None
        self._looked_at = float("-inf")
        self._look_again = False
        self._looking: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def present(cls) -> "Hub":
        """Return the hub of the loop that runs here, beginning it when there is none yet."""
        hub = cls._present
        if hub is None or hub._loop is not asyncio.get_running_loop():  # noqa: SLF001 - its own class
            hub = cls._present = cls()
            hub.start()
        return hub

    def start(self) -> None:
        """Begin to hear the bell, other processes and the clock."""
        broadcast.open_outlet(self.hint)
        rhythms: list[Coroutine[Any, Any, None]] = [self.board.run(), self._tick_for_ever(), self._listen_for_ever()]
        if broadcast.reaches_others():
            rhythms.append(broadcast.listen_to_others(self.hint))
        self._tasks = [self._begin(rhythm) for rhythm in rhythms]

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # In a context of its own: what begins it is a socket, which the work outlives.
        return self._loop.create_task(work, context=Context())

    # --- Who watches ---------------------------------------------------------------------------------------

    async def join(self, watcher: Watcher, *, session_id: int, kind: str, limit: int) -> None:
        """Let a socket watch a session; hints reach it from now on, and `newest` knows at least what is there now.

        Raises `Refused` when its caller has `limit` sockets of this kind.
        """
        self._admit(watcher, session_id, kind, limit)
        self._of_session[session_id].add(watcher)
        await self._find_mark()
        self.hint(await reading(partial(Session.objects.last_seqs, [session_id])))

    async def join_board(self, watcher: BoardWatcher, *, kind: str, limit: int) -> None:
        """Let a socket watch the board; changes reach it from now on. Raises `Refused` as `join` does."""
        self._admit(watcher, None, kind, limit)
        self.board.watchers.add(watcher)
        await self._find_mark()

    def _admit(self, watcher: Any, session_id: int | None, kind: str, limit: int) -> None:
        name = watcher.caller.name
        if not self.has_room(name, kind=kind, limit=limit):
            if watcher.caller.user.is_authenticated:
                self.crowding.note(watcher.scope, name, kind=kind)
            raise Refused(TOO_MANY)
        self._counts[kind, name] += 1
        self._watchers[watcher] = session_id

    def has_room(self, name: str, *, kind: str, limit: int) -> bool:
        """Say whether the caller of this name may have one more socket of this kind."""
        return self._counts[kind, name] < limit

    def leave(self, watcher: Any, *, kind: str) -> None:
        """Forget a socket; harmless for one that never joined."""
        if watcher not in self._watchers:
            return
        session_id = self._watchers.pop(watcher)
        place = kind, watcher.caller.name
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]
        self.board.watchers.discard(watcher)
        if session_id is not None:
            self._of_session[session_id].discard(watcher)
            if not self._of_session[session_id]:
                del self._of_session[session_id]
        if not self.board.watchers:
            self.board.forget()
        if not self._watchers:
            self._mark = None
            self._heard.clear()
            self._readings.clear()

    # --- What is new ---------------------------------------------------------------------------------------

    def hint(self, seqs: Mapping[int, int]) -> None:
        """Learn how far logs reach; wake who watches those that have grown."""
        grown = [pk for pk, seq in seqs.items() if seq > self._seqs.get(pk, 0)]
        for pk in grown:
            self._seqs[pk] = seqs[pk]
            self._seqs.move_to_end(pk)
            for watcher in self._of_session.get(pk, ()):
                watcher.poke()
        while len(self._seqs) > _SEQS_KEPT:
            self._seqs.popitem(last=False)
        self.board.mark(grown)

    def newest(self, session_id: int) -> int:
        """Return the newest seq that is known of a session."""
        return self._seqs.get(session_id, 0)

    def wake(self) -> None:
        """Look soon whether other processes have written; cheap to call, however often."""
        if not self._watchers:
            return
        self._look_again = True
        if self._looking is None or self._looking.done():
            self._looking = self._begin(self._look_soon())

    async def _look_soon(self) -> None:
        while self._look_again:
            await asyncio.sleep(max(0.0, self._looked_at + LOOK_SECONDS - self._loop.time()))
            self._look_again = False
            try:
                await self.look()
            except Exception:
                logger.exception("The log could not be looked through; the next beat tries again")

    async def look(self) -> None:
        """Find in the log what was written since the last look."""
        self._looked_at = self._loop.time()
        if self._mark is None:
            return
        mark, seqs = await reading(partial(_written_after, self._mark))
        if self._mark is not None:
            self._mark = mark.or_later(self._mark)
        self.hint(seqs)

    async def _find_mark(self) -> None:
        """Note where the log ends when somebody begins to watch it."""
        if self._mark is not None:
            return
        mark, seqs = await reading(partial(_written_after, None))
        heard = await reading(_heard_lately)
        if self._mark is None:
            self._mark = mark
            self._heard = heard
            # What was there before anybody watched is not news.
            self._seqs.update({pk: max(seq, self._seqs.get(pk, 0)) for pk, seq in seqs.items()})

    def last_heard(self, session_id: int) -> datetime | None:
        """Return when a session that runs was last heard of, as far as is known."""
        return self._heard.get(session_id)

    async def listen(self) -> None:
        """Find which sessions were heard of since the last time, for those who show it; one look for all of them."""
        if not any(watcher.shows_ages for watcher in self._watchers):
            return
        found = await reading(_heard_lately)
        news = {pk: at for pk, at in found.items() if self._heard.get(pk) != at}
        self._heard = found
        for pk in news:
            for watcher in list(self._of_session.get(pk, ())):
                watcher.notice_heard(pk)
        await self.board.listen(news)

    async def _listen_for_ever(self) -> None:
        while True:
            await asyncio.sleep(HEARD_SECONDS)
            try:
                await self.listen()
            except Exception:
                logger.exception("Heartbeats could not be looked for; the next time comes in %s s", HEARD_SECONDS)

    # --- Reading, once for all -----------------------------------------------------------------------------

    async def read(self, session_id: int, place: Place, feed: Feed) -> Batch:
        """Return the batch after `place`, the same for all who stand there and see alike.

        The name under which it is kept holds how far the log was known to reach, so what is at hand is never
        older than what the asker has been told of.
        """
        return await self._once(
            (session_id, self.newest(session_id), place, feed), partial(feed.read, session_id, place)
        )

    async def has_commands(self, session_id: int) -> bool:
        """Say whether people ask something of a session's agent: one look for all its sockets, as the log grows."""
        return await self._once((session_id, self.newest(session_id)), partial(commands.are_waiting, session_id))

    async def _once(self, name: Hashable, work: Callable[[], T]) -> T:
        """Return what `work` reads, for all who ask for it by this name within `BATCH_SECONDS`."""
        at, task = self._readings.get(name, (0.0, None))
        if task is None or self._loop.time() - at > BATCH_SECONDS or (task.done() and task.exception()):
            self.reads += 1
            task = self._loop.create_task(reading(work), context=Context())
            self._readings[name] = (self._loop.time(), task)
            self._readings.move_to_end(name)
            self._drop_readings()
        found: T = task.result() if task.done() else await asyncio.shield(task)
        return found

    def _drop_readings(self) -> None:
        too_old = self._loop.time() - BATCH_SECONDS
        while self._readings:
            at, _ = next(iter(self._readings.values()))
            if at > too_old and len(self._readings) <= _READINGS_KEPT:
                return
            self._readings.popitem(last=False)

    # --- The slow beat -------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.beat()

    async def beat(self) -> None:
        """Tick, whatever comes of it; while the database does not answer, tell all sockets to come back later."""
        try:
            await self.tick()
        except (OperationalError, InterfaceError):
            logger.exception("The database does not answer; all sockets are told to come back")
            # A page that hears nothing and still calls itself live would tell an untruth.
            for watcher in list(self._watchers):
                watcher.shut(NO_STORE)
        except Exception:
            logger.exception("A beat of the hub failed; the next one comes in %s s", TICK_SECONDS)
        try:
            await writing(partial(note_uses, [watcher.caller for watcher in self._watchers]))
        except Exception:
            logger.exception("It could not be noted which keys are in use; the next beat tries again")

    async def tick(self) -> None:
        """Give and ask for signs of life, see who may still watch, and find what no hint told of."""
        self._drop_readings()
        for watcher in list(self._watchers):
            watcher.beat()
        if not self._watchers:
            return
        await self.look()
        watched = dict(self._watchers)  # who comes while the database is read was looked at at the door
        callers = {watcher.caller for watcher in watched}
        session_ids = {session_id for session_id in watched.values() if session_id is not None}
        still, sessions = await reading(partial(_look_around, callers, session_ids))
        for watcher, session_id in watched.items():
            if watcher in self._watchers:
                self._check(watcher, still[watcher.caller], session_id, sessions)
        self.hint({session.pk: session.last_seq for session in sessions.values()})

    def _check(
        self, watcher: Watcher, caller: Caller | None, session_id: int | None, sessions: Mapping[int, Session]
    ) -> None:
        if caller is None:
            watcher.shut(SIGN_IN)
            return
        watcher.caller = caller
        if session_id is None:
            return
        session = sessions.get(session_id)
        if session is None:
            watcher.shut(GONE)
        elif not session.may_be_read_by(caller.user):
            watcher.shut(MAY_NOT_SEE)


@when_written_elsewhere
def wake_hub() -> None:
    """Let the present hub look; the keeper calls this on the server's loop, the first time when the server starts."""
    Hub.present().wake()


def _written_after(mark: Mark | None) -> tuple[Mark, dict[int, int]]:
    """Return how far there is something, and the newest seq of each session with a row after `mark`, or destroyed.

    On SQLite rows become visible in the order of their ids. On PostgreSQL some ids before the mark are looked at
    again; what is not after all news is known by its seq.
    """
    end = Mark(Event.objects.aggregate(newest=Max("pk"))["newest"] or 0, Destroyed.objects.newest())
    looked_back = 0 if connection.vendor == "sqlite" else _IDS_LOOKED_BACK
    since = mark or end
    rows = Event.objects.filter(pk__gt=since.event - looked_back)
    seqs = dict(rows.order_by().values_list("session_id").annotate(newest=Max("seq")))
    return end, seqs | Destroyed.objects.seqs_after(since.destroyed - looked_back)


def _heard_lately() -> dict[int, datetime]:
    since = timezone.now() - _HEARD_LOOKED_BACK
    return dict(Session.objects.heard_since(since).values_list("pk", "heard_at"))


def _look_around(
    callers: Iterable[Caller], session_ids: Iterable[int]
) -> tuple[dict[Caller, Caller | None], dict[int, Session]]:
    return look_again(set(callers)), Session.objects.in_bulk(list(session_ids))
