"""The wall: four bands of sessions, live."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from sessions import incidents, liveness
from sessions.models import Band, Preference, Session
from sessions.models.rows import with_requests, worded
from sessions.models.session_rows import SessionQuerySet
from sessions.web.facets import facets_of
from sessions.web.forms import FilterForm
from sessions.web.requests import PageRequest, socket_url, wants_fragment

ROWS = {Band.NEEDS: 100, Band.ADRIFT: 100, Band.RUNNING: 100, Band.RECENT: 50}
"""Rows of each band that the page holds; the heading counts all of them."""
_HEADS = {
    Band.NEEDS: ("waiting", "turn"),
    Band.ADRIFT: ("turn", "silent"),
    Band.RUNNING: ("turn", "silent"),
    Band.RECENT: ("messages", "active"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One band as the page shows it."""

    band: Band
    rows: list[Session]
    count: int

    @property
    def left_out(self) -> int:
        """Return how many rows the page does not hold."""
        return self.count - len(self.rows)

    @property
    def heads(self) -> tuple[str, str]:
        """Return what stands over the two columns of ages."""
        return _HEADS[self.band]


@require_GET
@login_required
@vary_on_headers("HX-Request")
def wall(request: PageRequest) -> HttpResponse:
    """Show the bands, narrowed by the filter bar; the same bands alone when htmx asks."""
    now = timezone.now()
    form = FilterForm(request.GET)
    words = form.words()
    visible = Session.objects.visible_to(request.user).active()
    context = {
        "now": now,
        "words": words,
        "bands": _load_all(visible.filtered(**words)),
        "incidents": incidents.ongoing(visible, now=now),
        "socket": socket_url("/ws/board/", now, words),
        "page": "wall",
        "list_query": f"?{urlencode(words)}" if words else "",
    }
    if wants_fragment(request):
        return render(request, "sessions/_bands.html", context)
    context["watch"] = liveness.last_watch(now)
    context["preference"] = Preference.objects.of(request.user)
    facets = {"counts": visible.band_counts(now), "facets": facets_of(visible, words), "states": form.STATES}
    return render(request, "sessions/wall.html", {**context, **facets})


def _load_all(sessions: SessionQuerySet) -> list[Shown]:
    """Read the bands. The last one is what the others leave of all, which an index counts at once."""
    shown = [_load(sessions, band) for band in Band if band != Band.RECENT]
    recent = list(worded(sessions.in_band(Band.RECENT))[: ROWS[Band.RECENT]])
    is_whole = len(recent) < ROWS[Band.RECENT]
    count = len(recent) if is_whole else sessions.order_by().count() - sum(band.count for band in shown)
    shown.append(Shown(Band.RECENT, recent, max(count, len(recent))))
    with_requests([session for band in shown for session in band.rows])
    return shown


def _load(sessions: SessionQuerySet, band: Band) -> Shown:
    """Read a band and count it, in two queries at most."""
    rows = sessions.in_band(band)
    shown = list(worded(rows)[: ROWS[band]])
    is_whole = len(shown) < ROWS[band]
    return Shown(band, shown, len(shown) if is_whole else rows.order_by().count())
