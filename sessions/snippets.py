"""Where a text says what was looked for: how often, and the piece of it that shows it best. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sessions.models.folding import CLIP, Query, Term, spots, words_of

LENGTH = 240
"""Characters of a snippet, about."""
LEAD = 60
"""Characters that stand before the first marked word, about."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a snippet: plain text, marked when it is what was looked for."""

    text: str
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Find:
    """A term and the place where it stands."""

    term: Term
    start: int
    end: int


def count_in(text: str, query: Query) -> tuple[list[int], int]:
    """Return how often each term of `query` stands in `text`, and how many words the text has."""
    words = words_of(text)
    return [sum(1 for _ in _places_of(term, words)) for term in query.terms], len(words)


def _places_of(term: Term, words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where in `words` a term begins, and how many of them it is."""
    first, is_open = term.words[0], term.is_prefix and len(term.words) == 1
    for at, word in enumerate(words):
        if (word == first or (is_open and word.startswith(first))) and (length := term.length_at(words, at)):
            yield at, length


def _finds_in(text: str, query: Query) -> list[Find]:
    """Return where the terms of `query` stand in `text`, in order, of two that begin together the longer first."""
    places = list(spots(text))
    words = [spot.word for spot in places]
    found = [
        Find(term, places[at].start, places[at + length - 1].end)
        for term in query.terms
        for at, length in _places_of(term, words)
    ]
    return sorted(found, key=lambda find: (find.start, -find.end))


def snippet(text: str, query: Query) -> tuple[Part, ...]:
    """Return the piece of `text` that holds the most of what was looked for, on one line, with that marked.

    Without any of it, the beginning. Whoever shows it escapes each part.
    """
    text = text[:CLIP]
    found = _finds_in(text, query)
    start, end = _stretch(text, found)
    parts = [Part("… ")] if start else []
    at = start
    for find in found:
        if find.start < at or find.start >= end:
            continue
        marked_to = min(find.end, end)  # a word may be longer than a snippet
        parts += [Part(_on_one_line(text[at : find.start])), Part(_on_one_line(text[find.start : marked_to]), True)]  # noqa: FBT003 - its only flag
        at = marked_to
    parts.append(Part(_on_one_line(text[at:end])))
    if end < len(text):
        parts.append(Part(" …"))
    return tuple(part for part in parts if part.text)


def _stretch(text: str, found: Sequence[Find]) -> tuple[int, int]:
    """Return from where to where the snippet goes: around the find that has the most other terms beside it."""
    best, most = 0, 0
    for index, find in enumerate(found[:500]):
        beside = {other.term for other in found[index : index + 50] if other.end <= find.start + LENGTH - LEAD}
        if len(beside) > most:
            best, most = find.start, len(beside)
    start = max(0, best - LEAD)
    if start:
        space = _SPACE.search(text, start, best)
        start = space.end() if space else start
    end = min(len(text), start + LENGTH)
    if end < len(text) and (last := max((find.end for find in found if find.start < end < find.end), default=0)):
        return start, min(last, end + LENGTH)
    if end < len(text) and (gap := text.rfind(" ", best + LENGTH // 2, end)) > 0:
        end = max(gap, max((find.end for find in found if find.end <= end), default=0))
    return start, end


def _on_one_line(text: str) -> str:
    return _SPACE.sub(" ", text)
