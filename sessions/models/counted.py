"""Counters of a session, kept in the transaction of the change and never counted on read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """The five token counts of one model call, each 0 or more; `unknown` names those that nobody told, which add 0.

    Providers mean different things by them: never add cache or thinking tokens to a total
    (contracts/koda.md 1.6). `total` is prompt + completion, as Koda counts.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    thinking_tokens: int = 0
    unknown: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def total(self) -> int:
        """Return prompt + completion."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "TokenCounts") -> "TokenCounts":
        """Return the sums, count by count."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in TOKEN_NAMES}
        return TokenCounts.from_mapping(sums)

    def as_dict(self) -> dict[str, int]:
        """Return the counts by their names."""
        return {name: getattr(self, name) for name in TOKEN_NAMES}

    def as_columns(self) -> dict[str, int | None]:
        """Return the counts as a message keeps them: null where nobody told one.

        Prompt and completion are not both null, by which a row that stands for a model call is known.
        """
        is_total_unknown = self.unknown.issuperset(TOKEN_NAMES[:2])
        nulls = self.unknown.difference(TOKEN_NAMES[:2] if is_total_unknown else ())
        return {name: None if name in nulls else count for name, count in self.as_dict().items()}

    @classmethod
    def from_mapping(cls, counts: Mapping[str, Any]) -> "TokenCounts":
        """Return the counts found in `counts`; what is missing or null is 0."""
        found: dict[str, Any] = {name: int(counts.get(name) or 0) for name in TOKEN_NAMES}
        return cls(**found)


TOKEN_NAMES = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_creation_tokens", "thinking_tokens")


class CountedSession(models.Model):
    """The counters of a session. `rebuild` must find them equal to what the records say."""

    last_seq = models.BigIntegerField(default=0, help_text="Newest seq of the log.")
    message_count = models.BigIntegerField(default=0, help_text="All message rows, archived ones included.")
    turn_count = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_creation_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    api_call_count = models.BigIntegerField(default=0)
    tool_call_count = models.BigIntegerField(default=0)
    tool_success_count = models.BigIntegerField(default=0)
    tool_failed_count = models.BigIntegerField(default=0)
    tool_rejected_count = models.BigIntegerField(default=0)
    tool_aborted_count = models.BigIntegerField(default=0)
    context_used = models.BigIntegerField(null=True, blank=True, help_text="Tokens in the model's window.")
    context_max = models.BigIntegerField(null=True, blank=True)

    class Meta:
        """Only the columns."""

        abstract = True

    @property
    def total_tokens(self) -> int:
        """Return prompt + completion tokens ever used; no purge lowers it."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def has_usage(self) -> bool:
        """Say whether any token was ever reported; without it the figure is unknown, not 0."""
        return self.api_call_count > 0

    @property
    def context_percent(self) -> int | None:
        """Return how full the model's window is, in percent, or None when nobody said."""
        if not self.context_max or self.context_used is None:
            return None
        return min(100, round(100 * self.context_used / self.context_max))

    @property
    def has_open_calls(self) -> bool:
        """Say whether a call waits for its outcome."""
        closed = self.tool_success_count + self.tool_failed_count + self.tool_rejected_count + self.tool_aborted_count
        return self.tool_call_count > closed

    def count_messages(self, count: int) -> None:
        """Add `count` messages; below zero it never falls."""
        self.message_count = max(0, self.message_count + count)

    def count_usage(self, counts: TokenCounts, *, api_calls: int) -> None:
        """Add the tokens of `api_calls` model calls."""
        for name, value in counts.as_dict().items():
            setattr(self, name, getattr(self, name) + value)
        self.api_call_count += api_calls

    def count_tool_calls(self, opened: int = 0, *, outcomes: Mapping[str, int] | None = None) -> None:
        """Add `opened` calls and the closed ones by outcome; a negative count takes one back."""
        self.tool_call_count += opened
        for outcome, count in (outcomes or {}).items():
            name = f"tool_{outcome}_count"
            setattr(self, name, getattr(self, name) + count)

    def take_counts(self, counts: Mapping[str, int]) -> None:
        """Set counters, by name, to what the records say."""
        for name, count in counts.items():
            setattr(self, name, count)

    def note_context(self, *, used: int | None, window: int | None) -> None:
        """Take over what the agent said of its model's window, in tokens."""
        self.context_used = used
        self.context_max = window
