"""What people type into pages."""

from typing import Any, ClassVar

from django import forms

from sessions.models import Visibility
from sessions.models.filtering import StateFilter
from sessions.templatetags.shell import DENSITIES, THEMES

LONGEST_TITLE = 500


class FilterForm(forms.Form):
    """The filter bar. Whatever stands in the URL is taken; an unknown state finds nothing."""

    q = forms.CharField(required=False, max_length=200)
    agent = forms.CharField(required=False)
    project = forms.CharField(required=False)
    source = forms.CharField(required=False)
    state = forms.CharField(required=False)

    STATES: ClassVar = StateFilter.choices

    def words(self) -> dict[str, str]:
        """Return the filters that are set, by name; a word that cannot be one filters nothing."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


class EditForm(forms.Form):
    """Title and visibility; only what was sent is changed."""

    title = forms.CharField(required=False, max_length=LONGEST_TITLE)
    visibility = forms.ChoiceField(required=False, choices=Visibility.choices)

    def changes(self) -> dict[str, Any]:
        """Return the fields that the browser sent, by name."""
        return {name: self.cleaned_data[name] for name in self.fields if name in self.data}


class AppearanceForm(forms.Form):
    """How the reader wants the pages to look."""

    theme = forms.ChoiceField(choices=list(THEMES.items()))
    density = forms.ChoiceField(choices=list(DENSITIES.items()))
