"""The pool of a session's checkpoint messages: where each stands, and reading them back.

Placing a history that only grows looks at the newest checkpoint and the newest piece, whatever its length; only a
rewritten one, and the first that goes on from where the pool goes on otherwise, is compared with all that the pool
holds. The caller holds the session's lock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from django.db.models import Q, QuerySet

from sessions.exceptions import NotFound
from sessions.likeness import (
    Span,
    Stem,
    Variant,
    are_alike,
    common_count,
    likeness,
    place_at,
    places_of,
    spans_of,
)
from sessions.models import Checkpoint, CheckpointPiece, Role, Session, TokenCounts
from sessions.models.prepared import Place, prepared
from sessions.models.writing import born, insert, update
from sessions.projection import tell

PIECE_MESSAGES = 32
PIECE_CHARACTERS = 32_000
"""A piece that has as many is full."""
MOST_VARIANTS = 32
"""Messages of one checkpoint that are kept as what differs; each later checkpoint carries them on."""

MOST_SPANS = 50
"""Spans that are asked for one by one; of more, all that is between is read."""


@dataclass(slots=True, kw_only=True)
class Placed:
    """Where the messages of a new checkpoint stand.

    `is_grown`: the newest checkpoint goes on in it, its last message perhaps in other words. `late` is the index of a
    message that was there before without tokens and may tell of them now. `before` says of a rewritten history where
    each message stood before, in these words or in others; None is a message that is new.
    """

    spans: list[Span]
    variants: list[Variant] = field(default_factory=list)
    added_count: int = 0
    is_grown: bool = False
    late: int | None = None
    before: Sequence[int | None] = ()


def place(session: Session, newest: Checkpoint | None, texts: Sequence[str], stem: Stem) -> Placed:
    """Put into the pool what it lacks of these messages, whose stem is given; return where all of them stand."""
    tail = _last_piece.first(session.pk)
    end = 0 if tail is None else tail.end
    if newest is None or not end:
        _append(session, tail, texts)
        return Placed(spans=[[end, end + len(texts)]] if texts else [], added_count=len(texts), is_grown=True)
    return _grow(session, newest, texts, stem, tail=tail) or _match(session, tail, texts)


def _grow(
    session: Session, newest: Checkpoint, texts: Sequence[str], stem: Stem, *, tail: CheckpointPiece | None
) -> Placed | None:
    """Return the place of a history that goes on from the newest checkpoint, None when it does not."""
    assert tail is not None
    count = newest.message_count
    if not _goes_on(newest, texts, stem, end=tail.end):
        return None
    at = newest.spans[-1][1] - 1
    base = tail.lines[at - tail.first] if at >= tail.first else _lines(session, [[at, at + 1]])[at]
    variants = [Variant(*row) for row in newest.variants]
    stored = next((variant.of(base) for variant in variants if variant.index == count - 1), base)
    late = None
    if texts[count - 1] != stored:
        # Only what the newest checkpoint itself brought may get other words: no other one reads from this place.
        is_its_own = at == tail.end - 1 and newest.added_count > 0 and stored == base
        if not is_its_own or not are_alike(texts[count - 1], stored):
            return None
        told, usage = tell(stored).usage, tell(texts[count - 1]).usage
        if told is not None and usage not in {None, told} and _last_answer(texts) == count - 1:
            return None
        if told is None:
            late = count - 1
        tail.text = "\n".join([*tail.lines[:-1], texts[count - 1]])
        update(tail, ["text"])
        changed = Variant.between(count - 1, text=stored, base=texts[count - 1])
        newest.variants = [*newest.variants, changed.as_row()]
        update(newest, ["variants"])
    fresh = texts[count:]
    spans = [list(span) for span in newest.spans]
    spans[-1][1] += len(fresh)
    _append(session, tail, fresh)
    return Placed(spans=spans, variants=variants, added_count=len(fresh), is_grown=True, late=late)


def _goes_on(newest: Checkpoint, texts: Sequence[str], stem: Stem, *, end: int) -> bool:
    """Say whether a history begins as the newest checkpoint, but for its last message, and goes on at the pool's end.

    Behind an agent that went back (contracts/stakpak.md 2.5) the pool has what it left; what comes may be just that.
    """
    count = newest.message_count
    if not count or len(texts) < count or (len(texts) > count and newest.spans[-1][1] != end):
        return False
    return stem.of(count - 1) == bytes(newest.stem)


def _match(session: Session, tail: CheckpointPiece | None, texts: Sequence[str]) -> Placed:
    """Return the place of a rewritten history: each message where the pool has it, in the same words or in others."""
    assert tail is not None
    pool = [line for piece in CheckpointPiece.objects.filter(session=session).order_by("first") for line in piece.lines]
    matcher = _Matcher(pool)
    places = matcher.places(texts)
    late = _place_answer(session, matcher, texts, places)
    before = list(places)
    variants: list[Variant] = []
    fresh: list[str] = []
    for index, text in enumerate(texts):
        at = places[index]
        if at is not None and pool[at] != text and len(variants) < MOST_VARIANTS:
            variants.append(Variant.between(index, text=text, base=pool[at]))
        elif at is None or pool[at] != text:
            places[index] = tail.end + len(fresh)
            fresh.append(text)
    _append(session, tail, fresh)
    spans = spans_of(at for at in places if at is not None)
    return Placed(spans=spans, variants=variants, added_count=len(fresh), late=late, before=before)


def _last_answer(texts: Sequence[str]) -> int | None:
    """Return the index of the last message of the assistant."""
    return next((index for index in reversed(range(len(texts))) if tell(texts[index]).role == Role.ASSISTANT), None)


def _place_answer(session: Session, matcher: "_Matcher", texts: Sequence[str], places: list[int | None]) -> int | None:
    """Let the last answer stand where just its tokens were told of; return its index when they are told of first.

    A step's tokens are those of its last answer (contracts/stakpak.md 2.5). One in the same words that took others is
    another answer, and has a place of its own.
    """
    index = _last_answer(texts)
    usage = None if index is None else tell(texts[index]).usage
    if index is None or usage is None or matcher.is_exact(texts[index], places[index]):
        return None
    own = places[index]
    alike = sorted(matcher.alike(texts[index]), key=lambda at: at != own)
    told = _usages(session, matcher, alike)
    holders = {at: holder for holder, at in enumerate(places) if at is not None}
    for at in alike:
        holder = holders.get(at, index)
        if usage in told[at] and (holder == index or tell(texts[holder]).usage != usage):
            places[holder], places[index] = own, at
            return None
    places[index] = next((at for at in alike if not told[at] and holders.get(at, index) == index), None)
    return None if places[index] is None else index


def _usages(session: Session, matcher: "_Matcher", places: Sequence[int]) -> dict[int, set[TokenCounts | None]]:
    """Return by place what any checkpoint told of the tokens of the message that stands there."""
    found = {at: {tell(matcher.pool[at]).usage} for at in places}
    rows = Checkpoint.objects.of(session).values_list("spans", "variants") if found else ()
    for spans, variants in rows:
        for variant in (Variant(*row) for row in variants):
            at = place_at(spans, variant.index)
            if at in found:
                found[at].add(tell(variant.of(matcher.pool[at])).usage)
    return {at: usages - {None} for at, usages in found.items()}


class _Matcher:
    """Finds messages in a pool, each place at most once, and rather the next place than any other."""

    def __init__(self, pool: Sequence[str]) -> None:
        self.pool = pool
        self._used: set[int] = set()
        self._before = -1

    def places(self, texts: Sequence[str]) -> list[int | None]:
        """Return the place of each text, None where the pool has no such message."""
        exact = _by_text(self.pool)
        found = [self._take(exact, text) for text in texts]
        if None not in found:
            return found
        for index, at in enumerate(found):
            if at is None:
                self._before = next((p for p in reversed(found[:index]) if p is not None), -1)
                found[index] = self._take(self._by_likeness, likeness(texts[index]))
        return found

    def alike(self, text: str) -> list[int]:
        """Return all places of the message that this text is."""
        return self._by_likeness.get(likeness(text), [])

    def is_exact(self, text: str, at: int | None) -> bool:
        """Say whether just this text stands in a place."""
        return at is not None and self.pool[at] == text

    @cached_property
    def _by_likeness(self) -> dict[str, list[int]]:
        return _by_text([likeness(line) for line in self.pool])

    def _take(self, places: dict[str, list[int]], wanted: str) -> int | None:
        free = [at for at in places.get(wanted, ()) if at not in self._used]
        if not free:
            return None
        at = next((at for at in free if at > self._before), free[0])
        self._used.add(at)
        self._before = at
        return at


def _by_text(lines: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        found.setdefault(line, []).append(at)
    return found


def _append(session: Session, tail: CheckpointPiece | None, texts: Sequence[str]) -> None:
    """Write messages behind the last piece, or into it as long as it is not full."""
    end = 0 if tail is None else tail.end
    left = list(texts)
    if left and tail is not None and not _is_full(tail.end - tail.first, len(tail.text)):
        taken = _fitting(left, count=tail.end - tail.first, size=len(tail.text))
        tail.text = "\n".join([tail.text, *taken])
        tail.end += len(taken)
        update(tail, ["text", "end"])
        end, left = tail.end, left[len(taken) :]
    pieces = []
    while left:
        taken = _fitting(left, count=0, size=0)
        pieces.append(
            born(CheckpointPiece, session_id=session.pk, first=end, end=end + len(taken), text="\n".join(taken))
        )
        end, left = end + len(taken), left[len(taken) :]
    insert(pieces)


def _is_full(count: int, size: int) -> bool:
    return count >= PIECE_MESSAGES or size >= PIECE_CHARACTERS


def _fitting(texts: Sequence[str], *, count: int, size: int) -> list[str]:
    """Return the first of these texts that a piece of `count` messages and `size` characters takes."""
    taken: list[str] = []
    for text in texts:
        if _is_full(count + len(taken), size):
            break
        taken.append(text)
        size += len(text)
    return taken


def continued(session: Session, spans: Sequence[Span], *, preferred: Checkpoint | None) -> tuple[int | None, int, int]:
    """Return from which checkpoint a rewritten history goes on: its seq, how much of it is kept, and the branch.

    It is one of which nothing is rewritten, the longest; `preferred` or else the newest of several. A history that has
    nothing in common with any goes on from none.
    """
    rows = list(Checkpoint.objects.of(session).values_list("seq", "spans", "message_count", "branch"))
    kept = {seq: common_count(spans, other) for seq, other, _, _ in rows}
    whole = [(count, seq == getattr(preferred, "seq", None), seq) for seq, _, count, _ in rows if kept[seq] == count]
    count, _, seq = max(whole, default=(0, False, 0))
    tips = {branch: seq for seq, _, _, branch in rows}
    most = max(kept.values(), default=0)
    if not count:
        return (None, most, len(tips))
    branch = next(branch for other, _, _, branch in rows if other == seq)
    goes_on = tips[branch] == seq and most == count
    return (seq, max(count, most), branch if goes_on else max(tips) + 1)


def read(checkpoint: Checkpoint) -> list[str]:
    """Return the messages of a checkpoint, each exactly as it was sent, in one query.

    Raises `NotFound` when a purge has destroyed them since the checkpoint was looked up.
    """
    lines = _lines_of(checkpoint.session_id, checkpoint.spans)
    try:
        texts = [lines[at] for at in places_of(checkpoint.spans)]
    except KeyError:
        raise NotFound("No such checkpoint.") from None
    for variant in (Variant(*row) for row in checkpoint.variants):
        texts[variant.index] = variant.of(texts[variant.index])
    return texts


def _lines(session: Session, spans: Sequence[Span]) -> dict[int, str]:
    return _lines_of(session.pk, spans)


def _lines_of(session_id: int, spans: Sequence[Span]) -> dict[int, str]:
    """Return the lines of the pieces that spans touch, by place."""
    if not spans:
        return {}
    asked = spans if len(spans) <= MOST_SPANS else [[min(spans)[0], max(end for _, end in spans)]]
    pieces = _pieces(session_id, *chain.from_iterable(asked))
    return {piece.first + at: line for piece in pieces for at, line in enumerate(piece.lines)}


@prepared
def _last_piece(session_id: Place) -> QuerySet[CheckpointPiece]:
    return CheckpointPiece.objects.filter(session=session_id).order_by("-first")[:1]


@prepared
def _pieces(session_id: Place, *bounds: Place) -> QuerySet[CheckpointPiece]:
    """Ask for the pieces that spans touch, whose firsts and ends are given by turns."""
    touched = Q()
    for first, end in zip(bounds[::2], bounds[1::2], strict=True):
        touched |= Q(first__lt=end, end__gt=first)
    return CheckpointPiece.objects.filter(touched, session=session_id)
