"""A share: what one session has added to the kept figures, so that it can be changed and taken out again."""

from typing import TYPE_CHECKING

from django.db import models

from sessions.models.amounts import Amounts, Days
from sessions.models.fields import WrittenJSONField, WrittenTextField
from sessions.models.figure_sum import EVERYBODY, PUBLIC
from sessions.models.place import PlaceName

if TYPE_CHECKING:
    from sessions.models.session import Session  # noqa: F401


class Share(models.Model):
    """One session's. When the session is destroyed it stays, without a session, until it has been taken out.

    What decides where it counts is the session's, as it was when it was counted. The owner is a plain number: it may
    be gone, too.
    """

    session = models.OneToOneField("koda_sessions.Session", models.SET_NULL, null=True, related_name="share")
    owner_key = models.BigIntegerField()
    is_public = models.BooleanField()
    agent_name = WrittenTextField()
    source = models.CharField(max_length=100)
    project_root = WrittenTextField(blank=True, default="")
    days = WrittenJSONField(default=dict, help_text="Amounts by day: see `amounts`.")

    objects = models.Manager["Share"]()

    def __str__(self) -> str:
        """Return whose it is."""
        return f"share of session {self.session_id}"

    @property
    def scopes(self) -> tuple[int, ...]:
        """Return the scopes in which it counts."""
        return EVERYBODY, PUBLIC if self.is_public else self.owner_key

    @property
    def place(self) -> PlaceName:
        """Return the finest place in which it counts."""
        return PlaceName(self.agent_name, self.source, self.project_root)

    @property
    def places(self) -> tuple[PlaceName, ...]:
        """Return the places in which it counts, one of each grain."""
        return PlaceName(), PlaceName(self.agent_name, self.source), self.place

    @property
    def amounts(self) -> Days:
        """Return its amounts by the slots of its days."""
        return {int(slot): Amounts(amounts) for slot, amounts in self.days.items()}

    def counts_as(self, other: "Share") -> bool:
        """Say whether the other counts in the same scopes and places."""
        return (self.scopes, self.place) == (other.scopes, other.place)
