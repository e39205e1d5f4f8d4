"""Matcher: what the standard library's finds, and in no more steps than it may take."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.aligning import Matcher, Steps
from sessions.comparing import MOST_STEPS

HALF = 990
ITEMS = st.lists(st.sampled_from("abcdefgh"), max_size=9)


class Watched(Matcher):
    """Counts what the library's own method looks at."""

    looked_at = 0

    def find_longest_match(self, alo=0, ahi=None, blo=0, bhi=None):
        self.looked_at += sum(1 + len(self.b2j.get(item, ())) for item in self.a[alo:ahi])
        return super().find_longest_match(alo, ahi, blo, bhi)


def between(name: str, word: str = "a") -> list[str]:
    """Return items of which every other is the same one."""
    return [item for n in range(HALF) for item in (f"{name}{n}", word)]


def numbered(name: str) -> list[str]:
    """Return items of which every other stands in no other place."""
    return [item for n in range(HALF) for item in (f"{name}{n}", f"a{n}")]


def repeating(name: str) -> list[str]:
    return [item for n in range(HALF) for item in (f"{name}{n}", f"a{n % 200}")]


@given(ITEMS, ITEMS)
def test_with_steps_enough_it_finds_what_the_library_finds(old, new):
    library = SequenceMatcher(None, old, new, autojunk=False)
    if sum(old.count(item) * new.count(item) for item in set(old)) > 4 * (len(old) + len(new)):
        return
    matcher = Matcher(old, new, steps=Steps(10**6))
    assert matcher.get_opcodes() == library.get_opcodes()
    assert matcher.ratio() == library.ratio()


@given(ITEMS, ITEMS, st.integers(0, 60))
def test_with_few_it_still_leads_from_one_to_the_other(old, new, steps):
    made = []
    for tag, old_from, old_to, new_from, new_to in Matcher(old, new, steps=Steps(steps)).get_opcodes():
        made += old[old_from:old_to] if tag == "equal" else new[new_from:new_to]
    assert made == new


@pytest.mark.parametrize("items", [between, numbered, repeating])
@pytest.mark.parametrize("most", [0, 10_000, MOST_STEPS])
def test_it_looks_at_no_more_than_it_may(items, most):
    steps = Steps(most)
    matcher = Watched(items("x"), items("y"), steps=steps)
    matcher.get_opcodes()
    assert matcher.looked_at == most - steps.left <= most


def test_what_comes_again_and_again_keeps_nothing_else_from_being_found():
    common = [f"{n}" for n in range(50)]
    old, new = [*between("x"), *common, "a"], [*between("y"), *common, "a", "z"]
    found = Matcher(old, new, steps=Steps(MOST_STEPS)).get_opcodes()
    assert found == [
        ("replace", 0, 2 * HALF - 1, 0, 2 * HALF - 1),
        ("equal", 2 * HALF - 1, 2 * HALF + 51, 2 * HALF - 1, 2 * HALF + 51),
        ("insert", 2 * HALF + 51, 2 * HALF + 51, 2 * HALF + 51, 2 * HALF + 52),
    ]
