"""The search page: what was found, with its words marked, and the values by which to narrow it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from sessions.exceptions import InvalidRequest
from sessions.search import Filters, Hit, Hits, search
from sessions.templatetags.cleartext import reveal
from sessions.templatetags.words import line
from sessions.web.days import midnight
from sessions.web.forms import SearchForm
from sessions.web.requests import PageRequest, wants_fragment

_LABELS = {"role": "Role", "agent": "Agent", "project": "Project", "tool": "Tool", "source": "Source", "state": "State"}
_FACETS = {"role": "role", "agent": "agent_name", "project": "project_root", "tool": "tool"}
"""What the search calls the filters that the page offers as facets."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A hit as the page shows it: where it leads, and its snippet in parts, each with whether it is marked."""

    hit: Hit
    url: str
    parts: list[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a facet, and the page that has it chosen, or no longer."""

    label: str
    count: int | None
    url: str
    is_chosen: bool


@require_GET
@login_required
@vary_on_headers("HX-Request")
def search_page(request: PageRequest) -> HttpResponse:
    """Show what the query finds; the hits alone when htmx asks."""
    form = SearchForm(request.GET)
    words = form.words()
    hits = _find(request, words)
    context = {
        "now": timezone.now(),
        "page": "search",
        "words": words,
        "title": " · ".join(part for part in (line(words.get("q", "")), "Search", "Koda Web") if part),
        "is_part": wants_fragment(request),
        "hidden": {name: value for name, value in words.items() if name in _LABELS},
        "hits": hits,
        "shown": [_shown(hit) for hit in hits.items],
        "facets": _facets(words, hits),
        "next_url": _url({**words, "cursor": hits.next_cursor}) if hits.next_cursor else "",
        "first_url": _url(words) if request.GET.get("cursor") else "",
    }
    if not context["is_part"]:
        return render(request, "sessions/search.html", context)
    response = render(request, "sessions/_hits.html", context)
    response["HX-Push-Url"] = _url(words)
    return response


def _find(request: PageRequest, words: dict[str, str]) -> Hits:
    """Search; a cursor that is none shows the first page."""
    filters = Filters(
        role=words.get("role", ""), agent_name=words.get("agent", ""), project_root=words.get("project", ""),
        tool=words.get("tool", ""), source=words.get("source", ""), state=words.get("state", ""),
        after=midnight(words.get("since")), before=midnight(words.get("until"), days=1),
    )  # fmt: skip
    cursor = request.GET.get("cursor") or None
    try:
        return search(words.get("q", ""), user=request.user, filters=filters, cursor=cursor)
    except InvalidRequest:
        return search(words.get("q", ""), user=request.user, filters=filters)


def _shown(hit: Hit) -> Shown:
    return Shown(hit, _place_of(hit), [(reveal(part.text), part.is_marked) for part in hit.snippet])


def _place_of(hit: Hit) -> str:
    """Return where a hit stands: the very message, the call that shows a result, or the session."""
    if hit.tool_call_id is not None:
        return reverse("web:tool", args=[hit.session.uuid, hit.tool_call_id])
    place = reverse("web:session", args=[hit.session.uuid])
    if hit.message_id is None:
        return place
    at, anchor = hit.message_id, f"message-{hit.message_id}"
    if hit.shown_in is not None and hit.shown_in.message_id is not None:
        at, anchor = hit.shown_in.message_id, f"tool-{hit.shown_in.pk}"
    return f"{place}?{urlencode({'at': at, **({'archived': 1} if hit.is_archived else {})})}#{anchor}"


def _facets(words: dict[str, str], hits: Hits) -> list[tuple[str, list[Choice]]]:
    """Return the facets with their values; one that is chosen stays, so that it can be taken back."""
    facets = []
    for name, label in _LABELS.items():
        chosen = words.get(name)
        counted = hits.facets.get(_FACETS.get(name, ""), [])
        values: Iterable[tuple[str, int | None]] = [(chosen, None)] if chosen else counted
        choices = [
            Choice(
                PurePath(value.replace("\\", "/")).name or value if name == "project" else value,
                count,
                _url({**words, name: "" if chosen else value}),
                bool(chosen),
            )
            for value, count in values
        ]
        if choices:
            facets.append((label, choices))
    return facets


def _url(words: Mapping[str, str | None]) -> str:
    """Return this page with these words."""
    query = urlencode({name: value for name, value in words.items() if value})
    return f"{reverse('web:search')}?{query}" if query else reverse("web:search")
