"""Sockets of pages: HTML for htmx, from the cookies' session, each batch acknowledged before the next."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from django.utils import timezone

from sessions.live import callers, frames
from sessions.live.asgi_types import Message
from sessions.live.board import COUNTS_SECONDS, changed_since, watch_shown
from sessions.live.consumers.socket import SessionSocket, Socket
from sessions.live.feeds import Batch, Feed, LogFeed, TranscriptFeed, VerdictFeed
from sessions.live.hub import BAD_FRAME, GONE, SIGN_IN, Refused
from sessions.live.threads import reading
from sessions.liveness import Watch
from sessions.models import Session
from sessions.models.filtering import Words

LONGEST_FRAME = 1_000
"""Characters of an acknowledgement."""
SOCKETS_A_PERSON = 50
ROWS_REMOVED = 2_000
"""Rows that one batch takes away at most; a purge may destroy very many sessions."""
FILTER_WORDS = ("q", "agent", "project", "source", "state")
"""Words of the query that narrow the board, as they narrow the page."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PageSocket(Socket):
    """A socket of a page. All it may say is which batch it has taken in."""

    kind = "page"
    limit = SOCKETS_A_PERSON

    def __init__(self) -> None:
        super().__init__()
        self._in_flight = 0

    async def take(self, message: Message) -> None:
        """Take an acknowledgement."""
        text = message.get("text") or ""
        try:
            number = json.loads(text)["ack"] if len(text) <= LONGEST_FRAME else None
        except (ValueError, TypeError, KeyError, RecursionError):
            number = None
        if not isinstance(number, int):
            raise Refused(BAD_FRAME)
        if self.is_in_flight and number >= self._in_flight:
            self.arrive()

    async def send_batch(self, html: str, *, number: int) -> None:
        """Send a batch; the page acknowledges its number."""
        self._in_flight = number
        self.set_off()
        await self.send_text(html)


class SessionPage(PageSocket, SessionSocket):
    """The page of one session; `?after=` is where its rendering stands, `events=1` asks for the log's rows.

    One that comes back says with `?since=` up to when it was told, in microseconds.
    """

    shows_ages = True

    def __init__(self) -> None:
        super().__init__()
        self._heard_at: datetime | None = None
        """When the session was last heard of, as the page was told here or may show by itself."""

    async def enter(self) -> None:
        """Let in whoever may read the session; of a public one, anybody with its link."""
        self.caller = callers.of_browser(self.scope)
        session = await reading(Session.objects.filter(uuid=self.session_uuid).first)
        if session is None or not self.caller.may_read(session):
            raise Refused(GONE if self.caller.user.is_authenticated else SIGN_IN)
        await self.follow(session)
        since = self.number("since", default=0)
        self._heard_at = _time(since) if since else session.heard_at
        hello = frames.hello()
        hello["seq"] = self.place.seq
        await self.send_frame(hello)
        self.begin()

    @property
    def feed(self) -> Feed:
        """Return the form that the page's tab needs."""
        can_change = self.caller.may_change(self.session)
        return LogFeed(can_change) if self.query.get("events") == "1" else TranscriptFeed(can_change)

    async def deliver(self) -> None:
        """Send the next batch when the last has been taken in."""
        if self.is_in_flight:
            return
        batch = await self.next_batch() or await self._verdict()
        if batch is not None:
            self._heard_at = self.session.heard_at
            await self.send_batch(batch.texts[0], number=batch.place.seq)

    def notice_heard(self, pk: int) -> None:  # noqa: ARG002 - it is ours
        """See whether the page shows an older sign of life."""
        self.poke()

    async def _verdict(self) -> Batch | None:
        """Return the verdict again when the session has been heard of since the page was told of it."""
        known = (self.hub.last_heard(self.session.pk), self.session.heard_at)
        heard_at = max(filter(None, known), default=None)
        if heard_at is None or (self._heard_at is not None and self._heard_at >= heard_at):
            return None
        return await self.read(VerdictFeed(self.caller.may_change(self.session), heard_at))


