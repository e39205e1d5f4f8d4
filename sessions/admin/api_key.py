"""API keys: issued and revoked here. The plain key is shown once; the digest never."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import DateTimeField, Q, QuerySet
from django.http import HttpRequest

from sessions.admin.records import OpenFilter, RecordAdmin
from sessions.admin.widgets import NamedDateTime
from sessions.exceptions import InvalidRequest
from sessions.models import ApiKey, NewKey, Scope, who
from sessions.models.fields import require_name

_SCOPES = {Scope.WRITE: "can_write", Scope.READ: "can_read", Scope.CONTROL: "can_control"}


class RevokedFilter(OpenFilter):
    """Narrows to keys that were revoked, or not."""

    names = {"1": "Not revoked", "0": "Revoked"}
    what = "end"


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """What is asked of somebody who issues a key."""

    class Meta:
        """The rest is the server's own."""

        model = ApiKey
        fields = ("user", "name", "source", *_SCOPES.values(), "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Let the source be left out: the name then stands for it."""
        super().__init__(*args, **kwargs)
        if "source" in self.fields:
            self.fields["source"].required = False
            self.fields["source"].help_text = "The installation that it speaks for; the key's name when left empty."

    def clean(self) -> dict[str, Any]:
        """Refuse a key that may do nothing and names that `issue` would refuse."""
        given = super().clean() or self.cleaned_data
        for field in ("name", "source"):
            try:
                require_name(field, given.get(field) or "", longest_bytes=100)
            except InvalidRequest as invalid:
                self.add_error(field, invalid.errors[0].message)
        if not self.scopes():
            self.add_error(None, "A key needs at least one scope.")
        return given

    def scopes(self) -> list[str]:
        """Return the scopes that were ticked."""
        return [scope.value for scope, field in _SCOPES.items() if self.cleaned_data.get(field)]

    def issue(self, *, by: str) -> NewKey:
        """Make the key."""
        given = self.cleaned_data
        return ApiKey.objects.issue(
            user=given["user"],
            name=given["name"],
            source=given["source"],
            scopes=self.scopes(),
            expires_at=given["expires_at"],
            by=by,
        )


@admin.register(ApiKey)
class ApiKeyAdmin(RecordAdmin[ApiKey]):
    """Keys, newest first."""

    form = ApiKeyForm
    list_display = (
        "name", "hint", "user", "source", *_SCOPES.values(), "created_at", "last_used_at", "expires_at", "revoked_at",
    )  # fmt: skip
    list_filter = (("revoked_at", RevokedFilter),)
    formfield_overrides: ClassVar[dict[Any, Any]] = {DateTimeField: {"widget": NamedDateTime}}
    raw_id_fields = ("user",)
    search_help_text = "The beginning of a name or a source, or a user's name."
    actions = ("revoke",)
    fields = (
        "name", "hint", "user", "source", *_SCOPES.values(), "created_at", "last_used_at", "expires_at", "revoked_at",
    )  # fmt: skip

    def for_list(self, rows: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        """Return the rows with their users."""
        return rows.select_related("user").defer("digest")

    def find(self, rows: QuerySet[ApiKey], term: str) -> QuerySet[ApiKey]:
        """Return keys by name, source or user; there are never many."""
        return rows.filter(Q(name__startswith=term) | Q(source__startswith=term) | Q(user__username=term))

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Ask for the form's fields when a key is born."""
        return self.fields if obj else ApiKeyForm.Meta.fields

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Propose a key for whoever asks."""
        return {"user": request.user.pk, **super().get_changeform_initial_data(request)}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse to narrow by the digest, or its letters could be found out one by one."""
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask Django's own permission: a key speaks for its user."""
        return request.user.has_perm("koda_sessions.add_apikey")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Ask Django's permission to change keys; revoking is the only change there is."""
        return request.user.has_perm("koda_sessions.change_apikey")

    def save_form(self, request: HttpRequest, form: ApiKeyForm, change: bool) -> ApiKey:  # noqa: FBT001
        """Issue the key instead of saving a row, and show its plain text this once."""
        new = form.issue(by=who(request.user))
        said = f"The key, shown this once and kept nowhere: {new.plain}"
        self.message_user(request, said, messages.WARNING)
        return new.record

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001
        """Do nothing: `save_form` has issued the key."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Do nothing: a key has nothing below it."""

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """End the keys at once."""
        revoked = [key.revoke(by=who(request.user)) for key in queryset]
        said = f"{sum(revoked)} revoked, {revoked.count(False)} had been revoked before."
        self.message_user(request, said, messages.SUCCESS)
