"""What people type into pages."""

import contextlib
from datetime import timedelta
from typing import Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils import timezone

from sessions.models import Liveness, Needs, Request, Scope, Visibility
from sessions.models.fields import NAME_BYTES
from sessions.models.filtering import StateFilter
from sessions.stats import LONGEST_DAYS
from sessions.templatetags.shell import DENSITIES, THEMES

LONGEST_TITLE = 500
LARGEST = 2**63 - 1
SORTS = {
    "": ("Last active first", "-last_activity_at"),
    "quiet": ("Longest at rest first", "last_activity_at"),
    "born": ("Newest first", "-created_at"),
    "old": ("Oldest first", "created_at"),
}
"""The orders of the long list: what people read, and by what an index knows it."""
LONGEST_WORDS = 100_000
LONGEST_ID = 19
"""Digits of a number that may not fit 64 bits."""


class FilterForm(forms.Form):
    """The filter bar. Whatever stands in the URL is taken; an unknown state finds nothing."""

    q = forms.CharField(required=False, max_length=200)
    agent = forms.CharField(required=False, max_length=NAME_BYTES, strip=False)
    project = forms.CharField(required=False, max_length=NAME_BYTES, strip=False)
    source = forms.CharField(required=False, max_length=NAME_BYTES, strip=False)
    state = forms.CharField(required=False, max_length=NAME_BYTES)

    STATES: ClassVar = StateFilter.choices

    def words(self) -> dict[str, str]:
        """Return the filters that are set, by name; a word that cannot be one filters nothing."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


class FiguresForm(forms.Form):
    """What figures are of. A number of days that is none, or too large, is as if it were not there."""

    days = forms.IntegerField(required=False, min_value=1, max_value=LONGEST_DAYS)
    agent = forms.CharField(required=False, strip=False)
    project = forms.CharField(required=False, strip=False)
    source = forms.CharField(required=False, strip=False)

    def words(self) -> dict[str, str]:
        """Return what is set, by name."""
        self.is_valid()
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


class ListForm(FilterForm):
    """The bar over the long list. A day that is none, and an order that is none, changes nothing."""

    liveness = forms.ChoiceField(required=False, choices=Liveness.choices)
    since = forms.DateField(required=False, input_formats=["%Y-%m-%d"])
    until = forms.DateField(required=False, input_formats=["%Y-%m-%d"])
    sort = forms.ChoiceField(required=False, choices=[(name, name) for name in SORTS])

    def words(self) -> dict[str, str]:
        """Return what is set, by name; days as they are written in ISO 8601."""
        return {name: str(value) for name, value in super().words().items()}


class BulkForm(forms.Form):
    """What to do with which sessions: those that were ticked, or all that match."""

    ACTIONS: ClassVar = ("delete", "public", "private", "seen", "release")
    MOST_TICKED: ClassVar = 500
    action = forms.ChoiceField(choices=[(action, action) for action in ACTIONS])
    all = forms.BooleanField(required=False)
    is_confirmed = forms.BooleanField(required=False)
    top = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)
    after = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)
    done = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)
    total = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)

    def picks(self) -> list[UUID]:
        """Return the ids of the sessions that were ticked; what is no id is none."""
        found = []
        for text in cast("QueryDict", self.data).getlist("pick")[: self.MOST_TICKED]:
            with contextlib.suppress(ValueError):
                found.append(UUID(text))
        return found


class SearchForm(forms.Form):
    """What to look for, and what to narrow it to. A day that is none narrows nothing."""

    q = forms.CharField(required=False, strip=True)
    role = forms.CharField(required=False)
    agent = forms.CharField(required=False, strip=False)
    project = forms.CharField(required=False, strip=False)
    tool = forms.CharField(required=False, strip=False)
    source = forms.CharField(required=False, strip=False)
    state = forms.CharField(required=False)
    since = forms.DateField(required=False, input_formats=["%Y-%m-%d"])
    until = forms.DateField(required=False, input_formats=["%Y-%m-%d"])

    def words(self) -> dict[str, str]:
        """Return what is set, by name; days as they are written in ISO 8601."""
        self.is_valid()
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


class EditForm(forms.Form):
    """Title and visibility; only what was sent is changed."""

    title = forms.CharField(required=False, max_length=LONGEST_TITLE)
    visibility = forms.ChoiceField(required=False, choices=Visibility.choices)

    def changes(self) -> dict[str, Any]:
        """Return the fields that the browser sent, by name."""
        return {name: self.cleaned_data[name] for name in self.fields if name in self.data}


class CompactForm(forms.Form):
    """How many of the newest messages stay, and what the agent is told of the rest."""

    keep = forms.IntegerField(min_value=0, max_value=1_000_000, initial=10)
    summary = forms.CharField(max_length=LONGEST_WORDS)
    seen = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)
    """How many messages were archived when the form was shown."""

    def facts(self) -> dict[str, Any]:
        """Return what `compaction.compact` is told."""
        given = self.cleaned_data
        return {"summary": given["summary"], "preserve_count": given["keep"], "archived_count": given["seen"]}


class AnswerForm(forms.Form):
    """An answer to a request: a decision, and words where they belong to it."""

    ACTIONS: ClassVar = {
        Needs.APPROVAL: ("approve", "reject"),
        Needs.LOOP_DECISION: ("continue50", "continue200", "stop"),
        Needs.INPUT: ("reply",),
    }
    action = forms.ChoiceField(choices=[(action, action) for actions in ACTIONS.values() for action in actions])
    words = forms.CharField(required=False, max_length=LONGEST_WORDS)
    choice = forms.CharField(required=False, max_length=LONGEST_WORDS)

    def fits(self, kind: str) -> bool:
        """Say whether this action answers a request of `kind`."""
        return self.cleaned_data["action"] in self.ACTIONS[Needs(kind)]

    def command(self, asked: Request) -> dict[str, Any]:
        """Return the EngineCommand that gives this answer; a denial with words says them (contracts/koda.md 4.3)."""
        action = self.cleaned_data["action"]
        words = self.cleaned_data["choice"] or self.cleaned_data["words"]
        if asked.kind == Needs.LOOP_DECISION:
            return {"type": "loop_decision", "action": action}
        if asked.kind == Needs.INPUT:
            return {"type": "ask_user_response", "id": asked.request_id, "answer": words}
        decision = {"decision": action}
        if action == "reject" and words:
            decision = {"decision": "reject_with_feedback", "feedback": words}
        return {"type": "approval_response", "id": asked.request_id, "decision": decision}


class BulkAnswerForm(forms.Form):
    """One answer to several approvals."""

    action = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Deny")])

    def __init__(self, data: QueryDict) -> None:
        """Take what was ticked; any number may be one of a request."""
        super().__init__(data)
        ticked = [text for text in data.getlist("ask") if text.isascii() and text.isdigit() and len(text) < LONGEST_ID]
        self.fields["ask"] = forms.TypedMultipleChoiceField(coerce=int, choices=[(text, text) for text in ticked])


class TellForm(forms.Form):
    """A stop, or the next prompt."""

    action = forms.ChoiceField(choices=[("interrupt", "Stop"), ("prompt", "Prompt")])
    prompt = forms.CharField(
        required=False,
        max_length=LONGEST_WORDS,
        error_messages={"max_length": f"A prompt has at most {LONGEST_WORDS:,} characters."},
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a prompt without words."""
        given = super().clean() or {}
        if given.get("action") == "prompt" and given.get("prompt") == "":
            raise forms.ValidationError("A prompt needs words.")
        return given

    def command(self) -> dict[str, Any]:
        """Return the EngineCommand."""
        if self.cleaned_data["action"] == "interrupt":
            return {"type": "interrupt"}
        return {"type": "user_prompt", "text": self.cleaned_data["prompt"], "images": []}


