"""Parts of a session's log: older and newer events, one event whole."""

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from sessions.models import Session
from sessions.web.places import events_at
from sessions.web.requests import PageRequest, wants_fragment, with_readable_session


@require_GET
@with_readable_session
def events(request: PageRequest, session: Session) -> HttpResponseBase:
    """Return the block of events that stands before or after one; without htmx, the page that opens there."""
    if not wants_fragment(request):
        query = request.GET.copy()
        query["tab"] = "events"
        return redirect(f"{reverse('web:session', args=[session.uuid])}?{query.urlencode()}")
    context = {
        "session": session,
        "now": timezone.now(),
        "stretch": events_at(request, session),
        "way": "newer" if "after" in request.GET else "older",
    }
    return render(request, "sessions/_events.html", context)


@require_GET
@with_readable_session
def event(request: PageRequest, session: Session, seq: int) -> HttpResponse:
    """Show the payload of one event."""
    found = get_object_or_404(session.events, seq=seq)
    context = {"session": session, "event": found}
    return render(request, "sessions/_event_inside.html" if wants_fragment(request) else "sessions/event.html", context)
