"""The title of a session: given by somebody, or made from the first prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models

from sessions.models.fields import WrittenTextField

TITLE_LENGTH = 50
"""Characters that a title made from the first prompt has at most (Koda's own limit)."""


class TitledSession(models.Model):
    """The title and where it came from."""

    title = WrittenTextField(null=True, blank=True)
    is_title_derived = models.BooleanField(default=False, help_text="Made from the first prompt; nobody gave it.")

    class Meta:
        """Only the columns."""

        abstract = True

    @property
    def given_name(self) -> str | None:
        """Return the title if somebody gave it, None when there is none or the first prompt made it."""
        return None if self.is_title_derived else self.title

    def entitle(self, prompt: str, *, is_anew: bool = False) -> None:
        """Take the title from the first prompt when there is none (Koda: set once, 50 characters).

        With `is_anew` that prompt may be another one by now, and a title that it made goes.
        """
        if is_anew and self.is_title_derived:
            self.title, self.is_title_derived = None, False
        if self.title is None and (title := title_of(prompt)):
            self.is_title_derived = True
            self.title = title

    def lose_name(self, *, prompt: str) -> bool:
        """Take back the title, whoever gave it, and take it from the first prompt; say whether that changed it."""
        before = self.title, self.is_title_derived
        self.title, self.is_title_derived = None, False
        self.entitle(prompt)
        return before != (self.title, self.is_title_derived)

    def lose_prompts(self, *, left: Sequence[str]) -> bool:
        """Take a derived title anew when no prompt of those that are `left` makes it; say whether that changed it.

        For the first prompt has been destroyed. What an importer derived need not be the very beginning of a prompt.
        """
        if not self.is_title_derived or self.title in {title_of(prompt) for prompt in left}:
            return False
        return self.lose_name(prompt=next(iter(left), ""))

    def title_made_anew(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what an event tells of a title that nobody gave, and of other changes with it.

        Such a title repeats a prompt, and no purge destroys the event: whoever shows it reads the column.
        """
        return {"changes": {**(changes or {}), "title": None}, "is_title_derived": self.is_title_derived}


def title_of(prompt: str) -> str:
    """Return the title that a prompt makes: one line, cut."""
    line = " ".join(prompt.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
