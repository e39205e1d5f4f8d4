"""retention.plans: what goes, decided from plain values."""

import pytest

from sessions.retention.plans import plan, stretches


@pytest.mark.parametrize(
    ("due", "parents", "follows", "going", "staying"),
    [
        ([3, 1, 2], {}, [], [3, 1, 2], set()),
        ([1, 2, 3], {2: 1, 3: 2}, [], [3, 2, 1], set()),  # those below first
        ([1], {2: 1}, [], [], {1}),  # a younger one below
        ([1, 2], {2: 1, 3: 2}, [], [], {1, 2}),  # and all above it
        ([1, 2], {2: 1, 3: 1}, [], [2], {1}),  # its neighbour goes
        ([1], {2: 1}, [2], [2, 1], set()),  # a sub-agent's session goes along
        ([1], {2: 1, 3: 2}, [2, 3], [3, 2, 1], set()),
        ([1], {2: 1, 3: 2}, [2], [], {1}),  # but not below which one stays
        ([5], {2: 1}, [2], [5], set()),  # a follower whose parent stays stays
        ([], {2: 1}, [2], [], set()),
        ([1], {1: 1}, [], [1], set()),  # a circle, which cannot be, ends
    ],
)
def test_a_session_goes_unless_one_below_it_stays(due, parents, follows, going, staying):
    planned = plan(due, parents, follows=follows)
    assert (planned.going, planned.staying) == (going, staying)


@pytest.mark.parametrize(
    ("gone", "kept", "expected"),
    [
        ([], [], []),
        ([7], [], [[7, 7]]),
        ([1, 4, 9], [], [[1, 9]]),  # what lies between belongs to other sessions
        ([1, 4, 9], [5], [[1, 4], [9, 9]]),
        ([1, 4, 9], [2, 3, 5, 6], [[1, 1], [4, 4], [9, 9]]),
        ([4, 9], [1, 12], [[4, 9]]),
    ],
)
def test_the_ids_of_a_purge_are_told_as_stretches(gone, kept, expected):
    assert stretches(gone, kept) == expected