class BoardPage(PageSocket):
    """The wall; `?since=` is when it was rendered, in microseconds, the other words are its filter."""

    wants_html = True
    shows_ages = True
    words: Words
    since: datetime

    def __init__(self) -> None:
        super().__init__()
        self._changed: dict[int, None] = {}
        self._heard: dict[int, None] = {}
        self._gone: dict[int, None] = {}
        self._batches = 0
        self._are_counts_due = False
        self._counted_day = timezone.localdate()
        self._changed_at = self._due_since = float("-inf")
        self._counts_at = float("-inf")
        self._counters = ""
        self._is_watch_due = False
        self._watch: Watch | None = None

    async def enter(self) -> None:
        """Let in whoever has signed in, and look up what has happened since the page was rendered."""
        self.caller = callers.of_browser(self.scope)
        if not self.caller.user.is_authenticated:
            raise Refused(SIGN_IN)
        query = self.query
        self.words = frozenset((name, query[name]) for name in FILTER_WORDS if query.get(name))
        since = self.number("since", default=0)
        self.since = _time(since)
        await self.hub.join_board(self, kind=self.kind, limit=self.limit)
        if since:
            changed, destroyed = await reading(partial(changed_since, self.since))
            self._changed.update(dict.fromkeys(changed))
            self._gone.update(dict.fromkeys(destroyed))
        self._watch = await reading(partial(watch_shown, self.since if since else None))
        self._want_counters()
        hello = frames.hello()
        hello["seq"] = 0
        await self.send_frame(hello)
        self.begin()

    def beat(self) -> None:
        """Tell with each sign of life when the watchdog last looked: a wall that nobody watches must say so.

        With the first one of a day come its counters, for yesterday's are not today's.
        """
        self._is_watch_due = True
        if self._counted_day != timezone.localdate():
            self._want_counters()
        super().beat()

    def notice(self, pk: int) -> None:
        """Note a row to send."""
        self._gone.pop(pk, None)
        self._heard.pop(pk, None)
        self._changed[pk] = None
        self._want_counters()
        self.poke()

    def notice_heard(self, pk: int) -> None:
        """Note a row to send of a session that was only heard of: the counters stand as they were."""
        if pk not in self._changed and pk not in self._gone:
            self._heard[pk] = None
            self.poke()

    def notice_gone(self, pk: int, session: Session | None) -> None:  # noqa: ARG002 - a page knows rows by number
        """Note a row to take away."""
        self._changed.pop(pk, None)
        self._heard.pop(pk, None)
        self._gone[pk] = None
        self._want_counters()
        self.poke()

    async def deliver(self) -> None:
        """Send what is new, what has gone, and the counters when it is time."""
        if self.is_in_flight:
            return
        parts = [*await self.parts(), await self._counters_if_due()]
        if self._is_watch_due:
            self._is_watch_due = False
            self._watch, said = await self.hub.board.watch(self._watch)
            parts.append(said)
        gone = list(islice(self._gone, ROWS_REMOVED))
        parts += [frames.removed_row(pk) for pk in gone]
        for pk in gone:
            del self._gone[pk]
        html = "\n".join(filter(None, parts))
        if html:
            self._batches += 1
            await self.send_batch(f"{html}\n{frames.cursor(self._batches)}", number=self._batches)

    async def parts(self) -> list[str]:
        """Return the rows that have changed, as they are now, while there is room."""
        rows: list[str] = []
        room = frames.LIMIT_BYTES
        for pk in list(self._changed):
            row = self.hub.board.row(pk, self)
            if row is None:
                del self._changed[pk]  # it will be noticed when it is at hand
                continue
            html = row.html_for(self)
            room -= len(html.encode())
            if room < 0 and rows:
                break
            del self._changed[pk]
            rows.append(html)
        for pk in list(self._heard):
            html = self.hub.board.heard_html(pk, self)
            room -= len(html.encode())
            if room < 0 and rows:
                break
            del self._heard[pk]
            rows.append(html)
        return rows

    def _want_counters(self) -> None:
        self._counted_day = timezone.localdate()
        self._changed_at = asyncio.get_running_loop().time()
        if not self._are_counts_due:
            self._are_counts_due, self._due_since = True, self._changed_at

    async def _counters_if_due(self) -> str:
        if not self._are_counts_due:
            return ""
        wait = max(
            self._counts_at + COUNTS_SECONDS - self.hub.clock(),
            # What another page of this person had read before that change says nothing of it.
            self.hub.board.counters_in(self.caller, since=self._due_since),
        )
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self.poke)
            return ""
        self._counts_at = self.hub.clock()
        counters = await self.hub.board.counters(self.caller)
        # They may have been read after the first change and before the last; how long ago is no matter.
        self._are_counts_due = not self.hub.board.has_counters(self.caller, since=self._changed_at)
        if self._are_counts_due:
            self._due_since = self._changed_at
            asyncio.get_running_loop().call_later(COUNTS_SECONDS, self.poke)
        was, self._counters = self._counters, counters
        return "" if counters == was else counters


def _time(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Refused(BAD_FRAME) from None
