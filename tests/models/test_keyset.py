"""Lists by keyset, both ways."""

from datetime import UTC, datetime, timedelta

import pytest

from sessions.models import Session
from sessions.models.keyset import Keyset
from tests.factories import make_session

pytestmark = pytest.mark.django_db
NEWEST_FIRST = Keyset(Session, "-created_at")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def many():
    # Two of each time, so that ties are told apart by id.
    return [make_session(title=str(n), created_at=START + timedelta(days=n // 2)) for n in range(11)]


def titles(leaf):
    return [int(session.title) for session in leaf.rows]


def leaf(**where):
    return NEWEST_FIRST.leaf(Session.objects.all(), limit=4, **where)


def test_pages_forward_hold_each_row_once_and_end(many):
    first = leaf()
    second = leaf(after=first.later)
    third = leaf(after=second.later)
    assert [titles(page) for page in (first, second, third)] == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1, 0]]
    assert (first.earlier, third.later) == ("", "")


def test_pages_backward_are_the_same_pages(many):
    last = leaf(before="end")
    assert titles(last) == [3, 2, 1, 0]
    middle = leaf(before=last.earlier)
    first = leaf(before=middle.earlier)
    assert (titles(middle), titles(first)) == ([7, 6, 5, 4], [10, 9, 8])
    assert (last.later, first.earlier) == ("", "")
    assert titles(leaf(after=middle.later)) == [3, 2, 1, 0]


@pytest.mark.parametrize("where", [{"after": "nonsense"}, {"before": "nonsense"}])
def test_a_mark_that_is_none_shows_the_beginning(many, where):
    assert titles(leaf(**where)) == [10, 9, 8, 7]


def test_a_mark_of_another_order_shows_the_beginning(many):
    other = Keyset(Session, "created_at").leaf(Session.objects.all(), limit=4).later
    assert titles(leaf(after=other)) == [10, 9, 8, 7]


def test_a_page_is_one_query(many, django_assert_num_queries):
    mark = leaf().later
    for where in ({}, {"after": mark}, {"before": mark}, {"before": "end"}):
        with django_assert_num_queries(1):
            leaf(**where)
