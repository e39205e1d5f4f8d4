"""The page of one session: what it is at a glance, its tabs, and what can be done with it."""

from datetime import datetime
from typing import Any

from django.contrib import messages as toasts
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sessions import findings, liveness, passages, protocol
from sessions.exceptions import Conflict, InvalidRequest
from sessions.models import Session, Visibility, who
from sessions.web.forms import EditForm
from sessions.web.histories import ribbon_of
from sessions.web.places import seeking, sought
from sessions.web.requests import (
    PageRequest,
    page_around,
    page_url,
    return_to_page,
    wants_fragment,
    with_changeable_session,
    with_readable_session,
)
from sessions.web.tabs import Tab, tab_of, tabs_of


@require_GET
@with_readable_session
def session(request: PageRequest, session: Session) -> HttpResponse:
    """Show a session with the newest end of its transcript, or with the tab that `?tab=` names."""
    tab = tab_of(request)
    now = timezone.now()
    return page(request, session, tab, template=tab.template, now=now, **tab.show(request, session, now))


def page(
    request: PageRequest, session: Session, tab: Tab, *, template: str, now: datetime, **shown: Any
) -> HttpResponse:
    """Return the page of a session with what a tab shows.

    To look at it clears its owner's mark "done but unseen", which no later look does again.
    """
    if "prefetch" not in request.headers.get("Sec-Purpose", "") and not wants_fragment(request):
        session.see(request.user)
    context: dict[str, Any] = {
        "session": session,
        "now": now,
        "parent": _parent_of(request, session),
        "tab": tab.name,
        "tabs": tabs_of(session),
        "can_change": session.may_be_changed_by(request.user),
        "ribbon": ribbon_of(session, now=now),
        "socket": f"/ws/sessions/{session.uuid}/" + ("" if tab.is_transcript else "?events=1"),
        "reason": liveness.explain(session, now),
        "findings": findings.find(session),
        "visibilities": Visibility.choices,
        "sought": sought(request),
        "page_url": page_url(request),
    }
    if context["sought"] and "at" not in request.GET:
        context["found"] = passages.find(session, context["sought"])
        context["closed_url"] = seeking(context["page_url"], "")
    return render(request, template, {**context, **shown})


def _parent_of(request: PageRequest, session: Session) -> Session | None:
    """Return the session below which this one stands, if this reader may see it."""
    parent = session.parent
    return parent if parent is not None and parent.may_be_read_by(request.user) else None


@require_GET
@with_readable_session
def glance(request: PageRequest, session: Session) -> HttpResponse:
    """Return what of the header and the tabs counts on while the page is open."""
    now = timezone.now()
    context = {
        "session": session,
        "parent": _parent_of(request, session),
        "now": now,
        "tab": tab_of(request).name,
        "tabs": tabs_of(session),
        "can_change": session.may_be_changed_by(request.user),
        "ribbon": ribbon_of(session, now=now),
        "page_url": page_around(request),
    }
    return render(request, "sessions/_glance.html", context)


@require_POST
@with_changeable_session
def seen(request: PageRequest, session: Session) -> HttpResponse:
    """Take note that the page is looked at while a turn ends; it counts when its owner looks."""
    session.see(request.user)
    return HttpResponse(status=204)


@require_POST
@with_changeable_session
def edit(request: PageRequest, session: Session) -> HttpResponseRedirect:
    """Change title or visibility, then show the tab again from which that came."""
    back = return_to_page(request, otherwise=reverse("web:session", args=[session.uuid]))
    form = EditForm(request.POST)
    if not form.is_valid():
        toasts.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return back
    try:
        session.edit(by=who(request.user), **form.changes())
    except InvalidRequest as invalid:
        toasts.error(request, invalid.detail)
    return back


@require_POST
@with_changeable_session
def release(request: PageRequest, session: Session) -> HttpResponseRedirect:
    """Close what an agent left open when it went away, then show the tab again from which that came."""
    try:
        protocol.abandon(session.pk, by=who(request.user))
    except Conflict as conflict:
        toasts.error(request, conflict.detail)
    else:
        toasts.info(request, "Released. Its open turn ended as abandoned.")
    return return_to_page(request, otherwise=reverse("web:session", args=[session.uuid]))


@require_http_methods(["GET", "HEAD", "POST"])
@with_changeable_session
def delete(request: PageRequest, session: Session) -> HttpResponse:
    """Ask, then delete softly and go back to the wall."""
    if request.method != "POST":
        return render(request, "sessions/delete.html", {"session": session, "now": timezone.now()})
    session.remove(by=who(request.user))
    toasts.info(request, f"Deleted “{session.display_title}”. Its records are kept until they are purged.")
    return redirect("web:wall")