class KeyForm(forms.Form):
    """A new key for one agent."""

    AGENTS: ClassVar = (("koda", "Koda"), ("zeroclaw", "ZeroClaw"), ("stakpak", "Stakpak"), ("other", "Something else"))
    PREFIXES: ClassVar = {"stakpak": "stkpk_api"}
    """What a key must begin with, for agents that look at it."""
    ENDS: ClassVar = (
        ("", "never"),
        ("7", "in a week"),
        ("30", "in 30 days"),
        ("90", "in 90 days"),
        ("365", "in a year"),
    )
    name = forms.CharField(max_length=100)
    agent = forms.ChoiceField(choices=AGENTS)
    source = forms.CharField(required=False, max_length=100)
    scopes = forms.MultipleChoiceField(choices=Scope.choices)
    ends = forms.TypedChoiceField(choices=ENDS, required=False, coerce=int, empty_value=None)

    def facts(self) -> dict[str, Any]:
        """Return what `ApiKey.objects.issue` is told."""
        given = self.cleaned_data
        return {
            "name": given["name"],
            "source": given["source"],
            "scopes": given["scopes"],
            "prefix": self.PREFIXES.get(given["agent"], "koda"),
            "expires_at": timezone.now() + timedelta(days=given["ends"]) if given["ends"] else None,
        }


class AppearanceForm(forms.Form):
    """How the reader wants the pages to look."""

    theme = forms.ChoiceField(choices=list(THEMES.items()))
    density = forms.ChoiceField(choices=list(DENSITIES.items()))
