"""The ledger of tokens: by session, agent and day. No purge lowers it."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F

from sessions.models.counted import TOKEN_NAMES, TokenCounts
from sessions.models.prepared import Place, prepared, prepared_change
from sessions.models.writing import born, insert

if TYPE_CHECKING:
    from sessions.models.session import Session

MAIN_AGENT = "main"
"""The name under which tokens without an agent are kept (Koda's own word)."""


class UsageManager(models.Manager["Usage"]):
    """Adds to the ledger, under the session's lock."""

    def add(self, session: "Session", entries: Mapping[tuple[str, date], tuple[TokenCounts, int]]) -> None:
        """Add token counts and model calls by (agent, day)."""
        for (agent_name, day), (counts, api_calls) in entries.items():
            amounts = {**counts.as_dict(), "api_call_count": api_calls}
            if not _add(session.pk, agent_name, day, *map(amounts.__getitem__, _SUMS)):
                insert([born(Usage, session_id=session.pk, agent_name=agent_name, day=day, **amounts)])

    def by_agent(self, session: "Session") -> list[dict[str, Any]]:
        """Return the sums of each agent of `session`, the largest prompt + completion first."""
        return [dict(zip(("agent_name", *_SUMS), row, strict=True)) for row in _by_agent(session.pk)]


_SUMS = (*TOKEN_NAMES, "api_call_count")


@prepared_change
def _add(
    session_id: Place, agent_name: Place, day: Place, *amounts: Place
) -> "tuple[models.QuerySet[Usage], dict[str, Any]]":
    rows = Usage.objects.filter(session=session_id, agent_name=agent_name, day=day)
    return rows, {name: F(name) + amount for name, amount in zip(_SUMS, amounts, strict=True)}


@prepared
def _by_agent(session_id: Place) -> "models.QuerySet[Usage, Any]":
    sums = {name: models.Sum(name) for name in _SUMS}
    rows = Usage.objects.filter(session=session_id).values("agent_name").annotate(**sums)
    ranked = rows.order_by((F("prompt_tokens") + F("completion_tokens")).desc(), "agent_name")
    return ranked.values_list("agent_name", *_SUMS)


class Usage(models.Model):
    """Sums of one agent of one session on one day (UTC)."""

    session = models.ForeignKey("koda_sessions.Session", models.CASCADE, related_name="usage", db_index=False)
    agent_name = models.TextField(default=MAIN_AGENT)
    day = models.DateField()
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_creation_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    api_call_count = models.BigIntegerField(default=0)

    objects = UsageManager()

    class Meta:
        """Asked by session, and by day for the figures."""

        verbose_name_plural = "usage"
        constraints = [models.UniqueConstraint(fields=["session", "agent_name", "day"], name="usage_once")]
        indexes = [models.Index(fields=["day"], name="usage_by_day")]

    def __str__(self) -> str:
        """Return whose tokens on which day."""
        return f"{self.agent_name} {self.day}"
