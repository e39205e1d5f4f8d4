"""What changed between two states of a session: messages added, removed, changed, and what stands beside them. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sessions.aligning import Matcher, Steps, common_count
from sessions.likeness import likeness
from sessions.models.exact_json import dump_exact, load_exact
from sessions.projection import Told, tell

LONGEST = 2000
"""Messages of each side that are aligned; of longer ones, what is not alike at their ends is taken for rewritten."""
MOST_STEPS = 4_000_000
"""Steps of aligning, half a second. Of two sides of the longest, every other message new, all is found in less."""

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class MessageChange:
    """One message that only one side has, or that both have in other words. Places count from 1."""

    kind: Kind
    before_at: int | None
    after_at: int | None
    before: str | None
    after: str | None

    @property
    def told(self) -> Told:
        """Return what the newer of the two tells."""
        return tell(self.after or self.before or "{}")

    @property
    def is_only_worded(self) -> bool:
        """Say whether both are the same message: usage came or went, or white space at its end."""
        return bool(self.before and self.after) and likeness(str(self.before)) == likeness(str(self.after))

    @property
    def edit(self) -> dict[str, str]:
        """Return both sides as lines, as the page's own diff takes them."""
        return {"old": readable(self.before), "new": readable(self.after)}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of the state beside its messages; None where a side has no such field."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs, in the order of the histories."""

    same_count: int
    messages: tuple[MessageChange, ...]
    fields: tuple[FieldChange, ...]

    def count(self, kind: str) -> int:
        """Return how many messages were added, removed or changed."""
        return sum(change.kind == kind for change in self.messages)

    @property
    def is_equal(self) -> bool:
        """Say whether nothing differs."""
        return not self.messages and not self.fields


def compare(before: Sequence[str], after: Sequence[str], *, rest: tuple[str, str] = ("{}", "{}")) -> Comparison:
    """Return what changed from `before` to `after`, messages as JSON texts, `rest` the states without them."""
    changes = tuple(_changes(before, after))
    same = len(after) - sum(change.after is not None for change in changes)
    return Comparison(same, changes, tuple(_fields(*rest)))


def _changes(before: Sequence[str], after: Sequence[str]) -> Iterator[MessageChange]:
    """Yield the changes: equal ends are passed over, the middle is aligned by what messages have in common."""
    start = common_count(before, after)
    end = common_count(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(old), len(new)) > LONGEST:
        yield from _replaced(old, new, start, start)
        return
    keys = [likeness(text) for text in old], [likeness(text) for text in new]
    for tag, old_from, old_to, new_from, new_to in Matcher(*keys, steps=Steps(MOST_STEPS)).get_opcodes():
        pieces = old[old_from:old_to], new[new_from:new_to], start + old_from, start + new_from
        if tag == "equal":
            yield from _paired(*pieces)
        else:
            yield from _replaced(*pieces)


def _replaced(old: Sequence[str], new: Sequence[str], old_at: int, new_at: int) -> Iterator[MessageChange]:
    """Yield a stretch that was rewritten: messages of the same role in the same place were changed."""
    paired = 0
    while paired < min(len(old), len(new)) and tell(old[paired]).role == tell(new[paired]).role:
        paired += 1
    yield from _paired(old[:paired], new[:paired], old_at, new_at)
    for at, text in enumerate(old[paired:], start=old_at + paired + 1):
        yield MessageChange("removed", at, None, text, None)
    for at, text in enumerate(new[paired:], start=new_at + paired + 1):
        yield MessageChange("added", None, at, None, text)


def _paired(old: Sequence[str], new: Sequence[str], old_at: int, new_at: int) -> Iterator[MessageChange]:
    """Yield what differs between messages that stand side by side."""
    for at, (one, other) in enumerate(zip(old, new, strict=True), start=1):
        if one != other:
            yield MessageChange("changed", old_at + at, new_at + at, one, other)


def _fields(before: str, after: str) -> Iterator[FieldChange]:
    """Yield the fields beside the messages that differ."""
    old, new = _beside(before), _beside(after)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield FieldChange(name, old.get(name), new.get(name))


def _beside(rest: str) -> dict[str, str]:
    state: Any = load_exact(rest)
    return {name: dump_exact(value) for name, value in state.items() if name != "messages"}


def readable(text: str | None) -> str:
    """Return a message as lines that a person can compare: its fields in order, long texts with their line ends."""
    if text is None:
        return ""
    value = json.loads(text, parse_int=str, parse_float=str)
    if not isinstance(value, dict):
        return text
    lines = []
    for name, part in value.items():
        if isinstance(part, str):
            lines.append(f"{name}: {part}")
        else:
            lines.append(f"{name}: {json.dumps(part, ensure_ascii=False, indent=1)}")
    return "\n".join(lines)
