"""The board: which sessions have changed, read and rendered once, and told to those who may see them.

Changes are gathered and read at most every `FLUSH_SECONDS`; so a session that changes all the time is told of four
times a second, and its last change always.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from django.db.models import Q
from django.utils import timezone

from sessions import incidents, liveness
from sessions.live import frames
from sessions.live.callers import Caller
from sessions.live.threads import reading
from sessions.models import Band, Destroyed, Event, Session, Visibility, overview
from sessions.models.among import Among, joined
from sessions.models.filtering import Words
from sessions.models.prepared import Place, prepared
from sessions.models.rows import with_requests, worded
from sessions.models.session_rows import SessionQuerySet, confined_to

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.25
COUNTS_SECONDS = 1.0
"""The counters of one user are read at most this often."""

_ROWS_A_READ = 100
_ROWS_KEPT = 2_000
_RETRY_SECONDS = 1
_OVERLAP = timedelta(seconds=10)
"""A page is told again what happened so shortly before it was rendered: a transaction commits after its `now`."""
_EVENTS_LOOKED_AT = 50


class BoardWatcher(Protocol):
    """A socket on the board, as the board sees it."""

    @property
    def caller(self) -> Caller:
        """Return who watches."""

    @property
    def words(self) -> Words:
        """Return by what the watcher narrows the board."""

    @property
    def wants_html(self) -> bool:
        """Say whether the watcher is a page."""

    def notice(self, pk: int) -> None:
        """Take note that a session in sight has changed."""

    def notice_heard(self, pk: int) -> None:
        """Take note that a session in sight was heard of."""

    def notice_gone(self, pk: int, session: Session | None) -> None:
        """Take note that a session is out of sight; None when it has been destroyed and nothing is known of it."""


@dataclass(frozen=True, slots=True)
class View:
    """What rendering depends on: who looks, and through which filter."""

    caller: Caller
    words: Words
    wants_html: bool


@dataclass(slots=True)
class Row:
    """A session as the board last read it."""

    session: Session
    pulse: str
    html: dict[bool, str] = field(default_factory=dict)
    """The row, by whether the viewer may change the session."""
    matches: dict[Words, bool] = field(default_factory=dict)
    was_public: bool = False
    """Whether everybody could see it until lately."""

    def is_in(self, view: View) -> bool:
        """Say whether the viewer's board shows it."""
        return view.caller.sees(self.session) and self.matches.get(view.words, not view.words)

    def may_be_in(self, view: View) -> bool:
        """Say whether the viewer's page may show it, as far as is known."""
        return view.caller.sees(self.session) and self.matches.get(view.words, True)

    def may_have_been_in(self, view: View) -> bool:
        """Say whether the viewer's page may show it from an earlier time, when its board does not."""
        if self.was_public:
            return view.caller.user.is_authenticated
        return view.caller.may_read(self.session)

    def html_for(self, watcher: BoardWatcher) -> str:
        """Return what puts the row into a page, or takes it out, or nothing when it was never there."""
        view = view_of(watcher)
        if self.is_in(view):
            return self.html[view.caller.may_change(self.session)]
        return frames.removed_row(self.session.pk) if self.may_have_been_in(view) else ""

    @property
    def shows_heard(self) -> bool:
        """Say whether the row shows when the session was last heard of."""
        return self.session.band in {Band.ADRIFT, Band.RUNNING}

    def follow(self, earlier: "Row") -> None:
        """Remember how the session went out of sight since `earlier`."""
        was_public = earlier.session.visibility == Visibility.PUBLIC
        if was_public and self.session.visibility == Visibility.PRIVATE:
            self.was_public = True
        elif self.session.visibility == Visibility.PRIVATE:
            self.was_public = earlier.was_public


