"""What people type into the storage page."""

import re

from django import forms
from django.contrib.auth.models import User

from sessions.retention import Policy, Rule
from sessions.retention.rules import LONGEST_HOURS
from sessions.web.forms import LONGEST_ID


class PurgeForm(forms.Form):
    """What to purge: a policy, its age in the policy's own unit, and what to narrow it to."""

    policy = forms.ChoiceField(choices=Policy.choices)
    age = forms.IntegerField(min_value=0, max_value=LONGEST_HOURS)
    source = forms.CharField(required=False, strip=False)
    project = forms.CharField(required=False, strip=False)
    include_running = forms.BooleanField(required=False)

    def rule(self, user: User) -> Rule:
        """Return the rule over what `user` may purge. Raises `InvalidRequest`; call it when the form is valid."""
        given = self.cleaned_data
        return Rule.of(
            user, given["policy"], given["age"], source=given["source"], project=given["project"],
            include_running=given["include_running"],
        )  # fmt: skip


class ConfirmedPurgeForm(PurgeForm):
    """The same, with the number that the person has seen and typed."""

    confirm = forms.CharField()

    @property
    def confirmed(self) -> int | None:
        """Return the number that was typed, with or without commas, or None when it is none."""
        text = re.sub(r"[,.\s]", "", self.cleaned_data["confirm"])
        return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_ID else None
