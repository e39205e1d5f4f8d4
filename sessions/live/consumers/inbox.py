"""The socket of the inbox: requests as they come, and as they are answered by whomever."""

from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from sessions.live import frames
from sessions.live.board import view_of
from sessions.live.callers import Caller
from sessions.live.consumers.pages import BoardPage
from sessions.live.threads import reading
from sessions.models import Command, Request, Session
from sessions.models.request import RequestQuerySet

CARDS = 50
"""Requests that one batch holds at most; the next has those that follow."""
_OVERLAP = timedelta(seconds=10)

Standing = tuple[str, str]
"""How a request stands: its status, and that of the command with its answer."""


class InboxPage(BoardPage):
    """The inbox; `?since=` is when it was rendered, in microseconds."""

    wants_html = False
    shows_ages = False

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, Standing] = {}
        self._waiting: dict[int, None] = {}
        """Requests that have come or moved on and are still to be sent, the oldest first."""

    async def parts(self) -> list[str]:
        """Return the requests that have come or moved on in the sessions that changed, while there is room.

        The cards of a session that is out of sight are taken away with it.
        """
        pks = self._take_changed()
        if pks:
            standings = await reading(partial(_standings, pks, self.caller, self.since - _OVERLAP))
            self._waiting.update({pk: None for pk, standing in standings if self._known.get(pk) != standing})
        news: list[str] = []
        room = frames.LIMIT_BYTES
        while self._waiting and not news:
            chosen = list(islice(self._waiting, CARDS))
            cards = await reading(partial(_cards, chosen, self.caller))
            for pk in chosen:
                standing, html = cards.get(pk, (None, ""))
                room -= len(html.encode())
                if room < 0 and news:
                    break
                del self._waiting[pk]
                if standing is not None:
                    self._known[pk] = standing
                    news.append(html)
        return news

    def _take_changed(self) -> list[int]:
        """Return the sessions in sight that changed, and note to take away those that may have been in sight."""
        found = []
        for pk in self._changed:
            row = self.hub.board.row(pk, self)
            if row is None:
                continue  # it will be noticed when it is at hand
            if row.is_in(view_of(self)):
                found.append(pk)
            elif row.may_have_been_in(view_of(self)):
                self._gone[pk] = None
        self._changed.clear()
        return found


def _standings(session_ids: list[int], caller: Caller, since: datetime) -> list[tuple[int, Standing]]:
    """Return how each request of these sessions stands that was opened or settled since then; the oldest first."""
    is_news = Q(opened_at__gte=since) | Q(closed_at__gte=since)
    told = Command.objects.filter(request=OuterRef("pk")).order_by("-id").values("status")[:1]
    rows = _seen_by(caller).filter(is_news, session__in=session_ids).order_by("opened_at", "id")
    found = rows.annotate(told_status=Coalesce(Subquery(told), Value(""))).values_list("pk", "status", "told_status")
    return [(pk, (status, told_status)) for pk, status, told_status in found]


def _cards(pks: list[int], caller: Caller) -> dict[int, tuple[Standing, str]]:
    """Return these requests as they stand now, as far as the caller may still see them."""
    now = timezone.now()
    rows = _seen_by(caller).filter(pk__in=pks).for_inbox()
    return {asked.pk: (_standing(asked), _render(asked, caller, now)) for asked in rows}


def _seen_by(caller: Caller) -> RequestQuerySet:
    return Request.objects.of(Session.objects.visible_to(caller.user).active())


def _standing(asked: Request) -> Standing:
    return asked.status, asked.command.status if asked.command else ""


def _render(asked: Request, caller: Caller, now: datetime) -> str:
    session = asked.session
    context = {"request": asked, "session": session, "can_change": caller.may_change(session)}
    return frames.fragment("ask", oob="morph", now=now, is_listed=True, **context)