class Board:
    """What has changed and who is to know. Lives on one event loop; only `_load` runs elsewhere."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.watchers: set[BoardWatcher] = set()
        self.reads = 0
        self._clock = clock
        self._changed: dict[int, None] = {}
        self._asked: dict[int, set[BoardWatcher]] = {}
        self._has_work = asyncio.Event()
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._heard: dict[int, Row] = {}
        self._counts: dict[str, tuple[float, asyncio.Task[str]]] = {}

    def mark(self, pks: Iterable[int]) -> None:
        """Note that these sessions have changed."""
        if self.watchers:
            self._changed.update(dict.fromkeys(pks))
            self._has_work.set()

    def row(self, pk: int, watcher: BoardWatcher) -> Row | None:
        """Return a session's row if it is at hand as the watcher needs it; else they will be noticed when it is."""
        view = view_of(watcher)
        row = self._rows.get(pk)
        if row is not None and (not view.words or view.words in row.matches):
            is_needed = view.wants_html and row.is_in(view)
            if not is_needed or view.caller.may_change(row.session) in row.html:
                return row
        self._asked.setdefault(pk, set()).add(watcher)
        self._has_work.set()
        return None

    async def listen(self, heard: Mapping[int, datetime]) -> None:
        """Read again the sessions that were heard of at these times, and tell the pages that show them.

        Their rows are kept apart from those that changed: what happened to a session is told when its log is read.
        """
        views = {view_of(watcher) for watcher in self.watchers if watcher.wants_html}
        pks = [pk for pk, at in heard.items() if not self._has_told(pk, at)] if views else []
        found: dict[int, Row] = {}
        for start in range(0, len(pks), _ROWS_A_READ):
            self.reads += 1
            rows, _ = await reading(partial(_load, pks[start : start + _ROWS_A_READ], views, ()))
            found |= rows
        self._heard = found
        for watcher in list(self.watchers):
            view = view_of(watcher)
            for pk, row in found.items() if watcher.wants_html else ():
                if row.is_in(view) and row.shows_heard:
                    watcher.notice_heard(pk)

    def _has_told(self, pk: int, at: datetime) -> bool:
        row = self._rows.get(pk)
        return row is not None and row.session.heard_at is not None and row.session.heard_at >= at

    def heard_html(self, pk: int, watcher: BoardWatcher) -> str:
        """Return the row of a session that was heard of, or nothing when what is known of it is newer or all."""
        view, row, known = view_of(watcher), self._heard.get(pk), self._rows.get(pk)
        if row is None or not row.is_in(view) or (known is not None and known.session.revision > row.session.revision):
            return ""
        return row.html.get(view.caller.may_change(row.session), "")

    async def run(self) -> None:
        """Tell of changes, for ever."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            began = self._clock()
            try:
                await self.flush()
            except Exception:
                logger.exception("Changes of the board could not be read; they are tried again")
                await asyncio.sleep(_RETRY_SECONDS)
                self._has_work.set()
            await asyncio.sleep(max(0.0, began + FLUSH_SECONDS - self._clock()))

    async def flush(self) -> None:
        """Read what has changed, or was asked for, and tell each watcher of what is, or was, in their sight."""
        waiting = list({**self._changed, **dict.fromkeys(self._asked)})
        for start in range(0, len(waiting), _ROWS_A_READ):
            await self._flush(waiting[start : start + _ROWS_A_READ])

    async def _flush(self, pks: list[int]) -> None:
        changed = {pk for pk in pks if pk in self._changed}
        for pk in pks:
            self._changed.pop(pk, None)
        views = {view_of(watcher) for watcher in self.watchers}
        unknown = {pk for pk in pks if pk not in self._rows}
        self.reads += 1
        try:
            rows, destroyed = await reading(partial(_load, pks, views, unknown))
        except BaseException:
            self._changed.update(dict.fromkeys(changed))
            raise
        for pk in pks:
            asking = self._asked.pop(pk, set())
            was, row = self._keep(pk, rows.get(pk))
            watchers = self.watchers if pk in changed else asking & self.watchers
            if was is None and row is None:
                self._tell_of_unknown(pk, destroyed.get(pk), watchers)
            else:
                self._tell(pk, was, row, watchers)

    def _keep(self, pk: int, row: Row | None) -> tuple[Row | None, Row | None]:
        was = self._rows.pop(pk, None)
        if row is not None:
            self._rows[pk] = row
            if was is not None:
                row.follow(was)
        while len(self._rows) > _ROWS_KEPT:
            self._rows.popitem(last=False)
        return was, row

    def _tell(self, pk: int, was: Row | None, row: Row | None, watchers: Collection[BoardWatcher]) -> None:
        for watcher in list(watchers):
            view = view_of(watcher)
            if row is not None and row.is_in(view):
                watcher.notice(pk)
            elif was is not None and was.may_be_in(view):
                watcher.notice_gone(pk, was.session)
            elif was is None and row is not None and row.may_have_been_in(view):
                watcher.notice_gone(pk, row.session)

    def _tell_of_unknown(self, pk: int, destroyed: Session | None, watchers: Collection[BoardWatcher]) -> None:
        """Tell of a session that there is not, which the board never read: to who could read it, all if none knows."""
        for watcher in list(watchers):
            if destroyed is None or watcher.caller.may_read(destroyed):
                is_told = destroyed is not None and watcher.caller.sees(destroyed)
                watcher.notice_gone(pk, destroyed if is_told else None)

    async def counters(self, caller: Caller) -> str:
        """Return the fragments with a person's counters and incidents, at most `COUNTS_SECONDS` old."""
        at, task = self._counts.get(caller.name, (float("-inf"), None))
        if task is None or self._clock() - at >= COUNTS_SECONDS or (task.done() and task.exception()):
            task = asyncio.get_running_loop().create_task(reading(partial(_render_counters, caller)))
            self._counts[caller.name] = (self._clock(), task)
        return await asyncio.shield(task)

    def has_counters(self, caller: Caller, *, since: float) -> bool:
        """Say whether a person's counters that are at hand were read after `since`."""
        at, _ = self._counts.get(caller.name, (float("-inf"), None))
        return at > since

    def counters_in(self, caller: Caller, *, since: float) -> float:
        """Return in how many seconds a person's counters can be had that were read after `since`."""
        if self.has_counters(caller, since=since):
            return 0.0
        at, _ = self._counts.get(caller.name, (float("-inf"), None))
        return at + COUNTS_SECONDS - self._clock()

    async def watch(self, told: liveness.Watch | None) -> tuple[liveness.Watch, str]:
        """Return the watchdog's last look, and the fragments that say so if it is not what was `told`."""
        return await reading(partial(_render_watch, told))

    def forget(self) -> None:
        """Drop what is at hand: with nobody watching, it is no longer kept true."""
        self._rows.clear()
        self._heard.clear()
        self._changed.clear()
        self._asked.clear()
        self._counts.clear()


