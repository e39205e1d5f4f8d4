"""The socket of the inbox: requests as they come, and as they are answered by whomever."""

from datetime import datetime, timedelta
from functools import partial

from django.db.models import Q
from django.utils import timezone

from sessions.live import frames
from sessions.live.board import view_of
from sessions.live.callers import Caller
from sessions.live.consumers.pages import BoardPage
from sessions.live.threads import reading
from sessions.models import Request, Session

CARDS = 50
"""Requests that one batch holds at most, the newest."""
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

    async def parts(self) -> list[str]:
        """Return the requests that have come or moved on in the sessions that changed.

        The cards of a session that is out of sight are taken away with it.
        """
        pks = self._take_changed()
        if not pks:
            return []
        cards = await reading(partial(_cards, pks, self.caller, self.since - _OVERLAP))
        news = [html for pk, standing, html in cards if self._known.get(pk) != standing]
        self._known.update({pk: standing for pk, standing, _ in cards})
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


def _cards(session_ids: list[int], caller: Caller, since: datetime) -> list[tuple[int, Standing, str]]:
    """Return what these sessions ask, and what was answered since the page was rendered; the oldest first."""
    now = timezone.now()
    is_news = Q(opened_at__gte=since) | Q(closed_at__gte=since)
    sessions = Session.objects.visible_to(caller.user).active()
    rows = Request.objects.of(sessions).filter(is_news, session__in=session_ids)
    newest = list(rows.for_inbox().order_by("-opened_at", "-id")[:CARDS])
    return [(asked.pk, _standing(asked), _render(asked, caller, now)) for asked in reversed(newest)]


def _standing(asked: Request) -> Standing:
    return asked.status, asked.command.status if asked.command else ""


def _render(asked: Request, caller: Caller, now: datetime) -> str:
    session = asked.session
    context = {"request": asked, "session": session, "can_change": caller.may_change(session)}
    return frames.fragment("ask", oob="morph", now=now, is_listed=True, **context)
