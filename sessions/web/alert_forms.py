"""What people choose about alerts."""

from typing import Any

from django import forms

from sessions.exceptions import InvalidRequest, KodaError
from sessions.models import AlarmKind, Preference, Webhook
from sessions.models.preference import LONGEST_QUIET_MINUTES as LONGEST_QUIET_IN_BROWSER
from sessions.models.webhook import LONGEST_QUIET_MINUTES, LONGEST_URL


class WebhookForm(forms.Form):
    """A webhook's address, what it wants to hear of, and how often."""

    url = forms.CharField(max_length=LONGEST_URL, error_messages={"required": "An address is needed."})
    kinds = forms.MultipleChoiceField(choices=AlarmKind.choices, required=False)
    quiet_minutes = forms.IntegerField(min_value=0, max_value=LONGEST_QUIET_MINUTES)
    is_enabled = forms.BooleanField(required=False)

    @classmethod
    def showing(cls, webhook: Webhook | None = None) -> "WebhookForm":
        """Return the form with what `webhook` has, or with what a new one would have."""
        shown = webhook or Webhook()
        names = ("url", "kinds", "quiet_minutes", "is_enabled")
        return cls(initial={name: getattr(shown, name) for name in names})

    def facts(self) -> dict[str, Any]:
        """Return what was typed, as the noun takes it."""
        return dict(self.cleaned_data)

    def refuse(self, error: KodaError) -> None:
        """Show what the noun said beside the field that it is about."""
        faults = error.errors if isinstance(error, InvalidRequest) else ()
        for fault in faults:
            self.add_error(fault.field if fault.field in self.fields else None, f"It {fault.message}.")
        if not faults:
            self.add_error(None, error.detail)


class PreferenceForm(forms.Form):
    """Whether the wall notifies through the browser, and how often about one session."""

    notifies = forms.BooleanField(required=False)
    quiet_minutes = forms.IntegerField(min_value=0, max_value=LONGEST_QUIET_IN_BROWSER)

    @classmethod
    def showing(cls, preference: Preference) -> "PreferenceForm":
        """Return the form with what was chosen."""
        return cls(initial={"notifies": preference.notifies, "quiet_minutes": preference.quiet_minutes})
