"""How one user wants to be told in the browser."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_QUIET_MINUTES = int(timedelta(days=1).total_seconds()) // 60


class PreferenceManager(models.Manager["Preference"]):
    """Look-up and change."""

    def of(self, user: AbstractBaseUser | AnonymousUser) -> "Preference":
        """Return what `user` chose, or the defaults when they never did."""
        return self.filter(user=user.pk).first() or Preference()

    def give_password(self, user: "User") -> None:
        """Remember that the password which `user` has now was chosen for them, and perhaps stands in a log."""
        self.update_or_create(user=user, defaults={"given_password": user.password})

    def has_given_password(self, user: AbstractBaseUser) -> bool:
        """Say whether `user` still has the password that was chosen for them; any other one ends that by itself."""
        return self.filter(user=user.pk, given_password=user.password).exists()

    def choose(self, user: "User", *, notifies: bool, quiet_minutes: int) -> "Preference":
        """Keep what `user` chose."""
        chosen = {"notifies": notifies, "quiet_minutes": quiet_minutes}
        preference, _ = self.update_or_create(user=user, defaults=chosen)
        return preference


class Preference(models.Model):
    """One user's choice."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="koda_preference"
    )
    notifies = models.BooleanField(default=False, help_text="The wall notifies through the browser.")
    quiet_minutes = models.PositiveIntegerField(default=5, help_text="Between two about the same session.")

    given_password = models.TextField(
        null=True, editable=False, help_text="The hash of the password that was chosen for them."
    )

    objects = PreferenceManager()

    def __str__(self) -> str:
        """Return the choice."""
        return "notifies" if self.notifies else "keeps quiet"
