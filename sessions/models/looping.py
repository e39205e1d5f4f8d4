"""Whether an agent goes round in circles: the same call, or the same failing result, again and again in a row."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import models

from sessions.models.fields import load_written

LOOPS_FROM = 5
"""How often in a row the same call, or the same failing result, counts as going round in circles.

Koda's own guard ends a turn at 3 of the last 20 calls that change something (contracts/koda.md 4.4h). Ours ends
nothing, hears of every call, also of those that only look, and wants them with nothing else between: to look three
times at a log or a job is usual, five times without any other step is not. It stands above Koda's guard, so that a
guarded agent is not flagged for what it is about to stop by itself.
"""


class LoopKind(models.TextChoices):
    """What repeats."""

    CALL = "call", "same call"
    RESULT = "result", "same failing result"


@dataclass(frozen=True, slots=True)
class Loop:
    """Something that repeats: what, how often in a row, and the seq of the event with which the row began."""

    kind: LoopKind
    count: int
    first_seq: int

    def __str__(self) -> str:
        """Return it in words, as in: same call, a times sign, 9."""
        return f"{self.kind.label} \N{MULTIPLICATION SIGN}{self.count}"


def digest_of(name: str, what: Any) -> str:
    """Return a digest of a tool's name and its arguments or output.

    JSON counts by its meaning, whether it came as an object or as its text; the order of keys is no difference.
    """
    if isinstance(what, str):
        with suppress(ValueError):
            what = load_written(what)
    text = json.dumps([name, what], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _just_begun(kind: LoopKind, count: int, first_seq: int | None) -> Loop | None:
    """Return a row as a loop at the moment when it has become long enough, so that it is told once."""
    return Loop(kind, count, first_seq or 0) if count == LOOPS_FROM else None


class LoopingSession(models.Model):
    """The columns of a session that count repetitions. The verb that calls the methods holds the session's lock.

    A call counts when its record is born and a result when it closes one, so that a call of which both an event
    and a message tell counts once.
    """

    same_call_digest = models.CharField(max_length=64, blank=True, default="")
    same_call_count = models.PositiveIntegerField(default=0, help_text="Equal calls in a row, the newest included.")
    same_call_seq = models.BigIntegerField(null=True, blank=True, help_text="Event with which that row began.")
    same_failure_digest = models.CharField(max_length=64, blank=True, default="")
    same_failure_count = models.PositiveIntegerField(default=0, help_text="Equal failing results in a row.")
    same_failure_seq = models.BigIntegerField(null=True, blank=True, help_text="Event with which that row began.")

    class Meta:
        """Only the columns."""

        abstract = True

    @property
    def loop(self) -> Loop | None:
        """Return what repeats now, the longer row if both do, or None."""
        rows = [
            Loop(LoopKind.CALL, self.same_call_count, self.same_call_seq or 0),
            Loop(LoopKind.RESULT, self.same_failure_count, self.same_failure_seq or 0),
        ]
        longest = max(rows, key=lambda row: row.count)
        return longest if longest.count >= LOOPS_FROM else None

    def repeat_call(self, name: str, args: Any, *, seq: int) -> Loop | None:
        """Count a call that `seq` tells of; return the loop when this one makes it one.

        Arguments that nobody told (None) equal no others.
        """
        digest = "" if args is None else digest_of(name, args)
        is_same = digest != "" and digest == self.same_call_digest
        self.same_call_digest = digest
        self.same_call_count = self.same_call_count + 1 if is_same else 1
        self.same_call_seq = self.same_call_seq if is_same else seq
        return _just_begun(LoopKind.CALL, self.same_call_count, self.same_call_seq)

    def repeat_result(self, name: str, output: Any, *, has_failed: bool, seq: int) -> Loop | None:
        """Count a result that `seq` tells of; one that did not fail ends the row. Return the loop as `repeat_call`."""
        if not has_failed:
            self.same_failure_digest, self.same_failure_count, self.same_failure_seq = "", 0, None
            return None
        digest = digest_of(name, output)
        is_same = digest == self.same_failure_digest
        self.same_failure_digest = digest
        self.same_failure_count = self.same_failure_count + 1 if is_same else 1
        self.same_failure_seq = self.same_failure_seq if is_same else seq
        return _just_begun(LoopKind.RESULT, self.same_failure_count, self.same_failure_seq)

    def stop_looping(self) -> None:
        """Begin to count anew: a person has spoken, or a turn began or ended."""
        self.same_call_digest = self.same_failure_digest = ""
        self.same_call_count = self.same_failure_count = 0
        self.same_call_seq = self.same_failure_seq = None
