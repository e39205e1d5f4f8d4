"""People and groups, as Django shows them, except that what is done to them is in the audit log.

Deleting a person is refused: it would take sessions along behind the verbs' back.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import DateTimeField, ManyToManyField, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse

from sessions.admin.changelist import CountingChangeList
from sessions.admin.widgets import NamedDateTime
from sessions.models import Action, AuditEntry, who

admin.site.unregister(User)
admin.site.unregister(Group)

RIGHTS: dict[Any, Any] = {ManyToManyField: {"widget": CheckboxSelectMultiple}}
"""Groups and permissions, each with a box to tick. Django's two boxes name themselves where nothing may."""
PASSWORD_PAGE = "auth_user_password_change"  # noqa: S105 - the name of a page


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """Users: made, changed and made inactive."""

    formfield_overrides: ClassVar[dict[Any, Any]] = {DateTimeField: {"widget": NamedDateTime}, **RIGHTS}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that counts."""
        return CountingChangeList

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse: a user's sessions would go with the row, unheard. Untick "Active" instead."""
        return False

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's
        """Change a password and note it, or neither."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Note, where Django does, that a user was made."""
        self._note(request, Action.PERSON_ADDED, obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> LogEntry:
        """Note, where Django does, which fields of a user were changed, or that it was the password."""
        if request.resolver_match is not None and request.resolver_match.url_name == PASSWORD_PAGE:
            self._note(request, Action.PASSWORD_CHANGED, obj)
        else:
            self._note(request, Action.PERSON_CHANGED, obj, changed=_changed(message))
        return super().log_change(request, obj, message)

    def _note(self, request: HttpRequest, action: Action, user: User, **detail: Any) -> None:
        may = {name: getattr(user, name) for name in ("is_active", "is_staff", "is_superuser")}
        by, subject = who(request.user), user.get_username()
        AuditEntry.objects.note(action, by=by, subject=subject, **may, **detail)


@admin.register(Group)
class RightsAdmin(GroupAdmin):
    """Groups, which give rights to those in them."""

    formfield_overrides: ClassVar[dict[Any, Any]] = RIGHTS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that counts."""
        return CountingChangeList

    def log_addition(self, request: HttpRequest, obj: Group, message: Any) -> LogEntry:
        """Note, where Django does, that a group was made."""
        self._note(request, obj, "made")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Group, message: Any) -> LogEntry:
        """Note, where Django does, that a group was changed."""
        self._note(request, obj, "changed")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Group]") -> Any:
        """Note, where Django does, that groups were removed."""
        for group in queryset:
            self._note(request, group, "removed")
        return super().log_deletions(request, queryset)

    def _note(self, request: HttpRequest, group: Group, what: str) -> None:
        rights = sorted(group.permissions.values_list("codename", flat=True)) if group.pk else []
        by = who(request.user)
        AuditEntry.objects.note(Action.GROUP_CHANGED, by=by, subject=group.name, what=what, rights=rights)


def _changed(message: Any) -> list[str]:
    """Return the names of the changed fields out of Django's message, as the form says them."""
    parts = message if isinstance(message, list) else []
    return sorted({str(name).lower() for part in parts for name in part.get("changed", {}).get("fields", [])})
