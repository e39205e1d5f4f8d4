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
from sessions.models import Band, Preference, Session, overview
from sessions.models.filtering import Words
from sessions.models.prepared import MOST_COUNTED, Counts, Place, count_of, known, prepared
from sessions.models.rows import with_requests, worded
from sessions.models.session_rows import SessionQuerySet, confined_to
from sessions.web.facets import facets_of
from sessions.web.forms import FilterForm
from sessions.web.requests import PageRequest, socket_url, wants_fragment

ROWS = {Band.NEEDS: 100, Band.ADRIFT: 100, Band.RUNNING: 100, Band.RECENT: 50}
"""Rows of each band that the page holds; the heading counts all of them, up to `MOST_COUNTED`."""
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
    count: int | None
    """None when it is not known: the last band is what is left of all, and these may be too many to count."""
    words: Words

    @property
    def is_whole(self) -> bool:
        """Say whether the page holds all rows."""
        return self.count == len(self.rows)

    @property
    def left_out(self) -> int | None:
        """Return how many rows the page does not hold, if they were counted."""
        return None if self.count is None or self.count > MOST_COUNTED else self.count - len(self.rows)

    @property
    def list_query(self) -> str:
        """Return the query by which the long list shows what this band leaves out; of the last one all that matches."""
        state = {} if self.band == Band.RECENT else {"state": self.band.value}
        query = urlencode(sorted({**state, **dict(self.words)}.items()))
        return f"?{query}" if query else ""

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
    owner_id = confined_to(request.user)
    context = {
        "now": now,
        "words": words,
        "bands": _load_all(frozenset(words.items()), owner_id),
        "incidents": incidents.ongoing(owner_id, now=now),
        "socket": socket_url("/ws/board/", now, words),
        "page": "wall",
    }
    if wants_fragment(request):
        return render(request, "sessions/_bands.html", context)
    context["watch"] = liveness.last_watch(now)
    context["preference"] = Preference.objects.of(request.user)
    facets = {
        "counts": overview.band_counts(request.user, now=now),
        "facets": facets_of(owner_id, words),
        "states": form.STATES,
    }
    return render(request, "sessions/wall.html", {**context, **facets})


def _load_all(words: Words, owner_id: int | None) -> list[Shown]:
    """Read the bands. The last one is what the others leave of all, which an index counts, unless there are many."""
    shown = [_load(band, words, owner_id) for band in Band if band != Band.RECENT]
    recent = _rows(*known(owner_id), band=Band.RECENT, words=words)
    is_whole = len(recent) < ROWS[Band.RECENT]
    count = len(recent) if is_whole else _left_of_all(shown, words, owner_id)
    shown.append(Shown(Band.RECENT, recent, count, words))
    with_requests([session for band in shown for session in band.rows])
    return shown


def _left_of_all(shown: list[Shown], words: Words, owner_id: int | None) -> int | None:
    """Count what these bands leave of all; at least the page's rows, for between two queries sessions come and go."""
    count = _counted(None, words, owner_id)
    left = count - sum(band.count or 0 for band in shown)
    return None if count > MOST_COUNTED else max(left, ROWS[Band.RECENT])


def _load(band: Band, words: Words, owner_id: int | None) -> Shown:
    """Read a band and count it, in two queries at most."""
    shown = _rows(*known(owner_id), band=band, words=words)
    is_whole = len(shown) < ROWS[band]
    return Shown(band, shown, len(shown) if is_whole else _counted(band, words, owner_id), words)


def _counted(band: Band | None, words: Words, owner_id: int | None) -> int:
    return _count(*known(owner_id), band=band, words=words)[0]


@prepared
def _rows(owner_id: Place | None = None, *, band: Band, words: Words) -> SessionQuerySet:
    return worded(_narrowed(band, words, owner_id))[: ROWS[band]]


@prepared
def _count(owner_id: Place | None = None, *, band: Band | None, words: Words) -> Counts[int]:
    return count_of(_narrowed(band, words, owner_id))


def _narrowed(band: Band | None, words: Words, owner_id: Place | None) -> SessionQuerySet:
    """Return the sessions of a band, or all, that somebody sees (`confined_to`) and the filter bar leaves."""
    rows = Session.objects.seen_by(owner_id).active().filtered(**dict(words))
    return rows if band is None else rows.in_band(band)
