"""The page of one user's alerts: webhooks, what they were told last, and notifications of the browser."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from sessions.exceptions import KodaError
from sessions.models import Delivery, Preference, Webhook, who
from sessions.web.alert_forms import PreferenceForm, WebhookForm
from sessions.web.requests import PageRequest, person_of

DELIVERIES_SHOWN = 25

WebhookView = Callable[[PageRequest, Webhook], HttpResponse]


def with_own_webhook(view: WebhookView) -> Callable[..., HttpResponse]:
    """Give `view` the webhook that the path names; those of others do not exist, for staff neither."""

    @wraps(view)
    def inner(request: PageRequest, pk: int) -> HttpResponse:
        return view(request, get_object_or_404(Webhook, pk=pk, owner=person_of(request)))

    return login_required(inner)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def alerts(request: PageRequest) -> HttpResponse:
    """Show the webhooks and what they were told; add one."""
    form = WebhookForm(request.POST) if request.method == "POST" else WebhookForm.showing()
    if form.is_bound and form.is_valid():
        try:
            Webhook.objects.register(owner=person_of(request), by=who(request.user), **form.facts())
        except KodaError as refused:
            form.refuse(refused)
        else:
            toasts.success(request, "Added. Its secret stands on its page.")
            return redirect("web:alerts")
    preference = Preference.objects.of(person_of(request))
    context = {"form": form, "choice": PreferenceForm.showing(preference), "page": "alerts"}
    return render(request, "sessions/alerts.html", {**context, **_lists(person_of(request))})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache  # its secret is neither kept nor compressed
@with_own_webhook
def webhook(request: PageRequest, webhook: Webhook) -> HttpResponse:
    """Show one webhook with its secret; change it."""
    form = WebhookForm(request.POST) if request.method == "POST" else WebhookForm.showing(webhook)
    if form.is_bound and form.is_valid():
        try:
            webhook.change(by=who(request.user), **form.facts())
        except KodaError as refused:
            form.refuse(refused)
        else:
            toasts.success(request, "Changed.")
            return redirect("web:alerts")
    return render(request, "sessions/webhook.html", {"form": form, "webhook": webhook, "now": timezone.now()})


@require_POST
@with_own_webhook
def try_out(request: PageRequest, webhook: Webhook) -> HttpResponseRedirect:
    """Let a test be sent."""
    if webhook.is_enabled:
        webhook.try_out()
        toasts.info(request, "A test is on its way; what comes of it shows below.")
    else:
        toasts.error(request, "This webhook is off.")
    return redirect("web:alerts")


@require_POST
@with_own_webhook
def renew_secret(request: PageRequest, webhook: Webhook) -> HttpResponseRedirect:
    """Replace the secret."""
    webhook.renew_secret(by=who(request.user))
    toasts.success(request, "It has a new secret; give it to the receiver.")
    return redirect("web:webhook", pk=webhook.pk)


@require_POST
@with_own_webhook
def remove(request: PageRequest, webhook: Webhook) -> HttpResponseRedirect:
    """Remove a webhook with all that it was told, or was to be told."""
    webhook.remove(by=who(request.user))
    toasts.success(request, f"Removed the webhook to {webhook.host}.")
    return redirect("web:alerts")


@require_POST
@login_required
def choose(request: PageRequest) -> HttpResponseRedirect:
    """Keep how the browser is to notify."""
    form = PreferenceForm(request.POST)
    if form.is_valid():
        Preference.objects.choose(person_of(request), **form.cleaned_data)
        toasts.success(request, "Kept.")
    else:
        toasts.error(request, "A quiet time is a whole number of minutes, a day at most.")
    return redirect("web:alerts")


def _lists(user: User) -> dict[str, object]:
    """Return the user's webhooks and what they were told, or are to be told, last."""
    deliveries = Delivery.objects.filter(webhook__owner=user).select_related("webhook", "session").order_by("-pk")
    shown = list(deliveries[:DELIVERIES_SHOWN])
    now = timezone.now()
    is_busy = any(one.next_attempt_at is not None and one.due_at <= now and one.attempts <= 1 for one in shown)
    webhooks = Webhook.objects.filter(owner=user).order_by("pk")
    return {"webhooks": webhooks, "deliveries": shown, "is_busy": is_busy, "now": now}
