"""What two lists have in common and in which order, found in a bounded number of steps. Pure.

The standard library's matcher takes a time that grows with the cube of a list in which one item comes again and again:
a stranger's two lists of a thousand lines would hold a server up for a minute. So it counts its steps before it takes
them, and what it has no steps left for counts as rewritten.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from itertools import accumulate

_PAIRS_PER_ITEM = 4
"""Equal pairs that are looked at, for each item of both lists; beyond that, the commonest items lead to no match.

They still belong to one that an item beside them led to, as blank lines do in a text.
"""


@dataclass(slots=True)
class Steps:
    """How many steps are left: one is an item, or a pair of equal items, that is looked at."""

    left: int

    def take(self, count: int) -> bool:
        """Take so many, or say that there are not enough."""
        if count > self.left:
            return False
        self.left -= count
        return True


class Matcher(SequenceMatcher[int]):
    """The standard library's matcher, within a number of steps; several may share them.

    Within them it finds what the library finds, unless one item is very common. Items are compared as numbers, so that
    a long text is not read again at every step.
    """

    def __init__(self, old: Sequence[str], new: Sequence[str], *, steps: Steps) -> None:
        numbers: dict[str, int] = {}
        old_numbers = [numbers.setdefault(item, len(numbers)) for item in old]
        new_numbers = [numbers.setdefault(item, len(numbers)) for item in new]
        super().__init__(None, old_numbers, new_numbers, autojunk=False)
        self._old, self._new, self._steps = old_numbers, new_numbers, steps
        self._blocks: list[Match] | None = None
        places: dict[int, list[int]] = self.b2j  # type: ignore[attr-defined]  # in the docstring of its class
        _leave_out_the_commonest(Counter(old_numbers), places, most=_PAIRS_PER_ITEM * (len(old) + len(new)))
        self._cost = [0, *accumulate(1 + len(places.get(item, ())) for item in old_numbers)]

    def get_matching_blocks(self) -> list[Match]:
        """Return what is equal, in order, ended by an empty block; the library's own methods are made of it."""
        if self._blocks is None:
            found: list[Match] = []
            for block in sorted(self._matches()):
                if found and (found[-1].a + found[-1].size, found[-1].b + found[-1].size) == (block.a, block.b):
                    block = Match(found[-1].a, found[-1].b, found.pop().size + block.size)  # noqa: PLW2901
                found.append(block)
            self._blocks = [*found, Match(len(self._old), len(self._new), 0)]
        return self._blocks

    def _matches(self) -> list[Match]:
        """Return the longest match, and those before and behind it, as far as the steps reach."""
        found: list[Match] = []
        waiting = [(0, len(self._old), 0, len(self._new))]
        while waiting:
            old_from, old_to, new_from, new_to = waiting.pop()
            if old_from == old_to or new_from == new_to:
                continue
            if not self._steps.take(self._cost[old_to] - self._cost[old_from]):
                found += self._common_ends(old_from, old_to, new_from, new_to)
                continue
            match = self.find_longest_match(old_from, old_to, new_from, new_to)
            if match.size:
                found.append(match)
                waiting.append((old_from, match.a, new_from, match.b))
                waiting.append((match.a + match.size, old_to, match.b + match.size, new_to))
        return found

    def _common_ends(self, old_from: int, old_to: int, new_from: int, new_to: int) -> list[Match]:
        """Return what two stretches begin and end with alike: each stretch is walked once."""
        old, new = self._old[old_from:old_to], self._new[new_from:new_to]
        head = common_count(old, new)
        tail = common_count(old[head:][::-1], new[head:][::-1])
        ends = Match(old_from, new_from, head), Match(old_to - tail, new_to - tail, tail)
        return [match for match in ends if match.size]


def common_count(old: Sequence[object], new: Sequence[object]) -> int:
    """Return with how many equal items two lists begin."""
    return next(
        (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )


def _leave_out_the_commonest(old: Counter[int], places: dict[int, list[int]], *, most: int) -> None:
    """Drop from `places` the items with the most equal pairs, until there are at most so many."""
    pairs = {item: old[item] * len(at) for item, at in places.items()}
    too_many = sum(pairs.values()) - most
    for item in sorted(pairs, key=pairs.__getitem__, reverse=True):
        if too_many <= 0:
            break
        too_many -= pairs[item]
        del places[item]
