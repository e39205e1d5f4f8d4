"""Kept figures: sums over sessions by day and month, by place, and by who may see them."""

from collections.abc import Mapping

import orjson
from django.db import models

from sessions.models.amounts import NUMBERS, Amounts, without_noughts
from sessions.models.log_mark import LogMark

EVERYBODY = -1
"""The scope that holds all sessions: what staff see."""
PUBLIC = 0
"""The scope of public sessions. Any other scope is the key of an owner and holds what only that person may see."""
EDITION = 1
"""What the amounts mean. Raise it when one comes to mean something else: then all are counted anew."""


class FigureSum(models.Model):
    """The amounts of one place on one day or in one month, in one scope. See `amounts` for their names."""

    place = models.ForeignKey("koda_sessions.Place", models.CASCADE, related_name="sums", db_index=False)
    grain = models.PositiveSmallIntegerField(help_text="The place's.")
    scope = models.BigIntegerField()
    slot = models.IntegerField(help_text="A day as 20260301, or a month as 202603.")
    session_count = models.BigIntegerField(default=0)
    usage_count = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_creation_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    ended_count = models.BigIntegerField(default=0)
    turn_seconds = models.BigIntegerField(default=0)
    waiting_us = models.BigIntegerField(default=0)
    detail = models.TextField(default="{}", help_text="The amounts that have no column, as a JSON object.")

    objects = models.Manager["FigureSum"]()

    class Meta:
        """Read by grain over a span of slots, the numbers from the index alone; by place; and written by all three."""

        constraints = [models.UniqueConstraint(fields=["place", "scope", "slot"], name="figure_sum_once")]
        indexes = [models.Index(fields=["grain", "scope", "slot", "place", *NUMBERS], name="figure_sum_numbers")]

    def __str__(self) -> str:
        """Return where, whose and when."""
        return f"place {self.place_id}, scope {self.scope}, {self.slot}"

    @property
    def amounts(self) -> Amounts:
        """Return what is kept."""
        return without_noughts({**orjson.loads(self.detail), **{name: getattr(self, name) for name in NUMBERS}})

    def take(self, amounts: Mapping[str, int]) -> None:
        """Keep these amounts instead."""
        for name in NUMBERS:
            setattr(self, name, amounts.get(name, 0))
        rest = {name: count for name, count in amounts.items() if count and name not in NUMBERS}
        self.detail = orjson.dumps(rest).decode()


class FigureMarkManager(models.Manager["FigureMark"]):
    """Finds the mark."""

    def ours(self) -> "FigureMark | None":
        """Return the mark, unless a version has counted to which the amounts mean something else."""
        mark = self.first()
        return mark if mark is not None and mark.is_ours else None


class FigureMark(LogMark):
    """How far the kept figures go, and whether all of them were counted by versions that agree what they mean.

    An older one that still counts knows nothing of `own_revision`, or of this edition, and leaves that behind for good.
    """

    edition = models.PositiveSmallIntegerField(db_default=0, default=EDITION, help_text="What the amounts mean.")
    own_revision = models.BigIntegerField(db_default=0, default=0, help_text="Additions by those who know the edition.")

    objects = FigureMarkManager()

    @property
    def is_ours(self) -> bool:
        """Say whether everything that is kept was counted as it is counted now."""
        return self.edition == EDITION and self.own_revision == self.revision

    def number(self, revision: int) -> None:
        """Count the addition as one of this edition."""
        self.own_revision += revision - self.revision
        super().number(revision)
