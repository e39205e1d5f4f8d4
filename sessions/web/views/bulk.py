"""Many sessions at once: ask first, then do it by the verbs of one, a slice a request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Max
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from sessions import protocol
from sessions.exceptions import KodaError
from sessions.models import Session, Visibility, who
from sessions.models.session_rows import SessionQuerySet
from sessions.web.forms import BulkForm, ListForm
from sessions.web.requests import PageRequest, wants_fragment
from sessions.web.views.listing import narrowed

SLICE = 500
"""Sessions that one request takes at most."""
SLICE_SECONDS = 4.0
"""How long one request goes on; the next one continues behind the last session that it took."""
NAMED = 12
"""Sessions that the question names."""

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, slots=True)
class Act:
    """What can be done to many: words for it, which sessions it would change, and the verb of one."""

    verb: str
    past: str
    consequence: str
    changes: Callable[[SessionQuerySet, User], SessionQuerySet]
    do: Callable[[Session, User], object]


def _make(visibility: str, session: Session, user: User) -> object:
    return session.edit(by=who(user), visibility=visibility)


def _but(visibility: str, rows: SessionQuerySet, _user: User) -> SessionQuerySet:
    return rows.exclude(visibility=visibility)


ACTS = {
    "delete": Act(
        "Delete", "Deleted",
        "Lists leave them out. Their records are kept until they are purged; their links still read.",
        lambda rows, _: rows, lambda session, user: session.remove(by=who(user)),
    ),
    "public": Act(
        "Make public", "Made public", "Whoever has the link of one may read it, also without signing in.",
        partial(_but, Visibility.PUBLIC), partial(_make, Visibility.PUBLIC),
    ),
    "private": Act(
        "Make private", "Made private", "Only their owners and staff may read them.",
        partial(_but, Visibility.PRIVATE), partial(_make, Visibility.PRIVATE),
    ),
    "seen": Act(
        "Mark as seen", "Marked as seen", "They lose the mark of what has ended and was not opened.",
        lambda rows, user: rows.filter(is_unseen=True, owner=user.pk), lambda session, user: session.see(user),
    ),
    "release": Act(
        "Release", "Released", "Their open turns end as abandoned. Only what is stuck or lost is released.",
        lambda rows, _: rows.in_state("adrift"), lambda session, user: protocol.abandon(session.pk, by=who(user)),
    ),
}  # fmt: skip


@require_POST
@login_required
def bulk(request: PageRequest) -> HttpResponse:
    """Ask what is to be done, then do it; what takes longer than a request goes on in the next."""
    form = BulkForm(request.POST)
    words = ListForm(request.POST).words()
    back = f"{reverse('web:sessions')}?{urlencode(words)}" if words else reverse("web:sessions")
    if not form.is_valid():
        toasts.error(request, "Choose what is to be done.")
        return redirect(back)
    given = form.cleaned_data
    act = ACTS[given["action"]]
    chosen = Session.objects.visible_to(request.user).active()
    chosen = narrowed(chosen, words) if given["all"] else chosen.filter(uuid__in=form.picks())
    mine = act.changes(chosen.changeable_by(request.user), request.user)
    context = {
        "act": act, "given": given, "words": words, "picks": form.picks(), "back": back, "here": back,
        "page": "sessions",
    }  # fmt: skip
    if not given["is_confirmed"]:
        return _ask(request, chosen, mine, context)
    return _go_on(request, mine, context)


def _ask(request: PageRequest, chosen: SessionQuerySet, mine: SessionQuerySet, context: dict[str, Any]) -> HttpResponse:
    count, chosen_count = mine.count(), chosen.count()
    if not chosen_count:
        toasts.error(request, "Tick some sessions first.")
        return redirect(context["back"])
    asked = {
        "count": count,
        "rest": chosen_count - count,
        "named": list(mine.order_by("-last_activity_at", "-pk")[:NAMED]),
        "running": mine.running().count(),
        "top": mine.aggregate(top=Max("pk"))["top"] or 0,
        "now": timezone.now(),
    }
    return render(request, "sessions/bulk.html", {**context, **asked})


def _go_on(request: PageRequest, mine: SessionQuerySet, context: dict[str, Any]) -> HttpResponse:
    """Take the next slice of what was there when it was asked; then say how far it is, or that it is done."""
    act, given = context["act"], context["given"]
    done, after, is_over = given["done"] or 0, given["after"] or 0, True
    ends = time.monotonic() + SLICE_SECONDS
    rows = mine.filter(pk__gt=after, pk__lte=given["top"] or 0).order_by("pk")
    for session in rows[:SLICE]:
        done += _do(act, session, request.user)
        after = session.pk
        if time.monotonic() > ends:
            break
    is_over = not mine.filter(pk__gt=after, pk__lte=given["top"] or 0).exists()
    if is_over:
        toasts.info(request, f"{act.past}: {done:,} session{'' if done == 1 else 's'}.")
        return HttpResponseClientRedirect(context["back"]) if wants_fragment(request) else redirect(context["back"])
    further = {**context, "done": done, "after": after, "top": given["top"], "total": max(given["total"] or 0, done)}
    return render(request, "sessions/_going_on.html" if wants_fragment(request) else "sessions/bulk_on.html", further)


def _do(act: Act, session: Session, user: User) -> bool:
    """Do it to one; one that has changed in the meantime is passed over."""
    try:
        act.do(session, user)
    except KodaError:
        return False
    return True
