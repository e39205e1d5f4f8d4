"""What people tell agents from a page: answers to requests, a stop, the next prompt. Each is one command."""

from django.contrib import messages as toasts
from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from sessions import commands
from sessions.exceptions import KodaError
from sessions.models import Request, Session
from sessions.web.forms import AnswerForm, TellForm
from sessions.web.requests import PageRequest, return_to_page, wants_fragment, with_changeable_session

_ANSWERED = {
    "approve": "Approved.",
    "reject": "Denied.",
    "continue50": "Goes on for 50 rounds.",
    "continue200": "Goes on for 200 rounds.",
    "stop": "Stops at its limit.",
    "reply": "Answered.",
}


@require_POST
@with_changeable_session
def answer(request: PageRequest, session: Session, pk: int) -> HttpResponse:
    """Answer an open request; who comes second is told what the first one said."""
    asked = Request.objects.filter(session=session, pk=pk).first()
    if asked is None:
        raise Http404("There is no such request.")
    form = AnswerForm(request.POST)
    if not form.is_valid() or not form.fits(asked.kind):
        return _go_back(request, session, "That is not an answer to this request.")
    try:
        commands.ask(session.pk, form.command(asked), by=_person(request))
    except KodaError as refused:
        return _go_back(request, session, refused.detail)
    return _go_back(request, session, _ANSWERED[form.cleaned_data["action"]])


@require_POST
@with_changeable_session
def tell(request: PageRequest, session: Session) -> HttpResponse:
    """Ask the agent to stop its turn, or give it the next prompt."""
    form = TellForm(request.POST)
    if not form.is_valid():
        return _go_back(request, session, str(next(iter(form.errors.values()))[0]))
    try:
        commands.ask(session.pk, form.command(), by=_person(request))
    except KodaError as refused:
        return _go_back(request, session, refused.detail)
    if form.cleaned_data["action"] == "interrupt":
        return _go_back(request, session, "Asked to stop.")
    # What was written leaves its field only now: what was refused is mended there.
    return _go_back(request, session, "Sent; the agent takes it when it can.", "koda:sent")


def _person(request: PageRequest) -> User | None:
    """Return who asks; whoever may change a session is signed in."""
    return request.user if isinstance(request.user, User) else None


def _go_back(request: PageRequest, session: Session, words: str, *events: str) -> HttpResponse:
    """Say `words` where the person stands: over the page that stays, with more `events` for it, or on the next one."""
    if wants_fragment(request):
        response = trigger_client_event(HttpResponse(status=204), "koda:tell", {"words": words})
        for event in events:
            trigger_client_event(response, event)
        return response
    toasts.info(request, words)
    return return_to_page(request, otherwise=reverse("web:session", args=[session.uuid]))
