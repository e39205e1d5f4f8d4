"""People, as Django shows them, except that deleting one would take sessions along behind the verbs' back."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest

admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """Users: made, changed and made inactive."""

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuse: a user's sessions would go with the row, unheard. Untick "Active" instead."""
        return False
