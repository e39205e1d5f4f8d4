"""The style page: every fragment in every state, in both themes side by side."""

import re
from dataclasses import dataclass
from itertools import groupby

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET

from sessions.web.requests import PageRequest
from sessions.web.specimens import Specimen, specimens

THEMES = ("light", "dark")
_ID = re.compile(r'\bid="([^"]+)"')
_ACTS = re.compile(r'\shx-[\w-]+="[^"]*"')
_GOES = re.compile(r'\saction="[^"]*"')


@dataclass(frozen=True, slots=True)
class Shown:
    """A specimen as the page shows it, once for each theme."""

    specimen: Specimen
    looks: list[tuple[str, SafeString]]


@require_GET
@login_required
def styleguide(request: PageRequest) -> HttpResponse:
    """Show it to staff."""
    if not request.user.is_staff:
        raise PermissionDenied("The style page is for staff.")
    now = timezone.now()
    ordered = sorted(specimens(request.user, now=now), key=lambda specimen: specimen.fragment)
    shown = []
    for number, specimen in enumerate(ordered):
        html = render_to_string(specimen.template, {"now": now, "oob": "", "user": request.user, **specimen.context})
        shown.append(Shown(specimen, [(theme, _apart(html, f"{theme}-{number}")) for theme in THEMES]))
    parts = [(name, list(those)) for name, those in groupby(shown, key=lambda one: one.specimen.fragment)]
    return render(request, "sessions/styleguide.html", {"parts": parts, "now": now, "page": "styleguide"})


def _apart(html: str, suffix: str) -> SafeString:
    """Return a fragment whose ids are its own on this page, and whose forms and links to the server do nothing."""
    html = _GOES.sub(' action="#"', _ACTS.sub("", html)).replace('method="post"', 'method="get"')
    for name in set(_ID.findall(html)):
        for before, after in (('id="', '"'), ('labelledby="', '"'), ('for="', '"'), ("url(#", ")"), ('href="#', '"')):
            html = html.replace(f"{before}{name}{after}", f"{before}{name}-{suffix}{after}")
    return mark_safe(html)  # noqa: S308  (rendered by our own templates, which have escaped what they were given)
