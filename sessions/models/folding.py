"""What counts as a word, and what a query asks for: one answer for both databases, for index, query and snippet.

Text is folded here and not by a database: their own ideas of words, accents and case differ.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

CLIP = 100_000
"""Characters of a text that are indexed; a snippet looks no further either."""
MOST_WORDS = 16_000
"""Words of a text that are indexed: PostgreSQL counts positions up to 16,383."""
LONGEST_WORD = 64
"""Characters of a word that count; longer ones are equal when these are."""
LONGEST_RUN = 16 * LONGEST_WORD
"""Letters and marks without a space that are looked at: Unicode's normal forms take the square of a run of marks."""
LONGEST_QUERY = 1000
"""Characters of a query that are read."""
MOST_TERMS = 16
SHORTEST_PREFIX = 2
"""Characters that the beginning of a word must have to stand for the whole; shorter ones are words themselves."""

_MARKS = "\u0300-\u036f"
# Scripts without spaces between words: each sign is a word, and a query of several is a phrase.
_SIGNS = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_WORD = re.compile(rf"[{_SIGNS}]|[^\W_{_SIGNS}]+")
_ASCII = str.maketrans({sign: sign.lower() if sign.isalnum() else " " for sign in map(chr, range(128))})
"""What becomes of a sign of ASCII: small, or the space between two words."""
_SIGN = re.compile(rf"[{_SIGNS}]")
_STROKES = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i", "ħ": "h"}
)
"""Letters that Unicode does not take apart, and people who search do; U+0131 is the dotless i."""
_PIECE = re.compile(r'(?P<minus>(?<!\S)-(?!-))?(?:"(?P<phrase>[^"]*)"?(?P<star>\*)?|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Spot:
    """A word of a text, folded, and where it stands in the text."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side; of the last, with `is_prefix`, the beginning is enough."""

    words: tuple[str, ...]
    is_prefix: bool = False

    def length_at(self, words: Sequence[str], at: int) -> int:
        """Return how many of `words` from `at` on are this term: all of its own, or none."""
        length = len(self.words)
        found = tuple(words[at : at + length])
        if found == self.words:
            return length
        is_begun = self.is_prefix and len(found) == length and found[:-1] == self.words[:-1]
        return length if is_begun and found[-1].startswith(self.words[-1]) else 0


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: all of `terms`, or one of them with `is_any`; none of `without`. No term finds nothing.

    `is_open`: of the last term the beginning is enough, though nobody said so.
    """

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    is_any: bool = False
    is_open: bool = False

    def closed(self) -> "Query":
        """Return the query for the very words."""
        if not self.is_open:
            return self
        *others, last = self.terms
        return replace(self, terms=(*others, replace(last, is_prefix=False)), is_open=False)


def spots(text: str) -> Iterator[Spot]:
    """Yield the words of `text` in order, each with its place."""
    for run in _RUN.finditer(text):
        start, end, letters = run.start(), run.end(), run.group()
        if letters.isascii():
            yield Spot(letters.lower()[:LONGEST_WORD], start, end)
        elif _SIGN.search(letters):
            yield from (Spot(word, at.start() + start, at.end() + start) for at in _WORD.finditer(letters)
                        for word in _words_in(at.group()))  # fmt: skip
        else:
            yield from (Spot(word, start, end) for word in _words_in(letters[:LONGEST_RUN]))


def words_of(text: str) -> list[str]:
    """Return the words of the beginning of `text`, folded: no accents, no case, no signs."""
    return folded(text).split()


def folded(text: str) -> str:
    """Return the same words with spaces between them, one or more; an empty text when there is no word."""
    text = text[:CLIP]
    if not text.isascii():
        return " ".join(spot.word for spot in islice(spots(text), MOST_WORDS))
    line = text.translate(_ASCII)  # Most text is ASCII, and to take it apart like this is ten times as fast.
    if _has_a_long_word(line):
        line = " ".join(word[:LONGEST_WORD] for word in line.split())
    if len(line) >= 2 * MOST_WORDS:  # A word and a space are two: a shorter line cannot have too many.
        line = " ".join(line.split()[:MOST_WORDS])
    return line.strip()


def _has_a_long_word(line: str) -> bool:
    """Say whether a word has more than `LONGEST_WORD` characters, in steps of nearly as many from space to space."""
    at, end = 0, len(line) - LONGEST_WORD
    while at < end:
        at = line.rfind(" ", at, at + LONGEST_WORD + 1) + 1
        if not at:
            return True
    return False


@lru_cache(maxsize=20_000)
def _words_in(letters: str) -> tuple[str, ...]:
    """Return the words that one run of letters and digits becomes: mostly one, for a ligature several."""
    bare = re.sub(f"[{_MARKS}]", "", unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", letters).casefold()))
    composed = unicodedata.normalize("NFC", bare).translate(_STROKES)
    return tuple(word[:LONGEST_WORD] for word in _WORD.findall(composed))


def parse(text: str) -> Query:
    """Read a query: words, `"phrases"`, `-without`, `begin*`. The last word's beginning is enough.

    Any text is a query: signs that mean nothing here are passed over. A word with signs inside (a path, an address)
    is a phrase of its parts, and one behind two dashes, as the options of commands are, is a word.
    """
    pieces = list(islice(_PIECE.finditer(text[:LONGEST_QUERY]), MOST_TERMS * 4))
    terms: list[Term] = []
    without: list[Term] = []
    is_open = False
    for piece in pieces:
        quoted, plain = piece["phrase"], piece["plain"] or ""
        words = tuple(words_of(quoted if quoted is not None else plain))
        if not words:
            continue
        is_last = piece is pieces[-1] and quoted is None and not piece["minus"]
        has_star = bool(piece["star"]) or plain.endswith("*")
        term = Term(words, (is_last or has_star) and len(words[-1]) >= SHORTEST_PREFIX)
        is_open = is_last and term.is_prefix and not has_star
        (without if piece["minus"] else terms).append(term)
    chosen = tuple(dict.fromkeys(terms))
    is_open = is_open and chosen[-1] == terms[-1] and len(chosen) <= MOST_TERMS
    return Query(chosen[:MOST_TERMS], tuple(dict.fromkeys(without))[:MOST_TERMS], is_open=is_open)
