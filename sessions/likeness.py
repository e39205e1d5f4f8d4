"""When two messages are the same one, and how little tells them apart.

An agent sends its history again at every step, not always letter by letter: a message that ended a checkpoint has
`usage` and trailing newlines which the next checkpoint leaves out, its content may be null or empty by turns, and after
a resume a tag is appended (contracts/stakpak.md 2.5). Such texts are the same message. All here is pure.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sessions.models.exact_json import dump_exact, load_exact

_OPENING, _CLOSING = "<checkpoint_id>", "</checkpoint_id>"
_MARKS_BACKWARDS = re.compile(rf"\s*(?:{_CLOSING[::-1]}[^<]*{_OPENING[::-1]}\s*)+")
_DIGEST_BYTES = 16

Span = list[int]
"""[first, end] places; `end` is not included."""


def likeness(text: str) -> str:
    """Return what is the same for all ways in which one message is sent."""
    value = load_exact(text)
    if not isinstance(value, dict):
        return text
    value.pop("usage", None)
    value["content"] = _bare(value.get("content"))
    return dump_exact(dict(sorted(value.items())))


def are_alike(text: str, other: str) -> bool:
    """Say whether two texts are the same message."""
    return text == other or likeness(text) == likeness(other)


def _bare(content: Any) -> Any:
    if isinstance(content, str):
        return without_tag(content).rstrip("\n") or None
    if isinstance(content, list):
        return [_bare_part(part) for part in content] or None
    return content


def _bare_part(part: Any) -> Any:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {**part, "text": without_tag(part["text"]).rstrip("\n")}
    return part


def without_tag(content: str) -> str:
    """Return a content without the marks that a resumed session appends, one each time, and white space around them.

    It is read from its end: to look for where such an ending begins would take a time that grows with the square of
    how much of it there is.
    """
    marks = _MARKS_BACKWARDS.match(content[::-1])
    return content[: len(content) - marks.end()] if marks else content


@dataclass(frozen=True, slots=True)
class Variant:
    """How one message of a checkpoint differs from what stands in its place: what is between a head and a tail."""

    index: int
    head: int
    tail: int
    middle: str

    @classmethod
    def between(cls, index: int, *, text: str, base: str) -> "Variant":
        """Return what makes `text` of `base`."""
        head = _common_head(text, base)
        room = min(len(text), len(base)) - head
        tail = _common_head(text[len(text) - room :][::-1], base[len(base) - room :][::-1])
        return cls(index, head, tail, text[head : len(text) - tail])

    def of(self, base: str) -> str:
        """Return the text that it makes of `base`."""
        return base[: self.head] + self.middle + base[len(base) - self.tail :]

    def as_row(self) -> list[Any]:
        """Return it as a checkpoint keeps it."""
        return [self.index, self.head, self.tail, self.middle]


def _common_head(text: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Stem:
    """The digest of the first messages of a history, letter by letter; that of more goes on from that of fewer."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._count = 0
        self._digest = blake2b(digest_size=_DIGEST_BYTES)

    def of(self, count: int) -> bytes:
        """Return that of the first `count` messages; never asked for fewer than before."""
        assert count >= self._count, (count, self._count)
        added = self._texts[self._count : count]
        self._digest.update("\n".join([*added, ""]).encode())
        self._count = count
        return self._digest.digest()


def places_of(spans: Iterable[Span]) -> Iterator[int]:
    """Yield the places of spans, in order."""
    for first, end in spans:
        yield from range(first, end)


def place_at(spans: Iterable[Span], index: int) -> int:
    """Return the place of the message with this index."""
    for first, end in spans:
        if index < end - first:
            return first + index
        index -= end - first
    raise IndexError(index)


def spans_of(places: Iterable[int]) -> list[Span]:
    """Return places, in order, as spans."""
    spans: list[Span] = []
    for place in places:
        if spans and spans[-1][1] == place:
            spans[-1][1] += 1
        else:
            spans.append([place, place + 1])
    return spans


def common_count(one: Sequence[Span], other: Sequence[Span]) -> int:
    """Return how many places two lists of spans begin with alike."""
    count = 0
    for (first, end), (other_first, other_end) in zip(one, other, strict=False):
        if first != other_first:
            break
        count += min(end, other_end) - first
        if end != other_end:
            break
    return count
