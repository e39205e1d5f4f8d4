"""Koda's Persistence trait told again, in plain Python without a database (contracts/koda.md section 1)."""

from dataclasses import dataclass, field
from typing import Any

TOKENS = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_creation_tokens", "thinking_tokens")


@dataclass
class Row:
    number: int
    role: str
    content: str | None
    calls: list[dict[str, Any]] | None
    answers: str | None
    usage: dict[str, int] | None
    agent: str | None
    is_archived: bool = False

    def asked(self) -> set[str]:
        return {call["id"] for call in self.calls or []} if self.role == "assistant" else set()


@dataclass
class Kept:
    agent_name: str
    project: str | None
    rows: list[Row] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    ledger: dict[str, dict[str, int]] = field(default_factory=dict)

    def active(self) -> list[Row]:
        return [row for row in self.rows if not row.is_archived]

    def append(self, row: Row) -> None:
        self.rows.append(row)
        if row.usage is None:
            return
        sums = self.ledger.setdefault(row.agent or "main", dict.fromkeys((*TOKENS, "api_calls"), 0))
        for name in TOKENS:
            sums[name] += row.usage[name]
        sums["api_calls"] += 1

    def context(self) -> list[int]:
        rows = self.active()
        asked = set().union(*(row.asked() for row in rows))
        answered = {row.answers for row in rows if row.role == "tool" and row.answers is not None}
        odd = asked.symmetric_difference(answered)
        return [
            row.number for row in rows if not (row.role == "tool" and row.answers in odd) and not (row.asked() & odd)
        ]

    def last(self, role: str) -> str:
        return next((row.content for row in reversed(self.rows) if row.role == role and row.content is not None), "")

    def is_pending(self) -> bool:
        rows = self.active()
        return bool(rows) and rows[-1].role == "assistant" and rows[-1].calls is not None

    def compact(self, preserve: int) -> int:
        rows = self.active()
        archived = rows[: max(0, len(rows) - preserve)]
        for row in archived:
            row.is_archived = True
        return len(archived)

    def purge(self) -> int:
        left = self.active()
        gone = len(self.rows) - len(left)
        self.rows = left
        return gone

    def total(self) -> int:
        return sum(sums["prompt_tokens"] + sums["completion_tokens"] for sums in self.ledger.values())
