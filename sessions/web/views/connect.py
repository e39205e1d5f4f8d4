"""Connect: make a key, paste the lines, and see the first signal arrive."""

from dataclasses import dataclass

from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sessions.exceptions import InvalidRequest
from sessions.models import ApiKey, Session, who
from sessions.web.forms import KeyForm
from sessions.web.places import number
from sessions.web.requests import PageRequest

KEYS = 100
"""Keys that the page lists, the newest; the admin has all."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What was heard with a key: nothing yet, or a first sign, and the newest session of its source since."""

    key: ApiKey
    session: Session | None

    @property
    def has_come(self) -> bool:
        """Say whether there was one."""
        return self.key.last_used_at is not None or self.session is not None


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def connect(request: PageRequest) -> HttpResponse:
    """Show the reader's keys and how to make one; by POST make it, and show it this once with the lines to paste."""
    form = KeyForm(request.POST or None)
    plain, signal = "", None
    if request.method == "POST" and form.is_valid() and isinstance(request.user, User):
        try:
            made = ApiKey.objects.issue(user=request.user, by=who(request.user), **form.facts())
        except InvalidRequest as invalid:
            form.add_error(None, invalid.detail)
        else:
            plain, signal = made.plain, Signal(made.record, None)
    elif (pk := number(request, "key")) is not None:
        signal = _signal(get_object_or_404(ApiKey, pk=pk, user=request.user.pk))
    keys = ApiKey.objects.filter(user=request.user.pk).order_by("-id")[:KEYS]
    context = {
        "now": timezone.now(),
        "page": "connect",
        "form": form,
        "plain": plain,
        "kind": form.cleaned_data.get("agent", "") if plain else "",
        "signal": signal,
        "keys": list(keys),
        "root": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "sessions/connect.html", context)


@require_GET
@login_required
@never_cache
def signal(request: PageRequest, pk: int) -> HttpResponse:
    """Say whether the first signal with this key has come; nothing, when a page asks that knows that none has."""
    found = _signal(get_object_or_404(ApiKey, pk=pk, user=request.user.pk))
    if request.htmx and not found.has_come:
        return HttpResponse(status=204)  # to put the same in again would have it read out again
    return render(request, "sessions/_signal.html", {"signal": found, "now": timezone.now()})


@require_POST
@login_required
def revoke(request: PageRequest, pk: int) -> HttpResponseRedirect:
    """End one of the reader's own keys."""
    key = get_object_or_404(ApiKey, pk=pk, user=request.user.pk)
    is_ended = key.revoke(by=who(request.user))
    toasts.info(request, f"Revoked {key}." if is_ended else f"{key} was revoked already.")
    return redirect("web:connect")


def _signal(key: ApiKey) -> Signal:
    """Look for the newest session of the key's source that was active since it was made."""
    lately = Session.objects.filter(owner=key.user_id, source=key.source, updated_at__gte=key.created_at)
    return Signal(key, lately.active().order_by("-last_activity_at", "-pk").first())
