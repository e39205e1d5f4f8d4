"""The long list: all sessions, by filter and order, at the same cost on every page."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from sessions.models import Liveness, Session
from sessions.models.filtering import Words
from sessions.models.keyset import Keyset
from sessions.models.prepared import Counts, Place, count_of, known, prepared
from sessions.models.rows import with_requests, worded
from sessions.models.session_rows import SessionQuerySet, confined_to
from sessions.web.days import midnight
from sessions.web.facets import facets_of
from sessions.web.forms import SORTS, ListForm
from sessions.web.requests import PageRequest, page_url, socket_url, wants_fragment

ROWS = 50


@require_GET
@login_required
@vary_on_headers("HX-Request")
def sessions(request: PageRequest) -> HttpResponse:
    """Show one page of the list; the list alone when htmx asks."""
    now = timezone.now()
    form = ListForm(request.GET)
    words = form.words()
    shape, owner_id = frozenset(words.items()), confined_to(request.user)

    def read(*mark: Any, is_back: bool) -> list[Session]:
        return _rows(*mark, *known(owner_id), words=shape, is_back=is_back)

    leaf = _keyset(words).leaf_of(
        read, limit=ROWS, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    with_requests(leaf.rows)
    context = {
        "now": now,
        "page": "sessions",
        "words": words,
        "narrows": {name: value for name, value in words.items() if name != "sort"},
        "leaf": leaf,
        "count": _count(*known(owner_id), words=shape)[0],
        "page_url": page_url(request),
        "socket": socket_url("/ws/board/", now),
    }
    if wants_fragment(request):
        return render(request, "sessions/_list.html", context)
    bar = {
        "facets": facets_of(owner_id, words),
        "states": form.STATES,
        "livenesses": Liveness.choices,
        "sorts": [(name, label) for name, (label, _) in SORTS.items()],
    }
    return render(request, "sessions/sessions.html", {**context, **bar})


def _keyset(words: dict[str, str]) -> Keyset:
    return Keyset(Session, SORTS[words.get("sort", "")][1])


@prepared
def _rows(*places: Place, words: Words, is_back: bool) -> SessionQuerySet:
    """Ask for a leaf: the places are the two of a mark, if it begins at one, and the owner's, if there is one."""
    *mark, owner_id = places if len(places) % 2 else (*places, None)
    matching = _matching(words, owner_id)
    return _keyset(dict(words)).beside(worded(matching), *mark, is_back=is_back, limit=ROWS)


@prepared
def _count(owner_id: Place | None = None, *, words: Words) -> Counts[int]:
    return count_of(_matching(words, owner_id))


def _matching(words: Words, owner_id: Place | None) -> SessionQuerySet:
    return narrowed(Session.objects.seen_by(owner_id).active(), dict(words))


def narrowed(rows: SessionQuerySet, words: dict[str, str]) -> SessionQuerySet:
    """Return the rows that the words of the bar leave."""
    plain: dict[str, Any] = {name: words.get(name, "") for name in ("q", "agent", "project", "source", "state")}
    rows = rows.filtered(**plain)
    if "liveness" in words:
        rows = rows.filter(liveness=words["liveness"])
    return rows.last_active(after=midnight(words.get("since")), before=midnight(words.get("until"), days=1))
