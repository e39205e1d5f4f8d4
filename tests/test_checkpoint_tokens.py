"""Tokens of a session that is kept in checkpoints: each is counted once, in forks and after going back, too."""

import pytest

from sessions import recounting
from sessions.models import Checkpoint
from tests.api.stakpak.calling import says, usage, user
from tests.test_checkpoint_records import fork_of, session_of, shown, tokens
from tests.test_checkpoints import add, begin, messages_of

pytestmark = pytest.mark.django_db


def test_a_fork_that_goes_on_counts_no_token_of_its_origin():
    """A resumed agent sends the last answer with a mark, and with what it had told of its tokens (2.5)."""
    origin = begin([user("a"), says("b", **usage(100, 10))])
    made = fork_of(origin)
    first = Checkpoint.objects.get(session=made)
    resumed = [user("a"), says("b\n<checkpoint_id>0199</checkpoint_id>", **usage(100, 10)), user("c")]
    newest = add(first, resumed)
    assert (session_of(newest).total_tokens, session_of(newest).api_call_count) == (0, 0)

    newest = add(first, [*resumed, says("d", **usage(200, 20))])
    assert (session_of(newest).total_tokens, session_of(newest).api_call_count) == (220, 1)
    assert messages_of(newest) == [*resumed, says("d", **usage(200, 20))]
    assert session_of(origin).total_tokens == 110
    assert recounting.differences(session_of(newest)) == []


def test_tokens_that_were_left_out_for_a_while_are_not_new_to_a_fork():
    first = Checkpoint.objects.get(session=fork_of(begin([user("a"), says("b", **usage(100, 10))])))
    add(first, [user("a"), says("b")])
    newest = add(first, [user("a"), says("b", **usage(100, 10))])

    assert (session_of(newest).total_tokens, session_of(newest).api_call_count) == (0, 0)


@pytest.mark.parametrize("between", [[], [user("c"), says("d", **usage(5, 5))]])
def test_another_answer_in_the_same_words_is_counted(between):
    """A step's tokens are those of its last answer (2.5): who asked again and got the same words spent them."""
    told = [user("a"), says("ok", **usage(10, 1))]
    first = begin(told)
    add(first, [*told, *between])
    spent = 21 if between else 11
    again = [user("a"), says("ok", **usage(2000, 3))]
    newest = add(first, again)
    assert tokens(newest) == (spent + 2003, 3 if between else 2)
    assert (messages_of(first), messages_of(newest), newest.branch) == (told, again, 1)

    for resent in (again, [user("a"), says("ok")], told, [*again, user("e")], again):
        newest = add(first, resent)
        assert messages_of(newest) == resent
    assert tokens(newest) == (spent + 2003, 3 if between else 2)
    assert shown(newest) == [("user", "a"), ("assistant", "ok")]


def test_a_resumed_answer_is_found_by_its_tokens_though_the_same_words_stand_elsewhere():
    told = [user("a"), says("ok", **usage(10, 1))]
    first = begin(told)
    marked = "ok\n<checkpoint_id>0199</checkpoint_id>"
    longer = [user("a"), says("ok"), user("b"), says("ok", **usage(20, 2))]
    add(first, longer)
    add(first, [user("a"), says("ok", **usage(40, 4))])
    add(first, [user("z"), *longer[:3], says(marked, **usage(20, 2))])
    newest = add(first, [user("z"), says(marked, **usage(40, 4)), user("more")])

    assert tokens(newest) == (77, 3)


def test_tokens_that_come_late_with_a_rewritten_history_are_counted_once():
    first = begin([user("a"), says("b"), user("c")])
    for _ in range(2):
        newest = add(first, [user("a"), says("b", **usage(7, 3))])
        assert tokens(newest) == (10, 1)
        newest = add(first, [user("z"), says("b", **usage(7, 3))])
    assert tokens(newest) == (10, 1)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_what_was_left_by_going_back_counts_no_second_time_when_it_is_told_again(kept):
    told = [user("a"), user("b"), says("c", **usage(10, 1)), user("d"), says("e", **usage(20, 2))]
    first = begin(told[:1])
    add(first, told)
    add(first, told[:kept])
    marked = says("e\n<checkpoint_id>0199</checkpoint_id>", **usage(20, 2))
    for resent in (told, told[:kept], [*told[:4], marked], told[:kept], [*told[:4], marked, user("f")]):
        newest = add(first, resent)
        assert tokens(newest) == (33, 2)
        assert messages_of(newest) == resent
        assert len(shown(newest)) == len(resent)
    assert (newest.continues_seq, newest.branch) == (6, 0)


def test_other_words_after_going_back_are_new_ones_and_counted():
    told = [user("a"), says("b", **usage(10, 1)), user("c"), says("d", **usage(20, 2))]
    first = begin(told[:1])
    add(first, told)
    add(first, told[:3])
    newest = add(first, [*told[:3], says("d", **usage(40, 4))])
    assert tokens(newest) == (77, 3)
    newest = add(first, [*told[:3], says("d"), user("e"), says("f", **usage(80, 8))])

    assert tokens(newest) == (165, 4)
    assert (newest.continues_seq, newest.added_count) == (4, 2)
