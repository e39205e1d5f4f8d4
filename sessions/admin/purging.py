"""Purging the selected sessions: the same preview, and the same number to type, as on the storage page."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from sessions import retention
from sessions.exceptions import InvalidRequest
from sessions.models import Session, who
from sessions.retention import Policy, Preview, Rule
from sessions.retention.rules import LONGEST_HOURS

_NAME = "purge_selected"


class PurgeForm(forms.Form):
    """By which policy, and how old."""

    policy = forms.ChoiceField(choices=[(one.value, f"{one.label}, by {one.unit}") for one in Policy])
    age = forms.IntegerField(min_value=0, max_value=LONGEST_HOURS, initial=0, label="older than")
    include_running = forms.BooleanField(required=False, label="running ones too, if stale")
    confirm = forms.CharField(required=False, widget=forms.HiddenInput)

    def rule(self, user: User, sessions: QuerySet[Session]) -> Rule:
        """Return the rule over these sessions. Raises `InvalidRequest`; call it when the form is valid."""
        given = self.cleaned_data
        return Rule(
            policy=Policy(given["policy"]),
            age=given["age"],
            include_running=given["include_running"],
            asker=user,
            within=Session.objects.filter(pk__in=sessions.order_by().values("pk")),
        )


@admin.action(description="Purge selected sessions by a policy, with a preview", permissions=["delete"])
def purge_selected(
    model_admin: admin.ModelAdmin[Session], request: HttpRequest, queryset: QuerySet[Session]
) -> TemplateResponse | None:
    """Ask for a policy, show what would go, and purge when its number was typed."""
    assert isinstance(request.user, User)  # the admin asks for a sign-in
    form = PurgeForm(request.POST if "policy" in request.POST else None)
    found: Preview | None = None
    if form.is_valid():
        try:
            found = retention.preview(form.rule(request.user, queryset))
        except InvalidRequest as invalid:
            form.add_error("age", "; ".join(error.message for error in invalid.errors))
    if found is not None and form.cleaned_data["confirm"]:
        if form.cleaned_data["confirm"] == str(found.count):
            _purge(model_admin, request, found)
            return None
        model_admin.message_user(request, "That is not the number of what would go now.", messages.ERROR)
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": "Purge selected sessions",
        "opts": model_admin.opts,
        "form": form,
        "found": found,
        "action": _NAME,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "across": request.POST.get("select_across", "0"),
    }
    return TemplateResponse(request, "admin/koda_sessions/session/purge_selected.html", context)


def _purge(model_admin: admin.ModelAdmin[Session], request: HttpRequest, found: Preview) -> None:
    """Purge what was confirmed, and say what it did."""
    done = retention.purge(found.rule, by=who(request.user), previewed=found.count)
    policy = found.rule.policy
    said = f"{done.counts.get(policy.table, 0):,} {policy.table} destroyed. The receipt is kept."
    model_admin.message_user(request, said, messages.SUCCESS)