def view_of(watcher: BoardWatcher) -> View:
    """Return how a watcher looks at the board."""
    return View(watcher.caller, watcher.words, watcher.wants_html)


def _load(
    pks: Collection[int], views: Collection[View], unknown: Collection[int]
) -> tuple[dict[int, Row], dict[int, Session]]:
    """Read sessions and render for each viewer who may see them what no other has had rendered.

    Return with them, of those not known before, what is left of the ones that were destroyed.
    """
    now = timezone.now()
    rows = {
        session.pk: Row(session, frames.encode(frames.pulse(session)))
        for session in with_requests(_worded(joined(pks)))
    }
    for words in {view.words for view in views if view.words}:
        matching = set(Session.objects.filter(pk__in=pks).filtered(**dict(words)).values_list("pk", flat=True))
        for pk, row in rows.items():
            row.matches[words] = pk in matching
    for row in rows.values():
        for view in views:
            if view.wants_html and row.is_in(view):
                _render(row, can_change=view.caller.may_change(row.session), now=now)
    for pk in _made_private_lately([rows[pk].session for pk in unknown if pk in rows]):
        rows[pk].was_public = True
    return rows, _destroyed({pk for pk in unknown if pk not in rows})


@prepared
def _worded(pks: Place) -> SessionQuerySet:
    return worded(Session.objects.filter(Among("pk", pks)))


def _render(row: Row, *, can_change: bool, now: datetime) -> None:
    if can_change not in row.html:
        row.html[can_change] = frames.fragment(
            "row", oob="morph", now=now, can_change=can_change, session=row.session, is_listed=False
        )


def _destroyed(pks: Collection[int]) -> dict[int, Session]:
    return {
        row.number: Session(
            pk=row.number, uuid=row.uuid, owner_id=row.owner_number, visibility=row.visibility, status=row.status
        )
        for row in Destroyed.objects.numbered(pks)
    }


def _made_private_lately(sessions: Collection[Session]) -> set[int]:
    """Return which of these sessions, not known before, one of their last events has made private."""
    lately = Q()
    for session in sessions:
        if session.visibility == Visibility.PRIVATE:
            lately |= Q(session=session, seq__gt=session.last_seq - _EVENTS_LOOKED_AT)
    if not lately:
        return set()
    edits = Event.objects.filter(lately, type="server.session_edited").values_list("session_id", "payload")
    return {pk for pk, payload in edits if payload.get("changes", {}).get("visibility") == Visibility.PRIVATE}


def _render_counters(caller: Caller) -> str:
    now = timezone.now()
    silent = incidents.ongoing(confined_to(caller.user), now=now)
    return "\n".join(
        (
            frames.fragment("inbox_count", oob="morph", asked_count=overview.asked_count(caller.user)),
            frames.fragment("counters", oob="morph", now=now, counts=overview.band_counts(caller.user, now=now)),
            frames.fragment("incidents", oob="morph", now=now, incidents=silent),
        )
    )


def _render_watch(told: liveness.Watch | None) -> tuple[liveness.Watch, str]:
    now = timezone.now()
    watch = liveness.last_watch(now)
    if watch == told:
        return watch, ""
    parts = (frames.fragment(name, oob="true", now=now, watch=watch) for name in ("late", "watched"))
    return watch, "\n".join(parts)


def watch_shown(rendered_at: datetime | None) -> liveness.Watch | None:
    """Return what a page that was rendered then, or just now, says of the watchdog; None if it has looked since."""
    now = rendered_at or timezone.now()
    watch = liveness.last_watch(now)
    return watch if watch.ran_at is None or watch.ran_at <= now else None


def changed_since(since: datetime) -> tuple[list[int], list[int]]:
    """Return which sessions recorded something, and which were destroyed, since shortly before a page was rendered.

    With the first come those of which nothing but heartbeats was heard since then.
    """
    events = Event.objects.filter(received_at__gte=since - _OVERLAP)
    changed = list(events.order_by().values_list("session_id", flat=True).distinct())
    heard = Session.objects.heard_since(since).values_list("pk", flat=True)
    return [*{*changed, *heard}], Destroyed.objects.since(since - _OVERLAP)
