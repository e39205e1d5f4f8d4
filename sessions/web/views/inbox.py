"""The inbox: what agents ask over all sessions, and what was answered."""

from collections import Counter

from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from sessions import commands
from sessions.exceptions import KodaError
from sessions.models import Needs, Request, Session
from sessions.models.keyset import Keyset
from sessions.templatetags.shell import asked_count
from sessions.web.forms import AnswerForm, BulkAnswerForm
from sessions.web.requests import PageRequest, page_url, socket_url

OPEN = 50
"""Requests that wait, on one page."""
PAST = 30
"""Requests that are settled, on one page."""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def inbox(request: PageRequest) -> HttpResponse:
    """Show what waits and what was answered; by POST, answer several approvals alike."""
    if request.method == "POST":
        return _answer_many(request)
    now = timezone.now()
    visible = Request.objects.of(Session.objects.visible_to(request.user).active()).for_inbox()
    waiting = Keyset(Request, "opened_at").leaf(
        visible.open(), limit=OPEN, after=request.GET.get("open_after", ""), before=request.GET.get("open_before", "")
    )
    past = Keyset(Request, "-closed_at", has_nulls=False).leaf(
        visible.settled(),
        limit=PAST,
        after=request.GET.get("past_after", ""),
        before=request.GET.get("past_before", ""),
    )
    context = {
        "now": now,
        "page": "inbox",
        "asks": waiting,
        "past": past,
        "page_url": page_url(request),
        "socket": socket_url("/ws/inbox/", now),
    }
    return render(request, "sessions/inbox.html", context)


@require_GET
def count(request: PageRequest) -> HttpResponse:
    """Say how many requests wait for this person; nothing when nobody has signed in."""
    if not request.user.is_authenticated:
        return HttpResponse(status=204)
    return render(
        request, "sessions/_inbox_count.html", {"asked_count": asked_count({"user": request.user}), "oob": ""}
    )


def _answer_many(request: PageRequest) -> HttpResponse:
    """Answer each approval that was ticked; one that somebody else has answered stays answered so."""
    form = BulkAnswerForm(request.POST)
    if not form.is_valid() or not isinstance(request.user, User):
        toasts.error(request, "Tick the requests first.")
        return redirect("web:inbox")
    ticked = Request.objects.of(Session.objects.changeable_by(request.user).active())
    done: Counter[bool] = Counter()
    for asked in ticked.filter(pk__in=form.cleaned_data["ask"], kind=Needs.APPROVAL).order_by("opened_at", "id"):
        done[_answer(asked, form.cleaned_data["action"], request.user)] += 1
    said = f"{'Approved' if form.cleaned_data['action'] == 'approve' else 'Denied'} {done[True]}."
    if done[False]:
        said += f" {done[False]} had an answer already."
    toasts.info(request, said)
    return redirect("web:inbox")


def _answer(asked: Request, action: str, user: User) -> bool:
    one = AnswerForm({"action": action})
    assert one.is_valid()
    try:
        commands.ask(asked.session_id, one.command(asked), by=user)
    except KodaError:
        return False
    return True
