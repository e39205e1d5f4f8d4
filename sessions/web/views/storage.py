"""The storage page: what is kept, how old and how large; purging it with a preview, a confirmation and a receipt."""

import time
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from django.contrib import messages as toasts
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from sessions import retention
from sessions.exceptions import InvalidRequest
from sessions.models import Receipt, who
from sessions.retention import Policy, Preview
from sessions.web.purge_forms import ConfirmedPurgeForm, PurgeForm
from sessions.web.requests import PageRequest, person_of

RECEIPTS_SHOWN = 100
PURGING_SECONDS = 20
"""How long one click purges; what is left then is a click away, and the shell takes its time."""
_MEASURING_SECONDS = 1.0
AGES = {Policy.COMPACTED: 90, Policy.STALE: 24 * 90, Policy.DELETED: 30, Policy.EVENTS: 90}
"""The ages that the form begins with."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One policy as the form offers it."""

    value: str
    label: str
    unit: str
    age: int
    is_chosen: bool


@require_GET
@login_required
def storage(request: PageRequest) -> HttpResponse:
    """Show what is kept; with a policy in the address, what a purge by it would destroy."""
    form = PurgeForm(request.GET) if "policy" in request.GET else None
    return _show(request, form)


@require_POST
@login_required
def purge(request: PageRequest) -> HttpResponse:
    """Purge what was previewed, when the number that was typed is what would go now; else ask again."""
    form = ConfirmedPurgeForm(request.POST)
    if not form.is_valid():
        return _show(request, form, fault="Type the number to confirm.")
    try:
        rule = form.rule(person_of(request))
    except InvalidRequest:
        return _show(request, form)
    found = retention.preview(rule)
    if form.confirmed != found.count:
        return _show(request, form, found=found, fault="That is not the number of what would go now.")
    end = time.monotonic() + PURGING_SECONDS
    done = retention.purge(
        rule, by=who(person_of(request)), previewed=found.count, is_told_to_stop=lambda: time.monotonic() >= end
    )
    retention.measure(seconds=_MEASURING_SECONDS)
    if not done.is_complete:
        toasts.info(request, "There is more than one click destroys. Preview and go on.")
        return redirect(f"{reverse('web:storage')}?{urlencode(_words(form))}#purge")
    if not done.receipt.is_kept:
        toasts.info(request, "Nothing was destroyed: it was gone already.")
    return redirect(f"{reverse('web:storage')}#receipt")


@require_GET
@login_required
def receipts(request: PageRequest) -> HttpResponse:
    """Show the receipts of what this person purged; staff see everybody's."""
    found = Receipt.objects.visible_to(request.user).select_related("owner").order_by("-pk")[:RECEIPTS_SHOWN]
    return render(request, "sessions/receipts.html", {"receipts": found, "now": timezone.now(), "page": "storage"})


@require_GET
@login_required
def receipt(request: PageRequest, uuid: uuids.UUID) -> HttpResponse:
    """Show one receipt."""
    found = get_object_or_404(Receipt.objects.visible_to(request.user), uuid=uuid)
    return render(request, "sessions/receipt.html", {"receipt": found, "now": timezone.now(), "page": "storage"})


def _show(
    request: PageRequest,
    form: PurgeForm | None,
    *,
    found: Preview | None = None,
    fault: str = "",
) -> HttpResponse:
    """Return the page, with a preview when the form makes a rule."""
    person = person_of(request)
    faults = [fault] if fault else []
    if form is not None and found is None:
        found, more = _preview(form, person)
        faults += more
    kept = retention.kept(None if person.is_staff else person.pk)
    words = _words(form)
    chosen = Policy(words["policy"]) if words.get("policy") in Policy.values else Policy.COMPACTED
    context = {
        "page": "storage",
        "now": timezone.now(),
        "kept": kept,
        "database": Path(str(connection.settings_dict["NAME"])).name if person.is_staff else "",
        "stored": retention.stored_bytes() if person.is_staff else None,
        "choices": [Choice(one.value, str(one.label), one.unit, AGES[one], is_chosen=one is chosen) for one in Policy],
        "words": {"age": AGES[chosen], **words},
        "sources": sorted({shelf.source for shelf in kept.shelves}),
        "found": found,
        "faults": faults,
        "receipt": Receipt.objects.visible_to(person).select_related("owner").order_by("-pk").first(),
    }
    if request.method == "POST":
        context["here"] = f"{reverse('web:storage')}?{urlencode(words)}"
    return render(request, "sessions/storage.html", context)


def _preview(form: PurgeForm, person: User) -> tuple[Preview | None, list[str]]:
    """Return what would go, or why there can be no such rule."""
    if not form.is_valid():
        wrong = {name: errors for name, errors in form.errors.items() if name != "confirm"}
        if wrong:
            return None, [f"{name.capitalize()}: {error}" for name, errors in wrong.items() for error in errors]
    try:
        return retention.preview(form.rule(person)), []
    except InvalidRequest as invalid:
        return None, [error.message.capitalize() + "." for error in invalid.errors]


def _words(form: PurgeForm | None) -> dict[str, str]:
    """Return what was asked for, as it stands in the address."""
    if form is None:
        return {}
    names = ("policy", "age", "source", "project", "include_running")
    return {name: form.data[name] for name in names if form.data.get(name)}
